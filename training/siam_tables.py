"""The experiments on SIAM (SPEC B4) from per-clip predictions: tables with the printed numbers beside ours, and curves.

    python -m training.siam_tables runs/siam_study [runs/study] --out docs/results/siam

| file | holds |
|---|---|
| siam.json, siam.md, siam.html | S Tables 1-4, S Figures 6-8, tests |
| figure_6, figure_7, figure_8 | modules; clips with an error of at most so many years; ages with few clips left out |

Predictions of the first network, made on the same folds, stand beside SIAM's where they are given.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from smile.svg import Panel
from training import evaluate, predictions, report, siam_curves, statistics, tables
from training.ending import in_one_line
from training.predictions import Header, Prediction
from training.published import paper
from training.report import Table
from training.siam_curves import Curve
from training.siam_methods import FROM, GUESS, LEAST_OF, PHASES, SIAM
from training.tables import OURS, Results

NAMES = {SIAM: "SIAM", OURS: "FDIN", "siam_cnn": "convolutions alone"}
"""Methods that are compared clip by clip, where they were run."""
YEARS = tuple(range(16))
BETTER_TO = 9
"""Up to this error S Figure 7 shows SIAM above the others, in years."""


def age_tables(header: Header, items: Sequence[Prediction]) -> list[Table]:
    """Every table of S, whether anything was run or not; ours from the predictions of age."""
    results = tables.by_method(items)
    caption = tables.caption(header)
    made = []
    for name, printed in paper()["tables"].items():
        if name.startswith("S "):
            rows, shown = beside_phases(printed["rows"], results)
            text = f"{tables.caption(header, printed)} {_guessed(header, printed['rows'])}".rstrip()
            made.append(tables.comparison(name, printed | {"rows": rows}, header, shown, text))
    made += [success(results, caption), least_clips(header, results, caption)]
    made += tables.subdivisions("age", results, caption)
    ours = results.get(("age", SIAM), [])
    pairs = [
        (f"{SIAM} vs {method}", statistics.compare(ours, other))
        for (trait, method), other in results.items()
        if trait == "age" and method not in (SIAM, *FROM) and ours and other
    ]
    return made + tables.differences("age", pairs, caption)


def beside_phases(rows: Sequence[dict[str, Any]], results: Results) -> tuple[list[dict[str, Any]], Results]:
    """Below each row of a phase, one of SIAM's answers for the same clips, whole: not every clip shows every phase."""
    all_rows, found = [], dict(results)
    for row in rows:
        all_rows.append(row)
        if (method := row.get("method")) in PHASES:
            whole = f"{method}{tables.WHOLE}"
            kept = {item.clip for item in results.get(("age", method), [])}
            found["age", whole] = [item for item in results.get(("age", SIAM), []) if item.clip in kept]
            name = f"whole clip, the clips that show {row['name']}"
            all_rows.append({"name": name, "method": whole, "values": {}})
    return all_rows, found


def guess(header: Header, method: str) -> tuple[float, int] | None:
    """Error of always saying the mean age of a method's training clips, in years, and of how many clips; None where
    none of its runs tells. Runs count once, however many files name them."""
    runs = [run for run in header.runs if GUESS in run and run["config"]["method"] == method]
    folds = {run["config"]["fold"]: (run[GUESS], run["clips"][-1]) for run in runs}
    count = sum(clips for _, clips in folds.values())
    return (sum(error * clips for error, clips in folds.values()) / count, count) if count else None


def _guessed(header: Header, rows: Sequence[dict[str, Any]]) -> str:
    """What the first of a table's methods that was run would be worth if it had learned the mean age alone."""
    found = (guess(header, row["method"]) for row in rows if "method" in row and tables.is_shown(row, header))
    for years, clips in filter(None, found):
        return f"Always saying the mean age of the training clips: {years:.2f} ({clips:,})."
    return ""


def rates(items: Sequence[Prediction]) -> list[float]:
    """Share of the clips whose error is at most each of YEARS."""
    errors = np.array([item.error() for item in items])
    return [float((errors <= years).mean()) for years in YEARS]


def success(results: Results, caption: str) -> Table:
    """S Figure 7, of which the paper prints no number."""
    rows, records = [], []
    for method, name in NAMES.items():
        found = results.get(("age", method), [])
        shares = rates(found) if found else []
        texts = [f"{100 * share:.1f}" for share in shares] or [tables.NOT_RUN] * len(YEARS)
        rows.append((f"{name} ({len(found)} clips)", *texts))
        records.append({"method": method, "clips": len(found), "years": YEARS, "shares": shares})
    text = (
        f"Percent of the clips. {caption.replace(' (± standard error, clips in brackets)', '')} "
        f"The paper prints a curve without numbers, on which SIAM lies above the others up to {BETTER_TO} years."
    )
    columns = ("method", *(f"≤ {years}" for years in YEARS))
    return Table("S Figure 7", "Clips with an error of at most so many years", text, columns, tuple(rows), records)


