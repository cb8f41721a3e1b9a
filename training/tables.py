"""The papers' tables with the printed numbers beside ours, from per-clip predictions.

Ours are pooled over the clips of all folds, plus or minus the standard error, with the number of clips in brackets.
What was not run says so; what was run on another data set than the papers', or with another network, says so in every
caption.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np

from networks.config import ABLATIONS, TRAITS
from smile.tensors import GENDERS
from training import interpretation, predictions, report, setting, statistics
from training.datasets import KINDS, age_group
from training.predictions import METHODS, Header, Prediction, zeroed_key
from training.published import paper
from training.report import Table
from training.siam_methods import PHASES, POSED, SIAM
from training.statistics import Comparison, Mean

PAPERS_DATA, DISGUST_DATA = "UvA-NEMO Smile", "UvA-NEMO Disgust"
PERTURBED_GROUP = "37-65"
"""Printed as 37-66, read as half-open (SPEC A5)."""
ZEROED_TABLE = "P0 Table 1"
OURS = "full"
STANDARD_ERROR = "standard error"
WHOLE = "_whole"
"""After the name of a phase: SIAM's answers for the clips that show it, whole."""
NOT_RUN = "not run"
NOT_PRINTED = "–"
LABELS = {
    "all": "all",
    "mae": "error",
    "spontaneous_to_19": "spontaneous, to 19",
    "spontaneous_over_19": "spontaneous, over 19",
    "posed_to_19": "posed, to 19",
    "posed_over_19": "posed, over 19",
}
Results = dict[tuple[str, str], list[Prediction]]
Sets = list[list[str]]
"""Sets of zeroed regions whose errors are averaged; of one with no region it is the undisturbed error."""


def tables(header: Header, items: Sequence[Prediction]) -> list[Table]:
    """Every table that the predictions allow; the papers' own always, whether anything was run or not."""
    results = by_method(items)
    text = caption(header)
    made = []
    for name, printed in paper()["tables"].items():
        build = _perturbation if "zeroed" in printed["rows"][0] else comparison
        made.append(build(name, printed, header, results, caption(header, printed)))
    for trait in TRAITS:
        made += subdivisions(trait, results, text) + _tests(trait, results, text)
        if trait == "gender":
            made += _confusion(results, text)
        ours = results.get((trait, OURS), [])
        made += interpretation.relations(ours, text) + interpretation.effects(ours, text)
    return made


def by_method(items: Sequence[Prediction]) -> Results:
    """(trait, method) -> its predictions."""
    results: Results = {}
    for item in items:
        results.setdefault((item.trait, item.method), []).append(item)
    return results


def write(paths: Sequence[Path], folder: Path) -> None:
    """Read the predictions and write tables.json, tables.md and tables.html. Raises PredictionsError."""
    header, items = predictions.read(paths)
    title = f"Results on {header.data_set}"
    report.write(folder, "tables", title, header.about, tables(header, items), warning(header))


def warning(header: Header) -> str:
    """What stands at the top of a report, so that nobody takes its numbers for the papers'."""
    if header.simulated:
        return f"Simulated data ({header.data_set}). Nothing here was measured on people, or on {PAPERS_DATA}."
    if header.data_set != PAPERS_DATA:
        return f"Measured on {header.data_set}, not on the papers' {PAPERS_DATA}."
    others = setting.differences(header)
    return f"Not the papers' network (theirs: {setting.PAPERS}): {'; '.join(others)}." if others else ""


def caption(header: Header, printed: dict[str, Any] | None = None) -> str:
    """What every table says about the data and about our networks.

    Args:
        printed: the papers' table; where absent, it is not theirs, or on smiles.
    """
    papers = (printed or {}).get("data", [PAPERS_DATA])
    named = " and ".join(papers)
    data = f"{header.data_set}, {header.clips:,} clips, folds {header.split}"
    ours = f"Ours (± {STANDARD_ERROR}, clips in brackets): {data}.{setting.caption(header)}"
    if header.simulated:
        return f"{ours} These are simulated clips: not comparable with the papers' numbers ({named})."
    comparable = "" if header.data_set in papers else ", another data set than ours: not comparable"
    return f"{ours} Papers: {named}{comparable}."


