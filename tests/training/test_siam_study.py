"""The experiments on SIAM in small, through the command line, on faces that are brighter with age."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from scipy.stats import ttest_rel

from networks.siam_config import siam_config
from tests.training import planted_faces
from training import (
    datasets,
    parallel,
    predictions,
    siam_faces,
    siam_plan,
    siam_search,
    siam_study,
    siam_tables,
    train_siam,
)
from training.predictions import Header, Prediction
from training.run_config import ConfigError
from training.siam_methods import GUESS, METHODS, PHASES, SIAM
from training.siam_plan import SiamPlan
from training.siam_record import Record
from training.siam_tables import rates
from training.tables import DISGUST_DATA, PAPERS_DATA, by_method
from training.train_siam import SiamRun

ROOT = Path(__file__).resolve().parents[2]


def test_tiny_study_runs_to_tables_and_repeats_nothing(tmp_path: Path) -> None:
    """Some of each kind of experiment; what cannot be run is named; a second call leaves every run as it is."""
    planted_faces.make(tmp_path)
    out = tmp_path / "study"
    methods = ["siam", "siam_mediate", "siam_cnn", "siam_posed", "siam_from_5"]
    paths = ["--data", str(tmp_path / "clips.csv"), "--out", str(out), "--cache", str(tmp_path / "cache")]
    command = [sys.executable, "-m", "training.siam_study", "--tiny", *paths, "--methods", *methods]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr[-3000:]
    files = sorted((out / "runs").rglob("predictions.jsonl"))
    assert len(files) == 8 and first.stdout.count("siam_from_5: a side of fold") == 2  # four clips of each age
    head, items = predictions.read(files)
    by_method = {method: [item for item in items if item.method == method] for method in METHODS}
    assert head.clips == len(by_method["siam"]) == len(by_method["siam_onset_apex"]) == 48
    assert {item.kind for item in by_method["siam_posed"]} == {"posed"} and len(by_method["siam_posed"]) == 24
    assert all(len(by_method[method]) == 48 for method in PHASES) and not by_method["siam_agnostic"]
    tables = {table["name"]: table for table in json.loads((out / "tables/siam.json").read_text())["tables"]}
    printed = {row["name"]: row for row in tables["S Table 1"]["records"]}
    assert printed["spatially indexed"]["columns"]["all"]["printed"] == 4.74
    assert printed["spatially indexed"]["columns"]["all"]["ours"]["n"] == 48
    assert printed["spatially agnostic"]["status"] == "not run"
    assert [row["clips"] for row in tables["S Table 2"]["records"]] == 11 * [48]
    assert "Always saying the mean age of the training clips: " in tables["S Table 1"]["caption"]
    assert "(48)" in tables["S Table 1"]["caption"] and "(24)" in tables["S Table 4"]["caption"]
    assert [row["status"] for row in tables["S Table 4"]["records"]][-1] == "not run"  # no disgust in these data
    assert all("another data set than ours" in tables[name]["caption"] for name in tables if "Figure" in name)
    assert all((out / f"tables/figure_{number}.png").stat().st_size > 5_000 for number in (6, 7))
    assert not (out / "tables/figure_8.png").exists()
    modules = (out / "tables/figure_6.svg").read_text()
    ours = {row["name"]: row["columns"]["all"]["ours"] for row in tables["S Figure 6"]["records"]}
    assert f"{ours['with temporal attention']['value']:.2f} (printed 4.74)" in modules
    assert "not run (printed 4.93)" in modules
    stamps = [path.stat().st_mtime_ns for path in files]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr[-3000:]
    assert [path.stat().st_mtime_ns for path in files] == stamps


def test_figure_8_compares_the_same_clips() -> None:
    """Where one of two clips is of an age that is left, only its answers count; what was not run has no line."""
    label = ("s", 30, "male", "posed", 0, "age")
    answers = [("a", SIAM, 31.0), ("b", SIAM, 50.0), ("a", "siam_from_5", 34.0)]
    items = [Prediction(clip, *label, method, years) for clip, method, years in answers]
    figure = siam_tables.least_figure(by_method(items), "drawn")
    assert figure is not None
    assert "trained on these: 4.0 at 5. trained on all: 1.0 at 5." in figure.description and "FDIN" not in figure.body


def test_figures_of_networks_that_are_never_right_are_drawn() -> None:
    """No clip within fifteen years is a result, not an error; the axis ends at all of them."""
    items = [Prediction("a", "s", 30, "male", "posed", 0, "age", SIAM, 60.0)]
    figure = siam_tables.success_figure(by_method(items), "drawn")
    assert figure is not None and "0 % at 15" in figure.description and "100 %" in figure.body


def test_success_counts_what_is_exact_and_ends_at_all() -> None:
    """Errors of 0, 1.5 and 15 years: a third at once, two thirds from two years, all of them at the end."""
    items = [Prediction(str(n), "s", 30, "male", "posed", 0, "age", SIAM, 30 + e) for n, e in enumerate((0, 1.5, 15))]
    shares = rates(items)
    assert [round(share * 3) for share in shares] == [1, 1] + 13 * [2] + [3]


def _plan(arguments: list[str], methods: list[str] | None = None) -> SiamPlan:
    return siam_plan.plan_of(siam_plan.parser("siam_study", "").parse_args(arguments), methods)


def test_search_chooses_by_validation_for_each_fold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fold takes the option with the least validation error, nothing is run twice, and a study takes them over."""
    planted_faces.make(tmp_path)
    monkeypatch.setattr(siam_search, "OPTIONS", {"dropout": (0.0, 0.4), "l2": (1e-4, 5e-3)})
    plan = replace(siam_plan.TINY, frame_rate_hz=planted_faces.RATE_HZ, methods=(SIAM,))
    out, cache, data = tmp_path / "search", tmp_path / "cache", tmp_path / "clips.csv"
    best = siam_search.search(plan, data, out, cache, 2)
    tried = json.loads((out / "search.json").read_text())["tried"]
    assert len(tried) == len(list((out / "runs").rglob("predictions.jsonl"))) == 2 * 3
    for fold in range(2):
        least = min((one for one in tried if one["fold"] == fold), key=lambda one: one["validation_mae_years"])
        assert best[str(fold)] == {name: least[name] for name in siam_search.OPTIONS}
    settings = siam_plan.settings_of(out / "search.json", plan, datasets.read(data))
    run = siam_study.runs(plan, data, tmp_path, cache, settings)[1]
    assert (run.network.dropout, run.optimisation.l2) == (best["1"]["dropout"], best["1"]["l2"])
    with pytest.raises(ConfigError, match="other folds"):
        siam_plan.settings_of(out / "search.json", replace(plan, seed=1), datasets.read(data))


