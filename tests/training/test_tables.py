"""The papers' tables from per-clip predictions: what was not run says so, what is simulated says so."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from networks.siam_config import SiamConfig
from smile.regions import NAMES, PAIRS
from smile.tensors import GENDERS
from training import (
    evaluate,
    interpretation,
    predictions,
    setting,
    siam_plan,
    siam_tables,
    tables,
    train,
    train_siam,
)
from training.datasets import Clip, Dataset
from training.predictions import Header, Prediction, PredictionsError

HEADER = Header("simulated smiles, seed 3", True, 120, "0123456789abcdef", {"commit": "abc"})
EYES = PAIRS.index((0, 2))


def answers(trait, method, importance=True, zeroed=True):
    """120 clips of 40 people; in those of 66 and more the two eyes are weighed most."""
    rng = np.random.default_rng([len(trait), len(method)])
    made = []
    for index in range(120):
        person = index % 40
        age, gender = 8 + person * 70 // 40, GENDERS[person % 2]
        weights = rng.dirichlet(np.full(len(PAIRS), 50.0))
        weights[EYES] += age >= 66
        noise = float(rng.normal(0, 3))
        right = GENDERS.index(gender) if rng.random() < 0.9 else 1 - GENDERS.index(gender)
        prediction = age + noise if trait == "age" else 0.2 + 0.6 * right
        shift = 1.5 if trait == "age" else 0.0
        alone = {name: prediction + (4 if name == "right_cheek" and trait == "age" else 0) for name in NAMES}
        made.append(
            Prediction(
                clip=f"{index:03}.mp4",
                subject=f"{person:02}",
                age=age,
                gender=gender,
                kind=("posed", "spontaneous")[index // 40 % 2],
                fold=person % 10,
                trait=trait,
                method=method,
                prediction=prediction,
                importance=tuple(weights / weights.sum()) if importance else None,
                zeroed=(alone | {"left_eye+forehead+right_eye": prediction + shift}) if zeroed else {},
            )
        )
    return made


@pytest.fixture
def report(tmp_path):
    """tables.json, .md and .html of `full` for both traits and `holistic` for age."""
    for trait, method in (("age", "full"), ("gender", "full"), ("age", "holistic")):
        plain = method == "holistic"
        folder = tmp_path / "runs" / trait / method
        folder.mkdir(parents=True)
        predictions.write(folder / train.PREDICTIONS, HEADER, answers(trait, method, not plain, not plain))
    evaluate.main([str(tmp_path / "runs"), "--out", str(tmp_path / "out")])
    return tmp_path / "out"


def read(report):
    content = json.loads((report / "tables.json").read_text())
    return content, {table["name"]: table for table in content["tables"]}


def test_all_ten_tables_stand_there_with_the_printed_numbers(report):
    """P0 Tables 1-5 and P1 Tables 1-5, in three formats, each with the data set in its caption."""
    content, by_name = read(report)
    names = [f"{paper} Table {number}" for paper in ("P0", "P1") for number in range(1, 6)]
    assert set(names) <= set(by_name)
    for table in content["tables"]:
        assert "simulated smiles, seed 3" in table["caption"] and "not comparable" in table["caption"]
    markdown, page = (report / "tables.md").read_text(), (report / "tables.html").read_text()
    for name in names:
        assert f"## {name}:" in markdown and f"<h2>{name}:" in page
    for text in (markdown, page, content["warning"]):
        assert "Nothing here was measured on people" in text
    rows = {row["name"]: row for row in by_name["P0 Table 2"]["records"]}
    assert rows["FDIN"]["columns"]["all"]["printed"] == 3.87
    assert "402 clips" in by_name["P0 Table 1"]["caption"] and "p > 0.05" in by_name["P0 Table 2"]["caption"]


def test_our_numbers_are_those_of_the_predictions(report):
    """The cell of posed smiles is the mean error of the posed clips, with their number."""
    posed = [item for item in answers("age", "full") if item.kind == "posed"]
    _, by_name = read(report)
    cell = next(r for r in by_name["P0 Table 2"]["records"] if r["method"] == "full")["columns"]["posed"]["ours"]
    assert cell["n"] == len(posed) == 80
    assert cell["value"] == pytest.approx(np.mean([abs(item.prediction - item.age) for item in posed]), abs=1e-4)


def test_what_was_not_run_is_never_invented(report):
    """Methods of ours without predictions say "not run"; other people's methods have no cell of ours."""
    _, by_name = read(report)
    status = {row["name"]: row["status"] for row in by_name["P0 Table 3"]["records"]}
    assert status["FDIN"] == status["Holistic dynamic approach"] == "run" and status["VLBP"] == "not ours"
    for row in by_name["P0 Table 4"]["records"]:
        ours = row["columns"]["all"]["ours"]
        assert (row["status"], ours is None) == (("run", False) if row["method"] == "full" else ("not run", True))
    line = next(text for text in (report / "tables.md").read_text().splitlines() if "Regional importance" in text)
    assert line.count("not run") == 3


