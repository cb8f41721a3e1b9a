"""Listings are read by content, and every fault is reported with its file and line."""

import json
import unicodedata
from pathlib import Path

import pytest
import yaml

from training import datasets, published
from training.datasets import Clip, Dataset, DatasetError

SHARED = Path(__file__).resolve().parents[2] / "../shared/docs/paper_tables.yaml"
HEADER = "UvA-NEMO Smile Database\nFile details\n\nfile\tsubject\tgender\tage\ttype\n\n"
ROWS = [
    "001_deliberate_smile_2.mp4\t001\tmale\t34\tdeliberate",
    "001_spontaneous_smile_1.mp4\t001\tmale\t34\tspontaneous",
    "564_spontaneous_smile_22.mp4\t564\tfemale\t8\tspontaneous",
]


def uva_nemo(folder, rows=ROWS, header=HEADER, ending="\n", videos=None):
    root = folder / "UvA-NEMO_SMILE_DATABASE"
    (root / "videos").mkdir(parents=True, exist_ok=True)
    details = root / "UvA-NEMO_Smile_Database_File_Details.txt"
    details.write_bytes((header + "\n".join(rows) + "\n").replace("\n", ending).encode())
    for row in rows if videos is None else videos:
        (root / "videos" / row.replace(",", "\t").split()[0]).touch()
    return folder


@pytest.mark.parametrize(
    ("header", "ending", "separator"),
    [(HEADER, "\r\n", "\t"), ("", "\n", "\t"), (HEADER, "\n", ", "), ("x\n", "\n", "   ")],
)
def test_uva_nemo_is_read_whatever_its_header_line_ends_and_separator(tmp_path, header, ending, separator):
    """Three clips, their labels and the name of the set come from the content alone."""
    rows = [row.replace("\t", separator) for row in ROWS]
    dataset = datasets.read_uva_nemo(uva_nemo(tmp_path, rows, header, ending, videos=ROWS))
    assert dataset.name == "UvA-NEMO Smile" and not dataset.simulated
    first = dataset.clips[0]
    assert (first.name, first.subject, first.age, first.gender, first.kind) == (
        "001_deliberate_smile_2.mp4",
        "001",
        34,
        "male",
        "posed",
    )
    assert first.path.is_file() and [clip.kind for clip in dataset.clips[1:]] == ["spontaneous"] * 2
    assert {subject: len(clips) for subject, clips in dataset.subjects.items()} == {"001": 2, "564": 1}


