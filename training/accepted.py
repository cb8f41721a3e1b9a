"""What a command goes on with because it is told to: other counts than the published ones, unreadable clips, and clips
that only look like one recording."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.feature_store import FeatureError
from training.published import add_counts

SKIPPED = "--accept-skipped"
MAX_SKIPPED = 0.01
"""Unless told otherwise: 12 of UvA-NEMO's 1,240 clips."""


@dataclass(frozen=True)
class Accepted:
    """By what is said on the command line.

    Attributes:
        counts: whether a published data set may have other counts than the published ones.
        skipped: share of the clips that may be unreadable; those are left out.
        duplicates: file of groups of clips that only look like one recording (training.duplicates.read_accepted).
    """

    counts: bool = False
    skipped: float = MAX_SKIPPED
    duplicates: Path | None = None

    @classmethod
    def of(cls, options: argparse.Namespace) -> "Accepted":
        """What the options of `add_options` say."""
        return cls(options.accept_counts, options.accept_skipped, options.accept_duplicates)


UNTOLD = Accepted()


def check_skipped(skipped: Mapping[str, str], clips: int, accepted: float) -> None:
    """Raises FeatureError where they are a larger share of all clips than is accepted.

    Args:
        skipped: name of each unreadable clip, and why.
    """
    if len(skipped) / max(clips, 1) > accepted:
        listed = "".join(f"\n  {name}: {why}" for name, why in skipped.items())
        limit = f"more than {100 * accepted:g}% ({SKIPPED} SHARE goes on)"
        raise FeatureError(f"{len(skipped)} of {clips} clips were found unreadable, {limit}:{listed}")


def add_skipped(parser: argparse.ArgumentParser) -> None:
    about = f"of the clips that may be unreadable, 0 to 1; they are left out (default {MAX_SKIPPED})"
    parser.add_argument(SKIPPED, type=_share, default=MAX_SKIPPED, metavar="SHARE", help=about)


def add_options(parser: argparse.ArgumentParser) -> None:
    add_counts(parser)
    add_skipped(parser)
    about = "of clips that are alike but not the same recording, a group of names on each line"
    parser.add_argument("--accept-duplicates", type=Path, metavar="FILE", help=about)


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share from 0 to 1")
    return share