def test_perturbation_is_scored_in_the_papers_age_group(report):
    """Zeroing the right cheek moves each answer by 4 years; the three regions appear jointly and each alone."""
    _, by_name = read(report)
    group = [item for item in answers("age", "full") if 37 <= item.age < 66]
    rows = by_name["P0 Table 1"]["records"]
    expected = [np.mean([abs(item.prediction + shift - item.age) for item in group]) for shift in (0.0, 1.5, 0.0, 4.0)]
    assert [row["ours"]["value"] for row in rows] == pytest.approx(expected, abs=1e-4)
    assert {row["ours"]["n"] for row in rows} == {len(group)}
    assert [row["printed"] for row in rows] == [5.05, 7.56, None, 9.00]
    effects = by_name["Region effects, age"]["records"]
    assert effects[0]["region"] == "right_cheek" and effects[0]["moved"]["value"] == pytest.approx(4, abs=1e-4)


def test_zeroed_sets_are_tested_against_each_other(report):
    """Important against less important regions, jointly and each alone, paired over the clips of 37-65 and subjects."""
    _, by_name = read(report)
    group = [item for item in answers("age", "full") if 37 <= item.age < 66]
    tests = {}
    for record in by_name["Tests, age"]["records"]:
        tests.setdefault(record["comparison"].removeprefix("full, ages 37-65, zeroed: "), []).append(record)
    less, important = "left_eye+forehead+right_eye", "right_cheek"
    each = f"{less}, each alone, averaged"
    wanted = [("nothing", less), ("nothing", each), ("nothing", important), (less, important), (each, important)]
    assert {f"{first} vs {second}" for first, second in wanted} <= set(tests)
    errors = [[abs(item.prediction + shift - item.age) for item in group] for shift in (1.5, 4.0)]
    clips, subjects = tests[f"{less} vs {important}"]
    expected = stats.ttest_rel(*errors)
    assert (clips["n"], subjects["n"]) == (len(group), len({item.subject for item in group}))
    assert (clips["statistic"], clips["p"]) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-2)
    people = [
        [np.mean([e for e, item in zip(side, group, strict=True) if item.subject == who]) for side in errors]
        for who in sorted({item.subject for item in group})
    ]
    assert subjects["p"] == pytest.approx(stats.ttest_rel(*zip(*people, strict=True)).pvalue, rel=1e-2)
    assert clips["difference"] < 0 and clips["p"] < 0.05
    for name, table in by_name.items():
        assert name == "Tests, age" or "zeroed: " not in str(table["records"])


def test_zeroed_sets_that_were_not_run_are_not_tested():
    """Without the answers for one set there is no test with it, and the others stay."""
    items = [replace(i, zeroed={"right_cheek": i.zeroed["right_cheek"]}) for i in answers("age", "full")]
    tested = next(table for table in tables.tables(HEADER, items) if table.name == "Tests, age")
    labels = {row[0] for row in tested.rows if "zeroed" in row[0]}
    assert labels == {"full, ages 37-65, zeroed: nothing vs right_cheek"}


def test_relations_are_ranked_by_group_of_people(report):
    """The pair planted in those of 66 and more comes first there, and there only; every size is ranked."""
    _, by_name = read(report)
    groups = {record["group"]: record for record in by_name["Relations, age"]["records"]}
    assert list(groups) == ["all", "8-12", "13-19", "20-36", "37-65", "66+"]
    assert groups["66+"]["ranked"]["2"][0]["regions"] == ["left_eye", "right_eye"]
    assert groups["20-36"]["importance"][EYES] < 0.05
    assert [len(groups["66+"]["ranked"][str(size)]) for size in range(2, 10)] == [36, 84, 126, 126, 84, 36, 9, 1]
    found = by_name["Findings, age"]["records"]
    assert found[0]["rank"] == 1 and found[0]["of"] == 36
    assert {record["group"] for record in by_name["Relations, gender"]["records"]} == {"all", "male", "female"}
    assert all(record["rank"] <= record["of"] == 84 for record in by_name["Findings, gender"]["records"])