def test_a_study_can_be_made_smaller_in_every_way() -> None:
    """What is given replaces the plan's, zero included; what is not given stays; every method keeps its change."""
    least = ["--data", "d", "--out", "o"]
    assert _plan(least) == siam_plan.FULL
    assert _plan([*least, "--tiny"]) == siam_plan.TINY
    shrunk = ["--width", "small", "--folds", "5", "--seed", "3", "--schedule", "cosine"]
    plan = _plan([*least, *shrunk], ["siam_mediate"])
    network = plan.network(*plan.methods)
    assert (network.channels, network.features, network.mechanism) == ((8, 16, 16), 32, "mediate")
    assert (plan.folds, plan.seed, plan.optimisation.schedule) == (5, 3, "cosine")
    assert plan.optimisation.epochs == siam_plan.FULL.optimisation.epochs
    assert _plan(least, ["siam_rnn", "siam", "siam_rnn"]).methods == ("siam_rnn", "siam")  # a run has one folder
    wide = _plan([*least, "--tiny", "--width", "compact", "--seed", "0"])
    assert wide.network(SIAM) == siam_config("compact") and wide.seed == 0


def test_a_phase_stands_beside_the_whole_of_the_clips_that_show_it() -> None:
    """One of two clips shows the onset, and its whole is answered better: the row beside the phase says so."""
    label = ("s", 30, "male", "posed", 0, "age")
    answers = [("a", SIAM, 31.0), ("b", SIAM, 50.0), ("a", "siam_onset", 34.0)]
    items = [Prediction(clip, *label, method, years) for clip, method, years in answers]
    (table,) = (
        made for made in siam_tables.age_tables(Header("drawn", True, 2, "0"), items) if made.name == "S Table 2"
    )
    ours = {row["name"]: row["columns"]["all"]["ours"] for row in table.records}
    assert (ours["onset"]["value"], ours["whole clip, the clips that show onset"]["value"]) == (4, 1)
    assert (ours["whole clip"]["value"], ours["whole clip"]["n"]) == (10.5, 2)
    assert ours["whole clip, the clips that show apex"] is None


