"""Answers with swapped dynamics, clip by clip: what training.perturb writes and its table is computed from.

A file is JSON Lines: the header of training.predictions with another format and how the pairs were chosen, then one
line for each pair and method.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from training.predictions import Header, PredictionsError, rounded
from training.whole import write_text

FORMAT = "smile-swaps/1"
FILE = "swaps.jsonl"


@dataclass(frozen=True)
class Swap:
    """The answers for a target after one region's d_k was taken from a donor, for each region.

    Attributes:
        target, donor: names of the clips. subject, age: of the target.
        plain, donated: answers for the two clips as they are: years, or the probability of female.
        swapped: region -> answer.
    """

    target: str
    subject: str
    age: int
    donor: str
    plain: float
    donated: float
    swapped: dict[str, float]


Answered = dict[str, list[Swap]]
"""Method -> its swaps."""


def write(path: Path, header: Header, pairs: str, answered: Answered) -> None:
    """Write one file; `pairs` tells how they were chosen."""
    lines = [json.dumps({"format": FORMAT, "pairs": pairs} | asdict(header))]
    for method, found in answered.items():
        for swap in found:
            record = asdict(swap) | {"plain": rounded(swap.plain), "donated": rounded(swap.donated)}
            record["swapped"] = {region: rounded(value) for region, value in swap.swapped.items()}
            lines.append(json.dumps({"method": method} | record))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "\n".join(lines) + "\n")


def read(path: Path) -> tuple[Header, str, Answered]:
    """Header, how the pairs were chosen, and all swaps. Raises PredictionsError with file and line, OSError."""
    lines = path.read_text(encoding="utf-8").splitlines() or [""]
    answered: Answered = {}
    for number, line in enumerate(lines, start=1):
        try:
            if number == 1:
                header, pairs = _head(line)
            else:
                record = json.loads(line)
                answered.setdefault(record.pop("method"), []).append(Swap(**record))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PredictionsError(f"{path}:{number}: not a file of format {FORMAT}: {error}") from error
    return header, pairs, answered


def _head(line: str) -> tuple[Header, str]:
    record = json.loads(line)
    if record.pop("format") != FORMAT:
        raise ValueError("another format")
    pairs = record.pop("pairs")
    return Header(**record), pairs