def test_groups_of_different_sizes_are_compared_by_the_pair(report):
    """The sum grows with the group; its mean over the pairs averages to 1/36 for every size, and is shown beside it."""
    _, by_name = read(report)
    for record in by_name["Relations, age"]["records"]:
        for size, ranked in record["ranked"].items():
            pairs = math.comb(int(size), 2)
            assert all(r["importance_per_pair"] == pytest.approx(r["importance"] / pairs) for r in ranked)
            assert np.mean([r["importance_per_pair"] for r in ranked]) == pytest.approx(1 / len(PAIRS), abs=1e-5)
    lines = (report / "tables.md").read_text().splitlines()
    nine = next(line for line in lines if line.startswith("| 66+ |") and " | 9 | " in line)
    assert "(1.0000, 0.0278 a pair)" in nine
    two = next(line for line in lines if line.startswith("| 66+ |") and " | 2 | " in line)
    assert "left_eye + right_eye (" in two and "a pair" not in two


def test_the_effect_on_a_single_clip_has_no_spread():
    """A standard error of one clip is undefined, not nought."""
    (table,) = interpretation.effects(answers("age", "full")[:1], "")
    assert table.rows[0] == ("right_cheek", "4.00 ± ?", table.rows[0][2], "1") and table.rows[0][2].endswith(" ± ?")


def test_copies_of_clips_do_not_make_importances_more_certain():
    """Not over people: the standard error over clips falls with the root of their number, that over subjects stays."""
    items = answers("age", "full")
    copies = [replace(item, clip=f"copy_{item.clip}") for item in items]
    once, twice = (interpretation.relations(found, "")[0].records[0] for found in (items, items + copies))
    assert twice["importance_subject_se"] == pytest.approx(once["importance_subject_se"])
    people = [np.mean([i.importance[EYES] for i in items if i.subject == f"{s:02}"]) for s in range(40)]
    assert once["importance_subject_se"][EYES] == pytest.approx(np.std(people, ddof=1) / math.sqrt(40))
    assert twice["importance_se"][EYES] == pytest.approx(once["importance_se"][EYES] / math.sqrt(2), rel=0.01)


def test_half_a_method_is_called_incomplete():
    """A method with predictions for only some clips says so beside its name."""
    by_name = {table.name: table for table in tables.tables(HEADER, answers("age", "full")[:50])}
    assert by_name["P0 Table 3"].rows[-1][0] == "FDIN (incomplete: 50 of 120 clips)"
    assert "Incomplete: 50 of 120 clips" in by_name["P0 Table 1"].caption


def test_a_method_for_some_clips_is_complete_with_those():
    """Posed clips alone, as many as the run counted; and phases, which some clips do not show."""
    everyone = answers("age", "siam", importance=False, zeroed=False)
    posed = [replace(item, method="siam_posed") for item in everyone if item.kind == "posed"]
    apex = [replace(item, method="siam_apex") for item in everyone[:90]]
    run = {"config": {"method": "siam_posed", "fold": 0}, "clips": [20, 8, 52]}

    def names(items):
        made = siam_tables.age_tables(replace(HEADER, provenance=run), items)
        return [row[0] for table in made if table.name in ("S Table 2", "S Table 4") for row in table.rows]

    assert len(posed) == 80
    found = names([*everyone, *posed, *apex])
    assert {"SIAM, posed smile", "apex (90 clips)", "whole clip, the clips that show apex (90 clips)"} <= set(found)
    assert "SIAM, posed smile (incomplete: 79 of 80 clips)" in names(posed[1:])


def test_captions_name_the_papers_data_and_tests_that_are_there():
    """The disgust of S Table 4 is of that database; of a method that is not ours there is no test below."""
    disgust = replace(HEADER, data_set="UvA-NEMO Disgust", simulated=False)
    said = {table.name: table.caption for table in siam_tables.age_tables(disgust, [])}
    assert "Papers: UvA-NEMO Smile and UvA-NEMO Disgust. " in f"{said['S Table 4']} "
    assert "Papers: UvA-NEMO Smile, another data set than ours: not comparable." in said["S Table 1"]
    said = {table.name: table.caption for table in tables.tables(HEADER, answers("age", "full"))}
    assert said["P0 Table 3"].endswith("FDIN against IEF + Dynamics p < 0.05, test not named.")
    assert said["P0 Table 2"].endswith("Our tests: below, age.")