def comparison(name: str, printed: dict[str, Any], header: Header, results: Results, caption: str) -> Table:
    """A table of methods by subdivisions of the clips."""
    trait = printed["trait"]
    spread = printed.get("spread", STANDARD_ERROR)
    caption = caption.replace(STANDARD_ERROR, spread)
    columns = list(dict.fromkeys(column for row in printed["rows"] for column in row["values"]))
    rows, records = [], []
    for row in printed["rows"]:
        found = results.get((trait, row.get("method", "")), []) if is_shown(row, header) else []
        means = statistics.groups(found)
        texts, cells = [], {}
        for column in columns:
            value, ours = row["values"].get(column), means.get(column)
            absent = NOT_RUN if "method" in row and not found else NOT_PRINTED
            width = f" ± {row['sd']:.2f}" if column == "all" and "sd" in row else ""
            texts.append(NOT_PRINTED if value is None else f"{value:.2f}{width}")
            texts.append(mean_text(ours, trait, absent, of_clips=spread != STANDARD_ERROR))
            cells[column] = {"printed": value, "ours": _record(ours)}
        rows.append((_row_name(row, found, header), *texts))
        status = NOT_RUN if "method" in row and not found else ("run" if found else "not ours")
        listed = {key: row.get(key) for key in ("name", "method", "note")}
        records.append({**listed, "status": status, "clips": len(found), "columns": cells})
    head = [text for column in columns for text in (f"{LABELS.get(column, column)}: paper", "ours")]
    notes = " ".join(f"{row['name']}: {row['note']}." for row in printed["rows"] if "note" in row)
    unit = "Years" if trait == "age" else "Percent"
    text = " ".join(part for part in (f"{unit}. {caption}", notes, _claim(printed)) if part)
    return Table(name, printed["title"], text, ("method", *head), tuple(rows), records)


def is_shown(row: dict[str, Any], header: Header) -> bool:
    """Whether a printed row is of the expression of the data set, a smile or disgust."""
    expression = "disgust" if header.data_set == DISGUST_DATA else "smile"
    return bool(row.get("expression", expression) == expression)


def _perturbation(name: str, printed: dict[str, Any], header: Header, results: Results, caption: str) -> Table:
    """The table of zeroed regions; where several are zeroed, jointly and each alone, since the papers do not say."""
    everyone = results.get((printed["trait"], OURS), [])
    items = _perturbed(everyone)
    rows, records = [], []
    for row in printed["rows"]:
        for index, (label, sets) in enumerate(_variants(row["zeroed"])):
            ours = statistics.mean(items, _zeroed_error(sets)) if _has_zeroed(items, sets) else None
            value = f"{row['values']['mae']:.2f} ± {row['se']:.2f}" if index == 0 else NOT_PRINTED
            rows.append((label, row.get("note", ""), value, mean_text(ours, "age", NOT_RUN)))
            mae, se = (row["values"]["mae"], row["se"]) if index == 0 else (None, None)
            records.append({"zeroed": sets, "printed": mae, "printed_se": se, "ours": _record(ours)})
    columns = ("zeroed", "role in the papers", "paper", "ours")
    text = f"Years ± standard error, ages {PERTURBED_GROUP}. {caption}"
    if 0 < len(everyone) < header.clips:
        text += f" Incomplete: {len(everyone):,} of {header.clips:,} clips."
    text = f"{text} {_claim(printed)}".rstrip()
    return Table(name, printed["title"], text, columns, tuple(rows), records)


def _claim(printed: dict[str, Any]) -> str:
    """What the paper says of the significance of its table, and where ours is."""
    if "claim" not in printed:
        return ""
    ours = f" Our tests: below, {printed['trait']}." if printed.get("tested", True) else ""
    return f"The paper: {printed['claim']}.{ours}"


def _perturbed(items: Sequence[Prediction]) -> list[Prediction]:
    return [item for item in items if age_group(item.age) == PERTURBED_GROUP]


def _variants(zeroed: list[str]) -> list[tuple[str, Sets]]:
    """Ways to zero these regions, with a label: jointly, and where they are several each alone."""
    jointly = zeroed_key(zeroed) or "nothing"
    each = [(f"{jointly}, each alone, averaged", [[region] for region in zeroed])] if len(zeroed) > 1 else []
    return [(jointly, [zeroed]), *each]


def _has_zeroed(items: Sequence[Prediction], sets: Sets) -> bool:
    return all(zeroed_key(regions) in item.zeroed for item in items for regions in sets if regions)


def _zeroed_error(sets: Sets) -> Callable[[Prediction], float]:
    """The error of a clip in years, averaged over the sets of zeroed regions."""
    keys = [zeroed_key(regions) for regions in sets]
    return lambda item: float(np.mean([item.error(item.zeroed[key] if key else None) for key in keys]))


def _zeroed_tests(everyone: Sequence[Prediction]) -> list[tuple[str, list[Comparison]]]:
    """Each two rows of the papers' table of zeroed regions, important and less important ones among them."""
    items = _perturbed(everyone)
    pairs = []
    for rows in combinations(paper()["tables"][ZEROED_TABLE]["rows"], 2):
        for (first, one), (second, other) in product(*(_variants(row["zeroed"]) for row in rows)):
            if items and _has_zeroed(items, [*one, *other]):
                label = f"{OURS}, ages {PERTURBED_GROUP}, zeroed: {first} vs {second}"
                pairs.append((label, statistics.disturbed(items, _zeroed_error(one), _zeroed_error(other))))
    return pairs


