"""What there is of which network: answers and figures."""

from collections.abc import Collection

from service.schemas import FigureKind, Networks

OF_RELATIONS: tuple[FigureKind, ...] = ("relations", "matrix", "course", "effects")
"""Kinds that are drawn of the first network."""


def unanswered(network: Networks, traits: Collection[str], explain: bool) -> str | None:
    """What is asked for of SIAM alone that it does not answer; None where it answers all."""
    if network == "siam" and "age" not in traits:
        return "traits: siam answers age alone; choose network=both, or leave traits out"
    if network == "siam" and explain:
        return "explain: it measures regions and pairs, which siam has none of; choose network=both, or leave it out"
    return None


def default(network: Networks) -> FigureKind:
    return "attention" if network == "siam" else "relations"


def reads(kind: FigureKind, network: Networks) -> Networks:
    """What has to read the clip for a figure, so that nothing else does."""
    if kind == "all":
        return network
    return "siam" if kind == "attention" else "fdin"


def is_explained(kind: FigureKind, network: Networks) -> bool:
    """Whether the figure needs a reading with effects, which SIAM has none of."""
    return network != "siam" and kind in ("effects", "all")


def refusal(kind: FigureKind, network: Networks) -> str | None:
    """Why there is no such figure of the network; None where there is."""
    if network in (reads(kind, network), "both"):
        return None
    return f"kind: {kind} is not drawn of network={network}; `attention` is SIAM's, the others are fdin's"