def test_uva_nemo_disgust_names_itself(tmp_path):
    """The expression in the file names decides which of the two databases it is."""
    rows = ["003_deliberate_disgust_1.mp4\t003\tfemale\t41\tdeliberate"]
    assert datasets.read_uva_nemo(uva_nemo(tmp_path, rows)).name == "UvA-NEMO Disgust"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "001_deliberate_smile_3.mp4\t001\tmale\t35\tdeliberate",
            r":9: subject 001 has two ages: 34 in line 6, 35 here",
        ),
        ("001_deliberate_smile_3.mp4\t001\tfemale\t34\tdeliberate", r":9: subject 001 has two genders"),
        ("002_deliberate_smile_3.mp4\t002\tboy\t34\tdeliberate", r":9: gender 'boy'"),
        ("002_deliberate_smile_3.mp4\t002\tmale\tunknown\tdeliberate", r":9: age 'unknown'"),
        ("002_deliberate_smile_3.mp4\t002\tmale\t34.5\tdeliberate", r":9: age '34.5'"),
        ("002_deliberate_smile_3.mp4\t003\tmale\t34\tdeliberate", r":9: .* listed as of subject 003"),
        ("002_deliberate_smile_3.mp4\tanna\tmale\t34\tdeliberate", r":9: .* listed as of subject anna"),
        ('"002_deliberate_smile_3.mp4\t002\tmale\t34\tdeliberate', r":9: .* is not: file name, subject"),
        ("002_deliberate_smile_3.mp4\t002\tmale\t34\tspontaneous", r":9: .* listed as of subject 002, spontaneous"),
        ("002_deliberate_smile_3.mp4/002/male/34/deliberate", r":9: .* is not: file name, subject"),
        ("002_forced_smile_3.mp4\t002\tmale\t34\tforced", r":9: the kind of 002_forced"),
        ("see also: readme", r":9: a line among the clips that names none"),
        (ROWS[0], r":9: 001_deliberate_smile_2.mp4 is listed already in line 6"),
    ],
)
def test_a_bad_line_is_named(tmp_path, row, message):
    """The error says which line of which file is wrong, and how."""
    with pytest.raises(DatasetError, match=r"File_Details\.txt" + message):
        datasets.read_uva_nemo(uva_nemo(tmp_path, [*ROWS, row], videos=ROWS))


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_listing_that_went_through_a_spreadsheet_is_read(tmp_path, quote):
    """Quoted fields, codes that lost their zeros and ages that gained a decimal say what they said before."""
    rows = [row.replace("\t001\t", "\t1\t").replace("\t34\t", "\t34.0\t") for row in ROWS]
    quoted = [",".join(f"{quote}{field}{quote}" for field in row.split("\t")) for row in rows]
    root = uva_nemo(tmp_path / "exported", quoted, videos=ROWS)
    people = f"{quote}code{quote},{quote}gender{quote},{quote}age{quote}\n{quote}1{quote},{quote}male{quote},34.0\n"
    file = root / "UvA-NEMO_SMILE_DATABASE/UvA-NEMO_Smile_Database_Subject_Details.txt"
    file.write_text(people)
    assert datasets.read_uva_nemo(root).digest == datasets.read_uva_nemo(uva_nemo(tmp_path / "plain")).digest
    file.write_text(people.replace("34.0", "35.0"))
    with pytest.raises(DatasetError, match=r"Subject_Details\.txt:2: subject 001 is male, 34"):
        datasets.read_uva_nemo(root)


def test_missing_and_extra_clips_are_named(tmp_path):
    """What is listed must be there, and what is there must be listed."""
    root = uva_nemo(tmp_path / "a", videos=ROWS[:1])
    with pytest.raises(
        DatasetError, match=r":7: .*001_spontaneous_smile_1.mp4 does not exist; of 3 there are missing 2 clips \(001_"
    ):
        datasets.read_uva_nemo(root)
    for extra in ("777_deliberate_smile_1.mp4", "777_deliberate_smile_2.MP4", "holiday.avi"):
        root = uva_nemo(tmp_path / extra, videos=[*ROWS, extra])
        with pytest.raises(DatasetError, match=rf"1 clips \({extra}\) not in the details file"):
            datasets.read_uva_nemo(root)


def test_what_macos_leaves_beside_files_is_no_data(tmp_path):
    """A copy that went over a Mac has a ._ file for each of its own; they are neither listings nor clips."""
    root = uva_nemo(tmp_path)
    folder = root / "UvA-NEMO_SMILE_DATABASE"
    for name in ("UvA-NEMO_Smile_Database_File_Details.txt", "UvA-NEMO_Smile_Database_Subject_Details.txt"):
        (folder / f"._{name}").write_bytes(b"\0\5\x16\7\xff")
    (folder / "videos/._001_deliberate_smile_2.mp4").write_bytes(b"\0\5\x16\7\xff")
    assert len(datasets.read_uva_nemo(root).clips) == 3


