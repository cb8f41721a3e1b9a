"""How our networks were made, as far as the predictions know."""

from collections.abc import Callable
from typing import Any

from networks.siam_config import SiamConfig
from training.predictions import Header
from training.published import BACKBONE

WIDTH = "paper width"
PAPERS = f"{WIDTH}, {BACKBONE}"
FDIN, SIAM = "width", "network"
"""What only the configuration of a run of the one and of the other holds."""


def caption(header: Header) -> str:
    """A sentence that begins with a space, or nothing."""
    parts = [" or ".join(_said(header, part)) for part in (_width, _rate, _epochs)]
    parts += [f"backbone {' or '.join(sources)}" for sources in [_said(header, _backbone)] if sources]
    known = ", ".join(part for part in parts if part)
    siam = ", ".join(filter(None, (" or ".join(_said(header, part, SIAM)) for part in (_sizes, _rate, _epochs))))
    return (f" FDIN and its ablations: {known}." if known else "") + (f" SIAM: {siam}." if siam else "")


def differences(header: Header) -> list[str]:
    """Widths and backbones that are not the papers'."""
    widths = [text for text in _said(header, _width) if text != WIDTH]
    widths += [f"SIAM with {text}" for text in _said(header, _sizes, SIAM) if text != WIDTH]
    return widths + [f"backbone {text}" for text in _said(header, _backbone) if not text.startswith(BACKBONE)]


def _said(header: Header, part: Callable[[dict[str, Any]], str], key: str = FDIN) -> list[str]:
    """What the runs whose configuration has `key` say of one part of their setting, each answer once."""
    runs = [run for run in header.runs if key in run.get("config", {})]
    return sorted({text for run in runs if (text := part(run))})


def _width(run: dict[str, Any]) -> str:
    config = run["config"]
    if config.get("ablation") == "image_cnn":  # the other networks' layers are not its own
        return ""
    return f"{config['width']} width" + (" with other layers" if config.get("layers") else "")


def _sizes(run: dict[str, Any]) -> str:
    """Of SIAM's layers; n is chosen by validation in the paper as well."""
    network, papers = run["config"]["network"], SiamConfig()
    same = all(network[name] == getattr(papers, name) for name in ("hidden", "attention_width"))
    if same and tuple(network["channels"]) == papers.channels:
        return WIDTH
    channels = "-".join(map(str, network["channels"]))
    sizes = f"{network['hidden']} hidden units, n {network['features']}, d {network['attention_width']}"
    return f"{channels} channels, {sizes}"


def _rate(run: dict[str, Any]) -> str:
    rate = run["config"].get("frame_rate_hz")
    return f"{rate:g} Hz" if rate else ""


def _epochs(run: dict[str, Any]) -> str:
    plan = run["config"].get("optimisation", {})
    return f"at most {plan['epochs']} epochs of batches of {plan['batch']}" if {"epochs", "batch"} <= set(plan) else ""


def _backbone(run: dict[str, Any]) -> str:
    """Runs of before the field was there say nothing; None is a backbone whose checkpoint had gone."""
    return run.get("backbone", "") or ("unknown" if "backbone" in run else "")
