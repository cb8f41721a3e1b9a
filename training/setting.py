"""How our networks were made, as far as the predictions know."""

from collections.abc import Callable
from typing import Any

from networks.siam_config import SiamConfig
from training.optimisation import Optimisation
from training.predictions import Header
from training.published import BACKBONE
from training.siam_methods import CHANGES

WIDTH = "paper width"
PAPERS = f"{WIDTH}, {BACKBONE}"
FDIN, SIAM = "width", "network"
"""What only the configuration of a run of the one and of the other holds."""
OURS = ("steadiness", "distillation", "settled")
"""Settings of training.optimisation.Optimisation that teach other than the papers' loss does (SPEC A4)."""
MODULES = {"spatial": "spatial attention", "recurrent": "recurrence", "temporal": "temporal attention"}


def caption(header: Header) -> str:
    """A sentence that begins with a space, or nothing."""
    parts = [" or ".join(_said(header, part)) for part in (_width, _rate, _epochs, _learned)]
    parts += [f"backbone {' or '.join(sources)}" for sources in [_said(header, _backbone)] if sources]
    known = ", ".join(part for part in parts if part)
    siam = ", ".join(filter(None, (" or ".join(_said(header, part, SIAM)) for part in (_siam, _rate, _epochs))))
    return (f" FDIN and its ablations: {known}." if known else "") + (f" SIAM: {siam}." if siam else "")


def differences(header: Header) -> list[str]:
    """Layers, losses and backbones that are not the papers'."""
    others = [text for text in _said(header, _width) if text != WIDTH] + _said(header, _learned)
    others += [f"SIAM with {text}" for text in _said(header, _siam, SIAM) if text != WIDTH]
    return others + [f"backbone {text}" for text in _said(header, _backbone) if not text.startswith(BACKBONE)]


def _said(header: Header, part: Callable[[dict[str, Any]], str], key: str = FDIN) -> list[str]:
    """What the runs whose configuration has `key` say of one part of their setting, each answer once."""
    runs = [run for run in header.runs if key in run.get("config", {})]
    return sorted({text for run in runs if (text := part(run))})


def _width(run: dict[str, Any]) -> str:
    config = run["config"]
    if config.get("ablation") == "image_cnn":  # the other networks' layers are not its own
        return ""
    return f"{config['width']} width" + (" with other layers" if config.get("layers") else "")


def _siam(run: dict[str, Any]) -> str:
    """Of SIAM's layers and modules; n and the dropout are chosen by validation in the paper as well."""
    config = run["config"]
    network = SiamConfig(**config["network"])
    papers = SiamConfig(**CHANGES.get(config["method"], {}))
    said = [_sizes(network)]
    if network.spatial and network.attention_after != papers.attention_after:
        said.append(f"attention after layer {network.attention_after}")
    if network.mechanism != papers.mechanism:
        said.append(f"{network.mechanism} weights")
    for field, name in MODULES.items():
        if (has := getattr(network, field)) != getattr(papers, field):
            said.append(f"{'with' if has else 'without'} {name}")
    return ", ".join(said)


def _sizes(network: SiamConfig) -> str:
    papers = SiamConfig()
    if all(getattr(network, name) == getattr(papers, name) for name in ("channels", "hidden", "attention_width")):
        return WIDTH
    channels = "-".join(map(str, network.channels))
    return f"{channels} channels, {network.hidden} hidden units, n {network.features}, d {network.attention_width}"


def _rate(run: dict[str, Any]) -> str:
    rate = run["config"].get("frame_rate_hz")
    return f"{rate:g} Hz" if rate else ""


def _epochs(run: dict[str, Any]) -> str:
    plan = run["config"].get("optimisation", {})
    return f"at most {plan['epochs']} epochs of batches of {plan['batch']}" if {"epochs", "batch"} <= set(plan) else ""


def _learned(run: dict[str, Any]) -> str:
    plan = run["config"].get("optimisation", {})
    ours = [f"{name} {plan[name]:g}" for name in OURS if name in plan and plan[name] != getattr(Optimisation, name)]
    return f"trained with {' and '.join(ours)}" if ours else ""


def _backbone(run: dict[str, Any]) -> str:
    """Runs of before the field was there say nothing; None is a backbone whose checkpoint had gone."""
    return run.get("backbone", "") or ("unknown" if "backbone" in run else "")