def subdivisions(trait: str, results: Results, caption: str) -> list[Table]:
    """All means of all methods, with every spread."""
    rows, records = [], []
    for method in METHODS:
        items = results.get((trait, method), [])
        means = statistics.groups(items)
        if folds := statistics.fold_mean(items):
            means["mean of the folds"] = folds
        for group, mean in means.items():
            spread = [_number(value, trait) for value in (mean.value, mean.se, mean.sd)]
            people = [_number(value, trait) for value in (mean.subject_value, mean.subject_se)]
            rows.append((method, group, f"{mean.n:,}", *spread, f"{mean.subjects:,}", *people))
            records.append({"method": method, "group": group, **asdict(mean)})
    if not rows:
        return []
    measure = "mean absolute error in years" if trait == "age" else "accuracy in percent"
    columns = ("method", "clips", "n", measure, "SE", "SD", "subjects", "mean of subjects", "SE of subjects")
    text = f"{caption} SD and SE over clips, then over subject means. In the row of folds, n counts folds."
    return [Table(f"Subdivisions, {trait}", measure, text, columns, tuple(rows), records)]


def _tests(trait: str, results: Results, caption: str) -> list[Table]:
    """The full network against every other method; within it groups of people, and sets of zeroed regions."""
    ours = results.get((trait, OURS), [])
    pairs: list[tuple[str, list[Comparison]]] = []
    for method in (*ABLATIONS, SIAM):
        if ours and method != OURS and (other := results.get((trait, method))):
            pairs.append((f"{OURS} vs {method}", statistics.compare(ours, other)))
    for attribute, (first, second) in (("kind", KINDS), ("gender", GENDERS)):
        samples = [[item for item in ours if getattr(item, attribute) == value] for value in (first, second)]
        if all(samples):
            pairs.append((f"{OURS}: {first} vs {second}", statistics.contrast(*samples)))
    if trait == paper()["tables"][ZEROED_TABLE]["trait"]:
        pairs += _zeroed_tests(ours)
    return differences(trait, pairs, caption)


def differences(trait: str, pairs: Sequence[tuple[str, list[Comparison]]], caption: str) -> list[Table]:
    """A table of tests, each pair under its label; none without any."""
    if not pairs:
        return []
    rows, records = [], []
    for label, tests in pairs:
        for test in tests:
            n = f"{test.n:,}" if isinstance(test.n, int) else " + ".join(f"{count:,}" for count in test.n)
            rows.append((label, test.name, n, _number(test.difference, trait), p_text(test)))
            records.append({"comparison": label, **asdict(test)})
    unit = "years" if trait == "age" else "percentage points"
    columns = ("comparison", "test", "n", f"difference ({unit})", "p, two-sided")
    text = f"{caption} Differences are first minus second; exact tests count the pairs that differ."
    return [Table(f"Tests, {trait}", "are the differences more than chance", text, columns, tuple(rows), records)]


def _confusion(results: Results, caption: str) -> list[Table]:
    rows, records = [], []
    for method in ABLATIONS:
        items = results.get(("gender", method), [])
        for true, counts in statistics.confusion(items).items() if items else ():
            rows.append((method, true, *(f"{counts[label]:,}" for label in GENDERS)))
            records.append({"method": method, "true": true, **counts})
    if not rows:
        return []
    columns = ("method", "labelled as", *(f"answered {label}" for label in GENDERS))
    return [Table("Confusion, gender", "clips by true and answered label", caption, columns, tuple(rows), records)]


def _row_name(row: dict[str, Any], found: Sequence[Prediction], header: Header) -> str:
    """With what a method lacks of the clips that it is meant for; not every clip shows every phase."""
    name, method = row["name"], row.get("method", "")
    if not found or len(found) == (meant := _meant(header, method)):
        return name
    shows = method.removesuffix(WHOLE) in PHASES
    return f"{name} ({len(found):,} clips)" if shows else f"{name} (incomplete: {len(found):,} of {meant:,} clips)"


def _meant(header: Header, method: str) -> int:
    """How many clips a method is to answer: all, or of posed ones alone as many as its runs counted."""
    runs = [run for run in header.runs if "clips" in run and run["config"]["method"] == POSED == method]
    return max((sum(run["clips"]) for run in runs), default=header.clips)


def mean_text(mean: Mean | None, trait: str, absent: str, of_clips: bool = False) -> str:
    """`of_clips`: with the spread of the clips, not of the mean."""
    if mean is None:
        return absent
    return f"{_number(mean.value, trait)} ± {_number(mean.sd if of_clips else mean.se, trait)} ({mean.n:,})"


def p_text(test: Comparison) -> str:
    if test.p is None:
        return "undefined"
    return f"{test.p:.4f}" if test.p >= 1e-4 else f"{test.p:.1e}"


def _number(value: float | None, trait: str) -> str:
    return "?" if value is None else f"{value * (1 if trait == 'age' else 100):.2f}"


def _record(mean: Mean | None) -> dict[str, Any] | None:
    return None if mean is None else asdict(mean)