def test_the_list_of_subjects_must_agree(tmp_path):
    """An age in Subject_Details that contradicts the list of clips is an error."""
    root = uva_nemo(tmp_path)
    folder = root / "UvA-NEMO_SMILE_DATABASE"
    file = folder / "UvA-NEMO_Smile_Database_Subject_Details.txt"
    file.write_text("code\tgender\tage\n001\tmale\t34\n564\tfemale\t9\n")
    with pytest.raises(DatasetError, match=r"Subject_Details\.txt:3: subject 564 is female, 8"):
        datasets.read_uva_nemo(root)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_manifest_is_read_with_any_order_of_columns(tmp_path, separator):
    """Extra columns are ignored, and paths are relative to the manifest."""
    (tmp_path / "a b.mp4").touch()
    lines = ["gender,clip,note,age,kind,subject", "Female,a b.mp4,fine,34,Posed,anna"]
    (tmp_path / "mine.csv").write_text("\n".join(line.replace(",", separator) for line in lines))
    dataset = datasets.read(tmp_path / "mine.csv")
    assert dataset.name == "mine"
    assert dataset.clips == (Clip("a b.mp4", tmp_path / "a b.mp4", "anna", 34, "female", "posed"),)


def test_a_case_that_the_disk_keeps_otherwise_is_the_same_clip(tmp_path):
    """A copy through another system may write .MP4 where the listing has .mp4."""
    root = uva_nemo(tmp_path, videos=[ROWS[0].replace(".mp4", ".MP4"), *ROWS[1:]])
    assert datasets.read_uva_nemo(root).clips[0].path.name == "001_deliberate_smile_2.MP4"


@pytest.mark.parametrize("encoding", ["cp1254", "utf-16"])
def test_the_header_may_hold_a_name_in_any_encoding(tmp_path, encoding):
    """Nothing is read from it; a clip in letters that cannot be read is an error."""
    root = uva_nemo(tmp_path)
    details = next(root.rglob("*_File_Details.txt"))
    text = "UvA-NEMO, H. Dibeklioğlu" + details.read_text()
    details.write_bytes(text.encode(encoding))
    assert len(datasets.read_uva_nemo(root).clips) == 3
    details.write_bytes((text + "002_deliberate_smile_3.mp4\t002\tkadın\t34\tdeliberate").encode("cp1254"))
    with pytest.raises(DatasetError, match=r":9: .* neither UTF-8 nor UTF-16"):
        datasets.read_uva_nemo(root)


def test_a_bad_clip_before_the_first_good_one_is_no_header(tmp_path):
    """Only two digits where a subject has three: the line is named, not passed over."""
    root = uva_nemo(tmp_path, ["01_deliberate_smile_9.mp4\t01\tmale\t34\tdeliberate", *ROWS])
    with pytest.raises(DatasetError, match=":6: a line among the clips that names none: '01_deliberate"):
        datasets.read_uva_nemo(root)


def test_a_table_with_an_unnamed_column_is_read(tmp_path):
    """As pandas writes one: the header begins with its separator, every row with a number."""
    (tmp_path / "a.mp4").touch()
    for separator in ("\t", ","):
        rows = [["", "clip", "subject", "age", "gender", "kind"], ["0", "a.mp4", "s", "34", "male", "posed"]]
        (tmp_path / "m.csv").write_text("\r\n".join(map(separator.join, rows)) + "\r\n \r\n")
        assert [clip.subject for clip in datasets.read_manifest(tmp_path / "m.csv").clips] == ["s"]


