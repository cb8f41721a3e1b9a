"""The papers' swap of dynamics from trained runs, through the command line."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from networks import checkpoint
from networks.network import InterpreterNetwork
from smile.regions import NAMES
from tests.training import planted_features
from training import datasets, feature_store, perturb, protocol, swap_table, train
from training.datasets import Clip
from training.feature_store import Features
from training.swaps import Swap

LAYERS = {"fc1": 16, "lstm": 16, "relation": [32, 32], "estimator": [16, 8]}
RUNS = (("full", 0), ("full", 1), ("no_ri", 0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of one epoch: the full network on both folds, the one without importances on the first."""
    made = tmp_path_factory.mktemp("swapped")
    planted_features.make(made)
    paths = {name: str(made / name) for name in ("backbone", "cache")}
    paths |= {"data": str(made / "clips.csv"), "split": str(made / "folds.json")}
    for ablation, fold in RUNS:
        config = made / f"{ablation}{fold}.yaml"
        values = {"out": str(made / "runs/age" / ablation / str(fold)), "ablation": ablation, "fold": fold}
        plan = {"trait": "age", "width": "compact", "layers": LAYERS, "optimisation": {"epochs": 1, "batch": 8}}
        config.write_text(yaml.safe_dump(paths | values | plan))
        train.main(["--config", str(config)])
    return made


@pytest.fixture(scope="module")
def content(folder: Path) -> dict:
    """swap.json of all the runs."""
    perturb.main([str(folder / "runs"), "--out", str(folder / "out")])
    return json.loads((folder / "out/swap.json").read_text())


def sides(folder: Path, fold: int) -> list[Clip]:
    dataset = datasets.read(folder / "clips.csv")
    return list(protocol.load(folder / "folds.json").sides(dataset, fold).test)


@torch.inference_mode()
def dynamics(network: InterpreterNetwork, features: Features, clip: Clip) -> Tensor:
    """d_i of one clip by itself."""
    regions = torch.from_numpy(np.array(features.regions(clip)))[None]
    return network.encode(regions, torch.tensor([regions.shape[1]]))[0]


def test_the_table_has_the_printed_errors_beside_ours(folder: Path, content: dict) -> None:
    """Both networks, nothing swapped and the papers' three regions first, in three formats that name the data set."""
    (table,) = content["tables"]
    for method, printed in (("full", [0.41, 2.38, 1.40, 1.81]), ("no_ri", [1.20, 7.45, 1.87, 4.21])):
        rows = [row for row in table["records"] if row["method"] == method]
        assert [row["swapped"] for row in rows[:4]] == [None, "left_cheek", "left_eye", "right_eye"]
        assert [row["printed"]["P0"] for row in rows[:4]] == printed
        assert {row["swapped"] for row in rows} == {None, *NAMES} and len(rows) == 1 + len(NAMES)
        folds = [fold for name, fold in RUNS if name == method]
        targets = sum(13 <= clip.age <= 19 for fold in folds for clip in sides(folder, fold))
        assert {row["error"]["n"] for row in rows} == {targets} and targets > 1
    markdown, page = (folder / "out/swap.md").read_text(), (folder / "out/swap.html").read_text()
    for text in (markdown, page, table["caption"]):
        assert datasets.read(folder / "clips.csv").name in text and "donor of ages 66+" in text
    assert "| 1.81 | 1.89 |" in markdown


def test_every_pair_is_of_the_test_side_and_the_same_for_both_networks(folder: Path) -> None:
    """No clip that a network learned from, no pair of one person, no pair outside the papers' ages."""
    header, answered = perturb.answers(perturb.runs([folder / "runs"]))
    assert header.clips == 120
    for fold in (0, 1):
        test = {clip.name for clip in sides(folder, fold)}
        for target, donor in perturb.drawn(sides(folder, fold)):
            assert {target.name, donor.name} <= test and target.subject != donor.subject
            assert 13 <= target.age <= 19 and donor.age >= 66
    targets = {method: [swap.target for swap in found] for method, found in answered.items()}
    assert targets["no_ri"] == targets["full"][: len(targets["no_ri"])]


