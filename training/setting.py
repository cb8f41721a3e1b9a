"""How our interpreters and their ablations were made, as far as the predictions know; SIAM is not spoken of."""

from collections.abc import Callable
from typing import Any

from training.predictions import Header
from training.published import BACKBONE

WIDTH = "paper width"
PAPERS = f"{WIDTH}, {BACKBONE}"


def caption(header: Header) -> str:
    """A sentence that begins with a space, or nothing."""
    parts = [" or ".join(_said(header, part)) for part in (_width, _rate, _epochs)]
    parts += [f"backbone {' or '.join(sources)}" for sources in [_said(header, _backbone)] if sources]
    known = ", ".join(part for part in parts if part)
    return f" FDIN and its ablations: {known}." if known else ""


def differences(header: Header) -> list[str]:
    """Widths and backbones that are not the papers'."""
    widths = [text for text in _said(header, _width) if text != WIDTH]
    return widths + [f"backbone {text}" for text in _said(header, _backbone) if not text.startswith(BACKBONE)]


def _said(header: Header, part: Callable[[dict[str, Any]], str]) -> list[str]:
    """What the runs say of one part of their setting, each answer once; runs of SIAM have no width."""
    runs = [run for run in header.runs if "width" in run.get("config", {})]
    return sorted({text for run in runs if (text := part(run))})


def _width(run: dict[str, Any]) -> str:
    config = run["config"]
    if config.get("ablation") == "image_cnn":  # the other networks' layers are not its own
        return ""
    return f"{config['width']} width" + (" with other layers" if config.get("layers") else "")


def _rate(run: dict[str, Any]) -> str:
    rate = run["config"].get("frame_rate_hz")
    return f"{rate:g} Hz" if rate else ""


def _epochs(run: dict[str, Any]) -> str:
    plan = run["config"].get("optimisation", {})
    return f"at most {plan['epochs']} epochs of batches of {plan['batch']}" if {"epochs", "batch"} <= set(plan) else ""


def _backbone(run: dict[str, Any]) -> str:
    return run.get("backbone") or ""