def test_manifest_faults_name_file_and_line(tmp_path):
    """A missing column, a short row and an absent file are told apart."""
    path = tmp_path / "m.csv"
    for text, message in (
        ("clip,subject,age,gender\n", r"m\.csv:1: no column kind"),
        ("clip|subject|age|gender|kind\n", r"m\.csv:1: no column clip"),
        ("clip,subject,age,gender,kind\n\na.mp4,s,34\n", r"m\.csv:3: 3 fields where the header has 5"),
        ("clip,subject,age,gender,kind\na.mp4,s,34,male,posed\n", r"m\.csv:2: .*a\.mp4 does not exist"),
        ("clip,subject,age,gender,kind\n", r"m\.csv: lists no clip"),
        ("clip,subject,age,gender,age,kind\n", r"m\.csv:1: several columns age"),
        ("clip,subject,age,gender,kind\na.mp4,s,340,male,posed\n", r"m\.csv:2: age '340' .* from 0 to 120"),
        ("sep=;\nclip;subject;age;gender;kind\n", r"m\.csv:1: no column clip.* 'sep=;': remove that line"),
        ("clip,subject,age,gender,kind\na\0.mp4,s,34,male,posed\n", r"m\.csv:2: .* neither UTF-8 nor UTF-16"),
        (f"clip,subject,age,gender,kind\n{'a' * 300},s,34,male,posed\n", r"m\.csv:2: 'a+' can be no file: .*too long"),
        (f"clip,subject,age,gender,kind\n{'a' * 200_000},s,34,male,posed\n", r"m\.csv:2: field larger than"),
        (
            "clip,subject,age,gender,kind\na,s,3,male,posed\n./a,t,4,male,posed\n",
            r"m\.csv:3: ./a is the file of line 2",
        ),
    ):
        path.write_text(text)
        with pytest.raises(DatasetError, match=message):
            datasets.read_manifest(path)


@pytest.mark.parametrize(
    ("first", "second"), [("S1", "s1"), ("001", "1"), ("1", "1.0"), ("Zoë", unicodedata.normalize("NFD", "zoë"))]
)
def test_one_person_in_two_spellings_is_refused(tmp_path, first, second):
    """Two people of that name would be on both sides of a fold: the error names both spellings and lines."""
    rows = "".join(f"{number}.mp4,{subject},34,male,posed\n" for number, subject in enumerate((first, "2", second)))
    (tmp_path / "m.csv").write_text("clip,subject,age,gender,kind\n" + rows)
    for number in range(3):
        (tmp_path / f"{number}.mp4").touch()
    with pytest.raises(DatasetError) as error:
        datasets.read_manifest(tmp_path / "m.csv")
    assert f"m.csv:4: subject {second!a} may be {first!a} of line 2: " in str(error.value)