def least_clips(header: Header, results: Results, caption: str) -> Table:
    """S Figure 8: ages with few clips left out, the network trained anew on the rest."""
    everyone, first = (results.get(("age", method), []) for method in (SIAM, OURS))
    rows: list[tuple[str, ...]] = []
    records: list[dict[str, Any]] = []
    for method, least in LEAST_OF.items():
        found = results.get(("age", method), [])
        kept = {item.clip for item in found}
        cells: list[str] = []
        record: dict[str, Any] = {"least": least, "clips": len(found)}
        for label, items in (("anew", found), ("whole", everyone), ("fdin", first)):
            mean = statistics.mean([item for item in items if item.clip in kept])
            cells.append(tables.mean_text(mean, "age", tables.NOT_RUN))
            record[label] = None if mean is None else asdict(mean)
        alone = guess(header, method)
        cells.append(tables.NOT_RUN if alone is None else f"{alone[0]:.2f}")
        clips, people = statistics.compare(found, first) if found and first else (None, None)
        cells += ["–" if test is None else tables.p_text(test) for test in (clips, people)]
        rows.append((str(least), str(len(found)), *cells))
        records.append(record | {"guess": alone and alone[0], "p": clips and clips.p, "subject_p": people and people.p})
    text = (
        f"Years. {caption} The paper prints a curve without numbers: SIAM is better than the others (p < 0.01) where "
        "every age has more than 5 clips. The split is that of all clips."
    )
    columns = (
        "clips of each age, at least",
        "clips",
        "SIAM trained on these alone",
        "SIAM trained on all, the same clips",
        "FDIN, the same clips",
        "always the mean age",
        "p, SIAM trained on these against FDIN, paired t over clips",
        "the same over subject means",
    )
    return Table("S Figure 8", "Ages with few clips left out", text, columns, tuple(rows), records)


def write(paths: Sequence[Path], folder: Path) -> None:
    """Read the predictions and write everything. Raises PredictionsError."""
    header, items = predictions.read(paths)
    items = [item for item in items if item.trait == "age"]
    warning = tables.warning(header)
    title = f"SIAM on {header.data_set}"
    report.write(folder, "siam", title, header.about, age_tables(header, items), warning)
    draw(header, tables.by_method(items), folder)


def draw(header: Header, results: Results, folder: Path) -> None:
    """S Figures 6 to 8, of the methods that were run."""
    note = siam_curves.place_of(header)
    figures = {6: modules_figure(results, note), 7: success_figure(results, note), 8: least_figure(results, note)}
    for number, drawn in figures.items():
        if drawn:
            siam_curves.write(folder / f"figure_{number}", drawn)


def modules_figure(results: Results, note: str) -> Panel | None:
    """Bars of our error and marks of the printed one; None where no method was run, as of the others."""
    rows = {}
    for row in paper()["tables"]["S Figure 6"]["rows"]:
        mean = statistics.mean(results.get(("age", row["method"]), []))
        rows[row["name"]] = (None if mean is None else mean.value, row["values"]["all"])
    if all(ours is None for ours, _ in rows.values()):
        return None
    return siam_curves.bars("Age, modules added one after another", note, rows)


def success_figure(results: Results, note: str) -> Panel | None:
    curves = [
        Curve(name, YEARS, rates(found)) for method, name in NAMES.items() if (found := results.get(("age", method)))
    ]
    title = "Clips with an error of at most so many years"
    return (
        siam_curves.lines(title, note, curves, "years", lambda share: f"{100 * share:.0f} %", 1.0) if curves else None
    )


def least_figure(results: Results, note: str) -> Panel | None:
    """Errors on the ages of which there are so many clips at least, once any were left out; a point for each run."""
    points: dict[str, dict[int, float]] = {}
    for anew, least in LEAST_OF.items():
        kept = {item.clip for item in results.get(("age", anew), [])}
        for name, method in (("trained on these", anew), ("trained on all", SIAM), (NAMES[OURS], OURS)):
            mean = statistics.mean([item for item in results.get(("age", method), []) if item.clip in kept])
            if mean:
                points.setdefault(name, {})[least] = mean.value
    if not any(len(found) > 1 for found in points.values()):
        return None
    curves = [Curve(name, tuple(found), tuple(found.values())) for name, found in points.items()]
    title = "Error on ages with so many clips at least, in years"
    return siam_curves.lines(title, note, curves, "clips of each age, at least", "{:.1f}".format)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.siam_tables", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("predictions", type=Path, nargs="+", help="predictions.jsonl, or folders that hold some")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    with in_one_line():
        write(evaluate.found(options.predictions), options.out)
    print(options.out / "siam.html")


if __name__ == "__main__":
    main()