def test_without_any_prediction_the_papers_tables_stay():
    """Nothing run: fifteen tables with printed numbers, and not one number of ours."""
    empty = tables.tables(HEADER, [])
    assert len(empty) == 15
    assert all("±" not in row[-1] for table in empty for row in table.rows)


def made_by(width="paper", layers=None, backbone="VGG-Face (VGG_FACE.t7)", ablation="full", **learned):
    optimisation = {"epochs": 100, "batch": 16, "steadiness": 0.0, "distillation": 0.0, "settled": 1.0} | learned
    config = {"width": width, "layers": layers, "frame_rate_hz": 25, "optimisation": optimisation, "ablation": ablation}
    return {"config": config} | ({"backbone": backbone} if backbone else {})


def on_uva_nemo(*runs):
    return replace(HEADER, data_set="UvA-NEMO Smile", simulated=False, provenance={"runs": list(runs)})


def test_real_uva_nemo_carries_no_warning():
    """On the papers' own data set, with their width and backbone, nothing is called simulated or not comparable."""
    header = on_uva_nemo(made_by())
    assert tables.warning(header) == ""
    assert tables.warning(on_uva_nemo({"commit": "abc"})) == ""  # files of before say nothing
    made = tables.tables(header, answers("age", "full"))
    assert all("comparable" not in table.caption for table in made)
    said = "paper width, 25 Hz, at most 100 epochs of batches of 16, backbone VGG-Face (VGG_FACE.t7)."
    assert all(f"FDIN and its ablations: {said}" in table.caption for table in made)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (made_by("compact"), "compact width."),
        (made_by(layers={"fc1_dropout": 0.1}), "paper width with other layers."),
        (made_by(backbone="fdin, trained on UTKFace"), "backbone fdin, trained on UTKFace."),
        (made_by(steadiness=1.0, settled=0.5), "trained with steadiness 1 and settled 0.5."),
        (made_by(distillation=0.25), "trained with distillation 0.25."),
    ],
)
def test_another_network_on_uva_nemo_carries_a_warning(run, said):
    """One run of another width, other layers, another backbone or another loss is enough; the captions tell it too."""
    header = on_uva_nemo(made_by(), run)
    text = tables.warning(header)
    assert said.removesuffix(".").removeprefix("backbone ") in tables.caption(header)
    assert text.startswith("Not the papers' network (theirs: paper width, VGG-Face): ") and text.endswith(said)


def test_a_narrow_siam_on_uva_nemo_says_so():
    """In every caption and in a warning; the paper's own says nothing but that it is."""
    for plan, said in ((replace(siam_plan.FULL, width="paper"), False), (siam_plan.FULL, True)):
        run = {"config": asdict(plan.run("siam", 0, Path("d"), Path("o"), Path("c")))}
        assert ("32-64-64 channels" in tables.warning(on_uva_nemo(run))) == said
        assert ("SIAM: paper width, 12.5 Hz" in tables.caption(on_uva_nemo(run))) != said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--method", "siam_mediate", "--features", "128", "--dropout", "0.3"], ""),
        (["--method", "siam_cnn"], ""),
        (["--after", "1"], "attention after layer 1"),
        (["--after", "3", "--method", "siam_mediate"], "attention after layer 3"),
    ],
)
def test_a_siam_of_another_place_of_attention_on_uva_nemo_says_so(arguments, said):
    """What a method changes, and what the paper chooses by validation, is no difference from the paper's network."""
    config, _ = train_siam.parse(["d", "--out", "o", "--width", "paper", *arguments])
    header = on_uva_nemo({"config": json.loads(json.dumps(asdict(config)))})
    assert setting.differences(header) == ([f"SIAM with paper width, {said}"] if said else [])
    assert f"SIAM: paper width{said and ', '}{said}, 25 Hz" in tables.caption(header)


def test_a_siam_without_what_its_method_has_says_so():
    """Whatever the configuration calls it."""
    network = asdict(SiamConfig(temporal=False, mechanism="agnostic"))
    header = on_uva_nemo({"config": {"network": network, "method": "siam"}})
    assert setting.differences(header) == ["SIAM with paper width, agnostic weights, without temporal attention"]


