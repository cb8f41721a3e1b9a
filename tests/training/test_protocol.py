"""Folds share no subject, are alike, and depend on nothing but labels and seed; a leak is an error."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smile.tensors import GENDERS
from training import duplicates, protocol
from training.datasets import Clip, Dataset
from training.protocol import Leak, ProtocolError, Sides


def dataset(people):
    """A set of people given as (age, gender index, number of clips)."""
    clips = [
        Clip(f"{code:03}_{index}", Path("absent"), f"{code:03}", age, GENDERS[gender], "posed")
        for code, (age, gender, count) in enumerate(people)
        for index in range(count)
    ]
    return Dataset("drawn", tuple(clips))


def uva_like(seed=0):
    """400 people with 1,240 clips, most of them young, as in UvA-NEMO."""
    rng = np.random.default_rng(seed)
    counts = 1 + rng.multinomial(840, np.ones(400) / 400)
    return dataset([(int(8 + 68 * rng.beta(1, 2.2)), int(rng.random() < 0.46), int(n)) for n in counts])


PEOPLE = st.lists(st.tuples(st.integers(1, 90), st.integers(0, 1), st.integers(1, 8)), min_size=20, max_size=90)


@settings(deadline=None, max_examples=40)
@given(PEOPLE, st.integers(2, 10), st.integers(0, 5))
def test_folds_are_disjoint_complete_and_alike(people, folds, seed):
    """Each subject is tested once; folds differ by one subject at most, in total and in every stratum."""
    data = dataset(people)
    made = protocol.split(data, folds, seed)
    tested = Counter(subject for fold in made.folds for subject in fold.test)
    assert set(tested) == set(data.subjects) and set(tested.values()) == {1}
    sizes = [len(fold.test) for fold in made.folds]
    assert max(sizes) - min(sizes) <= 1
    stratum = {clip.subject: (clip.age_group, clip.gender) for clip in data.clips}
    counts = [Counter(stratum[subject] for subject in fold.test) for fold in made.folds]
    for key in set(stratum.values()):
        of_key = [count[key] for count in counts]
        assert max(of_key) - min(of_key) <= 1
    for index, fold in enumerate(made.folds):
        assert fold.validation and not set(fold.validation) & set(fold.test)
        sides = made.sides(data, index)
        assert Counter(sides.training + sides.validation + sides.test) == Counter(data.clips)


def test_folds_of_a_set_like_uva_nemo_have_40_subjects_and_about_124_clips():
    """1,240 clips of 400 subjects: 40 subjects a fold, 124 clips, a tenth of the others for validation."""
    data = uva_like()
    made = protocol.split(data)
    assert [len(fold.test) for fold in made.folds] == [40] * 10
    assert {len(fold.validation) for fold in made.folds} == {36}
    clips = [len(made.sides(data, index).test) for index in range(10)]
    assert sum(clips) == 1240 and max(clips) - min(clips) <= 1


def test_the_order_of_the_listing_does_not_matter_but_the_seed_does():
    """The same people in another order give the same folds; another seed gives others."""
    data = uva_like()
    shuffled = Dataset(data.name, data.clips[::-1])
    made = protocol.split(data)
    assert protocol.split(shuffled).folds == made.folds
    assert protocol.split(data, seed=1).folds != made.folds


def test_folds_survive_the_disk_and_show_changes(tmp_path):
    """A file that was edited, or that belongs to another set, is refused."""
    data = uva_like()
    made = protocol.split(data)
    path = tmp_path / "folds.json"
    protocol.save(made, path)
    assert protocol.load(path) == made and protocol.load(path).hash == made.hash
    record = json.loads(path.read_text())
    record["folds"][0]["test"][0], record["folds"][1]["test"][0] = "399", "000"
    path.write_text(json.dumps(record))
    with pytest.raises(ProtocolError, match="was changed"):
        protocol.load(path)
    with pytest.raises(ProtocolError, match="not for drawn"):
        made.sides(uva_like(seed=1), 0)


@pytest.mark.parametrize("fold", [-1, 10])
def test_a_fold_that_is_not_there_is_refused(fold):
    """The error says how many there are; -1 is not the last."""
    data = uva_like()
    with pytest.raises(ProtocolError, match=f"there is no fold {fold}: the 10 folds are 0 to 9"):
        protocol.split(data).sides(data, fold)


def test_a_subject_on_two_sides_is_a_leak():
    """A fold in which somebody is both tested and trained on cannot be used."""
    a, b = dataset([(30, 0, 2), (40, 1, 1)]).clips[:2]
    with pytest.raises(Leak, match="subject 000 is in training and in test"):
        protocol.check_leaks(Sides((a,), (), (b,)))


def test_a_copied_file_under_another_subject_is_a_leak(tmp_path):
    """Equal bytes on two sides are found, whatever the file is called."""
    clips = []
    for index, content in enumerate((b"one", b"two", b"one")):
        path = tmp_path / f"{index}.mp4"
        path.write_bytes(content)
        clips.append(Clip(path.name, path, str(index), 30, "male", "posed"))
    twins = duplicates.same_files(clips)
    assert twins == [["0.mp4", "2.mp4"]]
    protocol.check_leaks(Sides((clips[0], clips[2]), (), (clips[1],)), twins)
    with pytest.raises(Leak, match=r"0\.mp4 in training, 2\.mp4 in test"):
        protocol.check_leaks(Sides(tuple(clips[:2]), (), (clips[2],)), twins)


def test_only_clips_of_several_people_are_to_be_looked_at(tmp_path):
    """One person's clips are alike and stay together: they are no leak, and not listed among those that may be."""
    data = dataset([(30, 0, 2), (40, 1, 1)])
    a, b, c = (clip.name for clip in data.clips)
    assert duplicates.not_accepted([[a, b]], data, [], tmp_path) == [] and not list(tmp_path.iterdir())
    assert duplicates.not_accepted([[a, b], [a, c]], data, [], tmp_path) == [[a, c]]
    assert duplicates.read_accepted(tmp_path / duplicates.ALIKE, data) == [{a, c}]