def test_the_error_of_the_mean_age_is_pooled_over_folds() -> None:
    """Weighted by the test clips of each fold; a run that two files name counts once, other methods' not at all."""
    folds = [(0, SIAM, 10.0, 30), (1, SIAM, 20.0, 10), (0, SIAM, 10.0, 30), (0, "siam_posed", 1.0, 5)]
    runs = [
        {"config": {"method": method, "fold": fold}, "clips": [9, 9, clips], GUESS: error}
        for fold, method, error, clips in folds
    ]
    header = Header("drawn", True, 40, "0", {"runs": [*runs, {"config": {"ablation": "full"}}]})
    assert siam_tables.guess(header, SIAM) == (12.5, 40) and siam_tables.guess(header, "siam_posed") == (1.0, 5)
    assert siam_tables.guess(header, "siam_cnn") is None


def test_a_caption_tells_the_mean_age_of_its_own_data() -> None:
    """S Table 4 has posed smiles on smiles, and all clips on disgust: the error on all smiles is another table's."""
    run = {"config": {"method": SIAM, "fold": 0}, "clips": [9, 9, 30], GUESS: 10.0}
    said = {
        data: {made.name: made.caption for made in siam_tables.age_tables(Header(data, False, 30, "0", run), [])}
        for data in (PAPERS_DATA, DISGUST_DATA)
    }
    guessed = "Always saying the mean age of the training clips: 10.00 (30)."
    assert guessed in said[PAPERS_DATA]["S Table 1"] and guessed not in said[PAPERS_DATA]["S Table 4"]
    assert guessed in said[DISGUST_DATA]["S Table 4"]


def test_ages_with_few_clips_are_compared_over_clips_and_over_people() -> None:
    """Means with their standard error and number, as the caption says, and both tests (SPEC A8)."""
    errors = {SIAM: [1.0, 2.0, 3.0, 6.0], "full": [2.0, 5.0, 3.0, 9.0], "siam_from_5": [4.0, 5.0, 7.0]}
    items = [
        Prediction(str(clip), f"s{clip // 2}", 30, "male", "posed", 0, "age", method, 30 + error)
        for method, found in errors.items()
        for clip, error in enumerate(found)
    ]
    table = siam_tables.least_clips(Header("drawn", True, 4, "0"), by_method(items), "drawn.")
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["1"][:4] == ("4", "3.00 ± 1.08 (4)", "3.00 ± 1.08 (4)", "4.75 ± 1.55 (4)")
    assert rows["5"][:4] == ("3", "5.33 ± 0.88 (3)", "2.00 ± 0.58 (3)", "3.33 ± 0.88 (3)")
    clips, people = (
        f"{ttest_rel(*pairs).pvalue:.4f}" for pairs in (([1, 2, 3, 6], [2, 5, 3, 9]), ([1.5, 4.5], [3.5, 6]))
    )
    assert rows["1"][4:] == ("not run", clips, people)
    assert rows["2"] == ("0", *4 * ["not run"], "–", "–")
    (record,) = (record for record in table.records if record["least"] == 1)
    assert (f"{record['p']:.4f}", f"{record['subject_p']:.4f}") == (clips, people)