def test_an_old_file_leaves_the_setting_unsaid():
    """Without a record of the runs captions speak of the data alone; a backbone that had gone is unknown."""
    for run in ({"commit": "abc"}, {"config": {"frame_rate_hz": 25, "optimisation": {"epochs": 200}}}):
        assert "FDIN" not in tables.caption(on_uva_nemo(run))
    assert "25 Hz" in (text := tables.caption(on_uva_nemo(made_by(backbone=None)))) and "backbone" not in text
    assert "backbone unknown" in tables.caption(on_uva_nemo(made_by() | {"backbone": None}))
    assert "width" not in tables.caption(on_uva_nemo(made_by("compact", ablation="image_cnn")))


def test_predictions_survive_the_disk_to_six_digits(tmp_path):
    """What is written is read back, sorted, with the header made from the data set."""
    items = answers("age", "full")
    clips = tuple(Clip(i.clip, Path(i.clip), i.subject, i.age, i.gender, i.kind) for i in items)
    header = predictions.header(Dataset("mine", clips), "f" * 16, {"seed": 1})
    predictions.write(tmp_path / "a.jsonl", header, items[::-1])
    again, found = predictions.read([tmp_path / "a.jsonl"])
    assert again == header and [item.clip for item in found] == [item.clip for item in items]
    np.testing.assert_allclose([i.prediction for i in found], [i.prediction for i in items], rtol=1e-5)
    np.testing.assert_allclose([i.importance for i in found], [i.importance for i in items], rtol=1e-5)
    assert found[3].zeroed.keys() == items[3].zeroed.keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trait": "gender"}, "probability is outside 0 to 1"),
        ({"prediction": float("nan")}, "not a finite number"),
        ({"method": "magic"}, "method 'magic' is not one of full"),
        ({"importance": (0.5,) * 36}, "importance must be 36 numbers from 0 whose sum is 1"),
        ({"zeroed": {"right_eye+left_eye": 3.0}}, "does not name regions in their order"),
        ({"zeroed": {"ear": 3.0}}, "does not name regions"),
    ],
)
def test_impossible_predictions_are_never_written(tmp_path, change, message):
    """The writer refuses what the reader would refuse, before anything is on disk."""
    item = replace(answers("age", "full")[0], **change)
    with pytest.raises(PredictionsError, match=message):
        predictions.write(tmp_path / "a.jsonl", HEADER, [item])
    assert not list(tmp_path.iterdir())


def test_contradictions_between_files_are_named(tmp_path):
    """Twice the same clip, another split, another label and a broken line are told by file and line."""
    items = answers("age", "full")[:2]
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    predictions.write(a, HEADER, items)
    for header, others, message in (
        (HEADER, items[1:], r"b\.jsonl:2: age full 001\.mp4 is predicted already in .*a\.jsonl:3"),
        (replace(HEADER, split="0"), [], r"b\.jsonl:1: split is '0'"),
        (replace(HEADER, simulated=False), [], r"b\.jsonl:1: simulated is False"),
        (HEADER, [replace(items[0], method="no_ri", fold=9)], r"b\.jsonl:2: labels or fold of 000\.mp4 differ"),
    ):
        predictions.write(b, header, others)
        with pytest.raises(PredictionsError, match=message):
            predictions.read([a, b])
    b.write_text(a.read_text()[:-40])
    with pytest.raises(PredictionsError, match=r"b\.jsonl:3: not a prediction"):
        predictions.read([b])


def test_figures_stand_beside_the_tables_and_nothing_to_read_is_an_error(report, tmp_path):
    """Where importances were predicted there is a figure; a folder without predictions ends with a plain message."""
    assert (report / "relations_age.png").stat().st_size > 10_000
    assert (report / "relations_gender.png").stat().st_size > 10_000
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match="no predictions here"):
        evaluate.main([str(tmp_path / "empty"), "--out", str(tmp_path / "none")])


def test_the_tables_come_again_from_the_predictions_that_were_kept(report, tmp_path):
    """One file for each method lies beside the tables; evaluating their folder writes the same tables."""
    kept = sorted(path.name for path in (report / "predictions").iterdir())
    assert kept == [f"{name}.predictions.jsonl" for name in ("age_full", "age_holistic", "gender_full")]
    evaluate.main([str(report), "--out", str(tmp_path / "again")])
    assert (tmp_path / "again" / "tables.md").read_text() == (report / "tables.md").read_text()
    header, _ = predictions.read([report / "predictions" / name for name in kept])
    assert header.runs == [{"commit": "abc"}] * 3
