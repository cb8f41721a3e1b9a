"""`python compare_answers.py A.json B.json`: do two predictions for one clip agree? Standard library only."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

TOLERANCE = 1e-4
VOLATILE = {"request_id", "timings_ms"}
"""Differ from request to request by design."""


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every scalar of a JSON document with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{index}]")
    else:
        yield path, value


def main() -> None:
    documents = [json.loads(Path(name).read_text()) for name in sys.argv[1:3]]
    one, other = (dict(leaves({k: v for k, v in doc.items() if k not in VOLATILE})) for doc in documents)
    largest = 0.0
    for path in one.keys() | other.keys():
        a, b = one.get(path), other.get(path)
        if isinstance(a, int | float) and isinstance(b, int | float):
            difference = abs(a - b)
            largest = max(largest, difference)
            if difference <= TOLERANCE:
                continue
        if a != b:
            sys.exit(f"{path.lstrip('.')}: {a} is not {b}")
    sys.stdout.write(f"{len(one)} values, largest difference {largest:.1e}\n")


if __name__ == "__main__":
    main()