def test_a_recompressed_brighter_clip_is_a_near_duplicate_and_another_face_is_not():
    """Noise, another brightness and a small shift are seen through; independent textures and mirrored ones are not."""
    rng = np.random.default_rng(0)
    coarse = rng.random((4, 24, 24))
    smooth = np.kron(coarse, np.ones((4, 4)))
    crops = np.stack([np.repeat(np.stack([f * 200] * 3, axis=-1)[None], 5, axis=0) for f in smooth])
    copy = np.clip(crops[0] * 1.1 + 5 + rng.normal(0, 2, crops[0].shape), 0, 255)
    clips = {"a": crops[0], "copy": copy, "b": crops[1], "c": crops[2], "mirrored": crops[0][:, :, ::-1]}
    hashes = {name: duplicates.clip_hash(clip.astype(np.uint8)) for name, clip in clips.items()}
    assert duplicates.near_duplicates(hashes) == [["a", "copy"]]
    assert duplicates.near_duplicates({}) == []


def test_the_command_checks_the_counts_and_writes_the_folds(tmp_path, capsys):
    """A folder in UvA-NEMO's layout with other counts is refused by name, or split when that is asked for."""
    videos = tmp_path / "videos"
    videos.mkdir()
    rows = []
    for code in range(1, 31):
        name = f"{code:03}_deliberate_smile_1.mp4"
        (videos / name).write_bytes(name.encode())
        rows.append(f"{name}\t{code:03}\t{GENDERS[code % 2]}\t{code + 9}\tdeliberate")
    (tmp_path / "UvA-NEMO_Smile_Database_File_Details.txt").write_text("\n".join(rows))
    command = [str(tmp_path), "--out", str(tmp_path / "folds.json")]
    with pytest.raises(SystemExit, match=r"FAIL subjects: 30 \(published: 400\)"):
        protocol.main(command)
    assert not (tmp_path / "folds.json").exists()
    protocol.main([*command, "--accept-counts"])
    assert "fold 9: 3 subjects, 3 clips in test" in capsys.readouterr().out
    assert len(protocol.load(tmp_path / "folds.json").folds) == 10


def test_too_few_subjects_are_refused():
    """Ten folds of fifteen people cannot keep their promises."""
    with pytest.raises(ProtocolError, match="15 subjects are too few"):
        protocol.split(dataset([(30, 0, 1)] * 15))


def test_folds_without_anybody_to_validate_by_are_refused():
    """A tenth of five people may be nobody: else a run would only find out at the end of its first epoch."""
    with pytest.raises(ProtocolError, match="10 subjects are too few for 2 folds: of the 5 that fold . does not test"):
        for seed in range(20):
            assert all(fold.validation for fold in protocol.split(dataset([(30, 0, 1)] * 10), 2, seed).folds)