def test_an_option_that_diverges_is_left_out_of_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, and the others are compared without it."""
    planted_faces.make(tmp_path)
    monkeypatch.setattr(siam_search, "OPTIONS", {"dropout": (0.1, 0.4)})
    monkeypatch.setattr(siam_search, "error_of", lambda run: inf if run.network.dropout == 0.1 else 9.0)
    monkeypatch.setattr(parallel, "run_all", lambda work, jobs, *_, **__: ["dropout 0.1: loss is nan"] if jobs else [])
    monkeypatch.setattr(Record, "usable", lambda *_: frozenset())
    best = siam_search.search(siam_plan.TINY, tmp_path / "clips.csv", tmp_path / "search", tmp_path / "cache", 1)
    record = json.loads((tmp_path / "search/search.json").read_text())
    assert [settings["dropout"] for settings in best.values()] == [0.4, 0.4]
    assert record["not_possible"] == ["dropout 0.1: loss is nan"] and record["tried"][0]["validation_mae_years"] is None


def bound(run: SiamRun, usable: frozenset[str]) -> str:
    """In place of a run: the GPU that its process sees."""
    return str(os.environ.get(parallel.VISIBLE))


def test_a_process_trains_on_a_gpu_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study and a search bind their processes to the GPUs that there are, as the first network's study does."""
    planted_faces.make(tmp_path)
    monkeypatch.setattr(parallel, "gpus", lambda: ("GPU-8f3a",))
    monkeypatch.setattr(siam_study, "attempt", bound)
    plan = replace(siam_plan.TINY, frame_rate_hz=planted_faces.RATE_HZ, methods=(SIAM,))
    places = (tmp_path / "clips.csv", tmp_path / "out", tmp_path / "cache")
    with pytest.raises(ConfigError, match=r"could be trained in fold 0: GPU-8f3a(; GPU-8f3a)+$"):
        siam_search.search(plan, *places, None)
    assert siam_study.study(plan, *places) == 2 * ["GPU-8f3a"]
    assert json.loads((tmp_path / "out/study.json").read_text())["not_possible"] == 2 * ["GPU-8f3a"]


def test_a_study_is_of_the_files_and_the_preprocessor_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else finished runs and refusals of other clips would count: a clip that was replaced, and another way from file
    to face, are refused by name."""
    dataset = planted_faces.make(tmp_path)
    plan, path = replace(siam_plan.TINY, frame_rate_hz=planted_faces.RATE_HZ), tmp_path / "study.json"
    Record.begin(path, plan, dataset).save(refused={})
    assert Record.begin(path, plan, dataset).fields["refused"] == {}
    with monkeypatch.context() as later:
        later.setattr(siam_faces, "preprocessing", lambda: "another")
        with pytest.raises(ConfigError, match="holds another study: features differ"):
            Record.begin(path, plan, dataset)
    dataset.clips[0].path.write_bytes(b"mended")
    with pytest.raises(ConfigError, match="holds another study: content differ"):
        Record.begin(path, plan, dataset)


@pytest.mark.parametrize("command", [siam_study.main, siam_search.main, train_siam.main])
def test_an_incomplete_uva_nemo_is_refused_unless_that_is_asked(
    tmp_path: Path, command: Callable[[list[str]], None]
) -> None:
    """Before anything is computed, by every command that would write of it under its own name."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/001_deliberate_smile_1.mp4").write_bytes(b"a clip")
    details = "001_deliberate_smile_1.mp4\t001\tmale\t30\tdeliberate"
    (tmp_path / "UvA-NEMO_Smile_Database_File_Details.txt").write_text(details)
    data = ["--data"] if command != train_siam.main else []
    given = [*data, str(tmp_path), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    with pytest.raises(SystemExit, match=r"FAIL subjects: 1 \(published: 400\)"):
        command(given)
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit, match="1 subjects are too few"):
        command([*given, "--accept-counts", "--accept-skipped", "1"])
