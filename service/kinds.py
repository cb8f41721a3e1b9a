"""Which figures there are of which network."""

from service.schemas import FigureKind, Networks

OF_RELATIONS: tuple[FigureKind, ...] = ("relations", "matrix", "course", "effects")
"""Kinds that are drawn of the first network."""
EXPLAINED: tuple[FigureKind, ...] = ("effects", "all")
"""Kinds that need a reading with effects."""


def default(network: Networks) -> FigureKind:
    return "attention" if network == "siam" else "relations"


def reads(kind: FigureKind, network: Networks) -> Networks:
    """What has to read the clip for a figure, so that nothing else does."""
    if kind == "all":
        return network
    return "siam" if kind == "attention" else "fdin"


def refusal(kind: FigureKind, network: Networks) -> str | None:
    """Why there is no such figure of the network; None where there is."""
    if network in (reads(kind, network), "both"):
        return None
    return f"kind: {kind} is not drawn of network={network}; `attention` is SIAM's, the others are fdin's"