def test_the_numbers_are_those_of_the_swapped_networks(folder: Path, content: dict) -> None:
    """The mean error with the left cheek of the donors, recomputed from the weights of each fold."""
    dataset = datasets.read(folder / "clips.csv")
    features = feature_store.load(dataset, folder / "backbone", folder / "cache")
    errors, shifts = [], []
    for fold in (0, 1):
        network = checkpoint.load_network(folder / "runs/age/full" / str(fold) / "network")
        assert isinstance(network, InterpreterNetwork)
        for target, donor in perturb.drawn(sides(folder, fold)):
            own, other = (dynamics(network, features, clip) for clip in (target, donor))
            mixed = own.clone()
            mixed[NAMES.index("left_cheek")] = other[NAMES.index("left_cheek")]
            with torch.inference_mode():
                output = network.interpret(torch.stack([own, other, mixed]).unsqueeze(1)).output
                before, donated, after = network.answer(output).flatten().tolist()
            errors.append(abs(after - target.age))
            shifts.append((after - before) * np.sign(donated - before))
    row = next(r for r in content["tables"][0]["records"] if (r["method"], r["swapped"]) == ("full", "left_cheek"))
    for found, values in ((row["error"], errors), (row["shift"], shifts)):
        assert found["value"] == pytest.approx(np.mean(values), abs=1e-3)
        assert found["se"] == pytest.approx(np.std(values, ddof=1) / len(values) ** 0.5, abs=1e-3)


def test_the_table_comes_again_from_the_kept_answers(folder: Path, content: dict, tmp_path: Path) -> None:
    """Every number of the table can be had from swaps.jsonl, and a broken line of it is named."""
    kept = folder / "out/swaps.jsonl"
    perturb.main(["--tables", str(kept), "--out", str(tmp_path)])
    assert json.loads((tmp_path / "swap.json").read_text()) == content
    broken = tmp_path / "broken.jsonl"
    broken.write_text(kept.read_text().replace('"donated"', '"given"', 1))
    with pytest.raises(SystemExit, match="broken.jsonl:2: not a file of format"):
        perturb.main(["--tables", str(broken), "--out", str(tmp_path)])


def test_a_clip_that_was_learned_from_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named clips of another side than the test side end with a message, those of it are swapped; one pair has no
    standard error."""
    (target, donor), *_ = perturb.drawn(sides(folder, 0))
    run = str(folder / "runs/age/full/0")
    perturb.main([run, "--target", target.name, "--donor", donor.name])
    assert capsys.readouterr().out.count(" towards the donor, standard error ?\n") == len(NAMES)
    with pytest.raises(SystemExit, match=f"{donor.name}: not a readable clip of the test side of fold 1"):
        perturb.main([str(folder / "runs/age/full/1"), "--target", sides(folder, 1)[0].name, "--donor", donor.name])


def test_folds_that_changed_meanwhile_are_refused(folder: Path, tmp_path: Path) -> None:
    """Other folds under a trained run would turn training clips into test clips."""
    run = tmp_path / "run"
    shutil.copytree(folder / "runs/age/full/0", run)
    record = json.loads((run / "run.json").read_text())
    other = tmp_path / "folds.json"
    protocol.save(protocol.split(datasets.read(folder / "clips.csv"), 2, seed=5), other)
    record["config"]["split"] = str(other)
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(SystemExit, match="split changed since"):
        perturb.main([str(run), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="several runs of full on fold 0"):
        perturb.main([str(folder / "runs"), str(folder / "runs/age/full/0")])
    with pytest.raises(SystemExit, match="no finished run of full or no_ri for age"):
        perturb.main([str(tmp_path / "out")])


def swaps(answers: Sequence[float]) -> list[Swap]:
    swapped = [dict.fromkeys(NAMES, answer) for answer in answers]
    return [Swap(f"{i}.mp4", f"s{i}", 15, "d.mp4", 16.0, 70.0, regions) for i, regions in enumerate(swapped)]


def test_a_network_that_was_not_run_says_so() -> None:
    """Means with their spread where there are pairs, the printed numbers and "not run" where there are none."""
    table = swap_table.table({"full": swaps([18.0, 20.0])}, "made up.")
    by_row = {(row[0], row[1]): row for row in table.rows}
    assert by_row["FDIN", "nothing"][3:] == ("0.41", "0.41", "1.00 ± 0.00 (2)", "–")
    assert by_row["FDIN", "left_cheek"][2:] == ("important", "2.38", "2.38", "4.00 ± 1.00 (2)", "+3.00 ± 1.00 (2)")
    assert by_row["FDIN", "right_cheek"][2:5] == ("", "–", "–")
    missing = [row for row in table.rows if row[0] == "FDIN without relational importance"]
    assert len(missing) == 4 and all(row[5] == "not run" for row in missing)