@pytest.mark.parametrize(("listed", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_file_is_found_whichever_way_its_accents_are_encoded(tmp_path, listed, stored):
    """A copy over a Mac or an archive may compose names, or take them apart."""
    listed, stored = (unicodedata.normalize(form, "zoë.mp4") for form in (listed, stored))
    (tmp_path / stored).touch()
    (tmp_path / "m.csv").write_text(f"clip,subject,age,gender,kind\n{listed},s,34,male,posed\n")
    (clip,) = datasets.read_manifest(tmp_path / "m.csv").clips
    assert (clip.name, clip.path) == (listed, tmp_path / stored)


def test_somebody_may_be_filmed_at_several_ages(tmp_path):
    """A manifest gives each clip its own age; all clips of the person stay together."""
    for number in range(2):
        (tmp_path / f"{number}.mp4").touch()
    (tmp_path / "m.csv").write_text("clip,subject,age,gender,kind\n0.mp4,s,19,male,posed\n1.mp4,s,20,male,posed\n")
    dataset = datasets.read_manifest(tmp_path / "m.csv")
    assert [clip.age_group for clip in dataset.subjects["s"]] == ["13-19", "20-36"]


def test_a_folder_without_a_listing_is_told_of_manifests(tmp_path):
    """Clips of one's own need no UvA-NEMO listing."""
    with pytest.raises(DatasetError, match="0 files .* listed in a CSV file with clip, subject, age, gender, kind"):
        datasets.read(tmp_path)


def test_a_simulated_set_says_so_whatever_it_is_called(tmp_path):
    """simulated.json wins over the layout of UvA-NEMO and over a name given by hand."""
    root = uva_nemo(tmp_path)
    (root / "simulated.json").write_text(json.dumps({"seed": 7}))
    dataset = datasets.read(root)
    assert dataset.simulated and dataset.name == "simulated smiles, seed 7"
    assert datasets.read(root / "UvA-NEMO_SMILE_DATABASE").name == dataset.name
    (tmp_path / "a.mp4").touch()
    (tmp_path / "m.csv").write_text("clip,subject,age,gender,kind\na.mp4,s,34,male,posed\n")
    (tmp_path / "simulated.json").write_text(json.dumps({"name": "UvA-NEMO Smile"}))
    assert datasets.read(tmp_path / "m.csv", "UvA-NEMO Smile").name == "simulated: UvA-NEMO Smile"


def as_published():
    """Labels with exactly the published counts: decades, cells and sexes can be met together."""
    decades = published.paper()["counts"]["UvA-NEMO Smile"]["decades"]
    firsts = {label: max(8, int(label.split("-")[0])) for label in decades}
    ages = [age for label, count in decades.items() for age in [firsts[label]] * count]
    ages[-1] = 76
    spontaneous = [True] * 242 + [False] * 249 + [True] * 355 + [False] * 394
    clips, subject = [], 0
    limits = {8: 50, 10: 110, 20: 70, 30: 55, 40: 80, 50: 20, 60: 10, 70: 4, 76: 1}
    used: dict[int, int] = {}
    for index, (age, kind) in enumerate(zip(ages, spontaneous, strict=True)):
        subject = used[age] = used.get(age, 0) + 1
        code = f"{age:02}{subject % limits[age]:03}"
        clips.append(Clip(f"{index:04}", Path("x"), code, age, "male", "spontaneous" if kind else "posed"))
    codes = sorted({clip.subject for clip in clips})
    women = set(codes[:185])
    sexed = [Clip(c.name, c.path, c.subject, c.age, "female" if c.subject in women else "male", c.kind) for c in clips]
    return Dataset("UvA-NEMO Smile", tuple(sexed))


def test_published_counts_pass_and_a_moved_clip_is_named():
    """A set with the published counts passes all checks; one clip of another kind fails exactly the checks it must."""
    dataset = as_published()
    published.require(published.check_counts(dataset))
    old = dataset.clips[0]
    moved = Clip(old.name, old.path, old.subject, old.age, old.gender, "posed")
    checks = published.check_counts(Dataset(dataset.name, (moved, *dataset.clips[1:])))
    failed = {check.name for check in checks if not check.passed}
    assert failed == {"spontaneous clips", "posed clips", "spontaneous to 19", "posed to 19"}
    with pytest.raises(published.CountsDiffer, match=r"FAIL posed to 19: 250 \(published: 249\)"):
        published.require(checks)


def test_the_printed_numbers_agree_with_each_other():
    """Sums and weighted means over the printed cells give the printed totals (SPEC A8)."""
    counts = published.paper()["counts"]["UvA-NEMO Smile"]
    assert counts["clips"] == sum(counts["decades"].values()) == counts["posed_clips"] + counts["spontaneous_clips"]
    cells = ("spontaneous_to_19", "spontaneous_over_19", "posed_to_19", "posed_over_19")
    assert counts["clips"] == sum(counts[cell] for cell in cells)
    tables = published.paper()["tables"]
    for row in (row for row in tables["S Table 3"]["rows"] if row["values"]):
        mean = sum(row["values"][decade] * n for decade, n in counts["decades"].items()) / counts["clips"]
        assert mean == pytest.approx(row["values"]["all"], abs=0.011)
    for row in tables["P0 Table 2"]["rows"]:
        values = row["values"]
        mean = (values["posed"] * counts["posed_clips"] + values["spontaneous"] * counts["spontaneous_clips"]) / 1240
        assert mean == pytest.approx(values["all"], abs=0.011)
    fdin = next(row["values"] for row in tables["P0 Table 5"]["rows"] if row["name"] == "FDIN")
    correct = [round(fdin[cell] / 100 * counts[cell]) for cell in cells]
    assert sum(correct) / counts["clips"] * 100 == pytest.approx(fdin["all"], abs=0.006)


@pytest.mark.skipif(not SHARED.is_file(), reason="the transcription of the papers is not beside the checkout")
def test_the_printed_numbers_are_those_of_the_papers():
    """Every row copied into the project equals the transcription that was checked against the papers."""
    source = yaml.safe_load(SHARED.read_text())["fdin"]
    keys = {
        "P0 Table 2": "P0_table2_age_ablation",
        "P0 Table 3": "P0_table3_age_comparison",
        "P0 Table 4": "P0_table4_gender_ablation",
        "P0 Table 5": "P0_table5_gender_comparison",
        "P1 Table 1": "P1_table1_age_ablation",
        "P1 Table 2": "P1_table2_age_comparison",
        "P1 Table 4": "P1_table4_gender_ablation",
    }
    for table, key in keys.items():
        rows = [row.get("mae", row.get("acc")) for row in source[key]["rows"]]
        printed = [[n for n in (row if isinstance(row, list) else [row]) if n is not None] for row in rows]
        assert [list(row["values"].values()) for row in published.paper()["tables"][table]["rows"]] == printed
    for table in ("P0 Table 1", "P1 Table 3"):
        rows = [(row["mae"], row["se"]) for row in source["P0_table1_zero_vector_perturbation"]["rows"]]
        ours = published.paper()["tables"][table]["rows"]
        assert [(row["values"]["mae"], row["se"]) for row in ours] == rows
    swap, ours = source["text_perturbation_single_sequence"], published.paper()["swap"]
    assert (ours["target"]["age"], ours["donor"]["age"]) == (swap["subject_age"], swap["donor_age"])
    for row in ours["rows"]:
        errors = swap["absolute_error"][{"full": "fdin_full", "no_ri": "fdin_without_ri"}[row["method"]]]
        printed = errors[row["swapped"] or "none"]
        assert row["values"] == (printed if isinstance(printed, dict) else {"P0": printed, "P1": printed})
    siam = yaml.safe_load(SHARED.read_text())["siam"]
    for table, key in {"S Table 1": "table1_attention_mechanism", "S Table 2": "table2_temporal_phases"}.items():
        ours = published.paper()["tables"][table]["rows"]
        assert [(row["values"]["all"], row["sd"]) for row in ours] == [(r["mae"], r["sd"]) for r in siam[key]["rows"]]
    ours = published.paper()["tables"]["S Figure 6"]["rows"]
    assert [row["values"]["all"] for row in ours] == [row["mae"] for row in siam["fig6_modules"]["rows"]]
    ours = [row for row in published.paper()["tables"]["S Table 3"]["rows"] if row["values"]]
    rows = [([*row["mae"], row["all"]], row["sd"]) for row in siam["table3_methods_by_age"]["rows"]]
    assert [(list(row["values"].values()), row["sd"]) for row in ours] == rows
    ours = published.paper()["tables"]["S Table 4"]["rows"]
    rows = [(row["mae"], row["sd"]) for row in siam["table4_disgust_and_posed"]["rows"]]
    assert sorted((row["values"]["all"], row["sd"]) for row in ours) == sorted(rows)


def test_a_method_has_one_printed_error_in_all_tables_of_siam():
    """What two tables of S print of one network on all clips is the same number, and stands under the same method."""
    printed = {}
    for name, table in published.paper()["tables"].items():
        for row in table["rows"] if name.startswith("S ") else ():
            if "all" in row["values"] and "expression" not in row:
                printed.setdefault(row.get("method"), set()).add(row["values"]["all"])
    ours = {method: values for method, values in printed.items() if method}
    assert all(len(values) == 1 for values in ours.values()) and ours["siam_cnn"] == {5.13}
    assert not printed[None] & {5.13, 4.74}


def test_age_groups_are_half_open():
    """65 belongs to 37-65 and 66 to 66+, as the papers' printed 37-66 is read."""
    assert [datasets.age_group(age) for age in (7, 8, 12, 13, 19, 20, 36, 37, 65, 66, 99)] == (
        ["0-7", "8-12", "8-12", "13-19", "13-19", "20-36", "20-36", "37-65", "37-65", "66+", "66+"]
    )
