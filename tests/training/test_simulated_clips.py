"""Simulated smiles of the astronaut portrait, and the features of them."""

import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from networks import checkpoint
from networks.backbone import Backbone
from smile.sampling import MIN_SAMPLES
from training import simulated_clips, simulated_features, stills
from training.evaluate_stills import predict
from training.sequences import beside
from training.simulated_clips import Settings
from training.simulated_features import HELD_OUT, STILL
from training.still_network import HEAD, FrameAnswers, FrameHead, load_head, save_head
from training.stills import Stills

FACE = np.ascontiguousarray(astronaut()[0:300, 80:380])
NAMES = ("47_1_0_20170101000000001.jpg", "30_0_3_20170102000000001.jpg")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face, and a still that shows none but is listed all the same."""
    path = tmp_path_factory.mktemp("stills") / "stills.zip"
    with zipfile.ZipFile(path, "w") as handle:
        for name, image in zip(NAMES, (FACE, np.full_like(FACE, 90)), strict=True):
            handle.writestr(f"utkface/{name}", cv2.imencode(".jpg", image[..., ::-1])[1].tobytes())
    return path


@pytest.fixture(scope="module")
def data() -> Stills:
    wide = stills.aligned(FACE)
    assert wide is not None
    labels = np.array([stills.labels(name) for name in NAMES])
    return Stills(
        np.array(NAMES),
        labels[:, 0].astype(np.float32),
        *labels[:, 1:].T,
        np.zeros((2, 2), np.uint64),
        np.stack([wide, wide]),
    )


@pytest.fixture(scope="module")
def clips(archive: Path, data: Stills, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    return simulated_clips.prepare(
        archive, data, np.array([0, 1]), "train", Settings("x"), tmp_path_factory.mktemp("cache"), 1
    )


def test_faces_give_clips_and_others_a_reason(clips: dict[int, Path]) -> None:
    """A clip of aligned crops appears for the face; for the other still a file says why there is none."""
    assert list(clips) == [0]
    with np.load(clips[0]) as clip:
        assert clip["crops"].shape[1:] == (96, 96, 3) and len(clip["crops"]) >= MIN_SAMPLES
        assert clip["faces"].shape == (len(clip["crops"]), 114, 114) and clip["faces"].dtype == np.uint8
        assert len(clip["times_s"]) == len(clip["mouth_ratios"]) == len(clip["crops"])
    reasons = list(clips[0].parent.glob("*.json"))
    assert len(reasons) == 1 and "no face" in reasons[0].read_text()


def test_finished_clips_are_not_made_again(archive: Path, data: Stills, clips: dict[int, Path]) -> None:
    """A second call finds everything, the refusal included."""
    before = clips[0].stat().st_mtime_ns
    cache = clips[0].parents[2]
    again = simulated_clips.prepare(archive, data, np.array([0, 1]), "train", Settings("x"), cache, 1)
    assert again == clips and clips[0].stat().st_mtime_ns == before


def test_movement_does_not_depend_on_the_labels() -> None:
    """The same still under other labels moves alike: nothing invented about smiles can tell age or gender."""
    one, other = (
        simulated_clips.render(FACE, name, (1, 2), True, 10.0) for name in ("8_0_0_20170101.jpg", "80_1_0_20170101.jpg")
    )
    assert np.array_equal(one["crops"], other["crops"])


def test_one_camera_films_a_whole_clip() -> None:
    """What is done to the frames of a recording is the same for all of them, and another for other recordings."""
    frames = [FACE[:256, :256]] * 3
    takes = [list(simulated_clips.recorded(iter(frames), np.random.default_rng(seed))) for seed in range(6)]
    assert all(np.array_equal(take[0], frame) for take in takes for frame in take)
    assert len({take[0].tobytes() for take in takes}) > 3
    assert all(side % 2 == 0 for take in takes for side in take[0].shape[:2])


def test_more_stills_are_the_same_and_others(data: Stills) -> None:
    """The order depends on the part and the seed alone, so a larger run begins with the smaller one's clips."""
    rng = np.random.default_rng(0)
    many = Stills(
        np.arange(500).astype(str),
        rng.integers(0, 90, 500).astype(np.float32),
        rng.integers(0, 2, 500),
        *[data.race] * 2,
        data.hashes,
        data.crops,
    )
    rows = np.arange(500)
    first, again = (simulated_clips.order(many, rows, "test", Settings("x")) for _ in range(2))
    assert np.array_equal(first, again) and sorted(first) == list(rows)
    assert not np.array_equal(first, simulated_clips.order(many, rows, "calibration", Settings("x")))


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Backbone, FrameHead]:
    """A backbone with its head: where it lies, and both."""
    torch.manual_seed(0)
    backbone, head = Backbone().eval(), FrameHead().eval()
    backbone.feature_scale.fill_(1.7)
    with torch.no_grad():  # random features are huge, and a saturated softmax shows nothing
        for layer in (head.age, head.gender):
            layer.weight.mul_(0.01)
    folder = tmp_path_factory.mktemp("released") / "backbone"
    checkpoint.save(backbone, folder)
    save_head(head, folder / HEAD)
    return folder, backbone, head


def test_features_are_kept_and_single_frames_answer_as_on_stills(
    data: Stills, clips: dict[int, Path], released: tuple[Path, Backbone, FrameHead], tmp_path: Path
) -> None:
    """The backbone's own head answers from cached features as from the crops, and what is learned from is told its
    answers to the mirrored crops too; a still is shown in all its views, twice each at the end."""
    folder, backbone, head = released
    found = simulated_features.prepare(
        data,
        {"test": clips, "train": clips},
        {STILL: np.array([1]), HELD_OUT: np.array([0])},
        Settings("x"),
        folder,
        tmp_path / "cache",
        1,
        views=3,
        rounds=2,
        replays=2,
    )
    (clip,), (held_out,), stills = found.part("test"), found.part(HELD_OUT), found.part(STILL)
    assert (clip.age, clip.gender) == (47, "female") and [(one.age, one.gender) for one in stills] == [(30, "male")] * 6
    with np.load(clips[0]) as arrays:
        crops = arrays["crops"]
    age, gender = predict(backbone, head, crops)
    single = FrameAnswers(head, 1.7)
    years, genders = single(torch.from_numpy(found.regions(clip).copy()))
    assert np.allclose(years, age, atol=0.05) and np.allclose(genders, gender, atol=0.005)
    assert np.allclose(found.said(clip, single), [age.mean(), *gender.mean(axis=0)], atol=0.05)
    shown = [found.regions(still) for still in stills]
    assert len(np.unique(np.concatenate(shown), axis=0)) == 3
    assert set(np.unique([one[-1] for one in shown], axis=0, return_counts=True)[1]) == {2}
    assert len({one.tobytes() for one in shown}) == 6
    assert [len(sequence) for sequence in shown] == [found.frame_counts[still.name] for still in stills]
    whole, *replayed = sorted(found.part("train"), key=lambda clip: clip.name)
    mirrored, _ = predict(backbone, head, np.ascontiguousarray(crops[:, :, ::-1]))
    assert abs(mirrored.mean() - age.mean()) > 0.2
    assert abs(found.said(whole, single)[0] - (age.mean() + mirrored.mean()) / 2) < 0.05
    assert all(len(found.said(still, single)) == 3 for still in stills)
    assert len(replayed) == 2 and {one.subject for one in replayed} == {whole.subject}
    for one in replayed:
        assert len(found.regions(one)) == found.frame_counts[one.name]
        assert np.isin(found.regions(one), found.regions(whole)).all()
    assert (found.regions(held_out) == found.regions(held_out)[0]).all()
    with pytest.raises(ValueError, match="test part"):
        simulated_features.one_fold(found, Settings("x"))


def test_what_another_head_says_is_not_taken_for_this_ones(
    data: Stills, released: tuple[Path, Backbone, FrameHead], tmp_path: Path
) -> None:
    """With a refitted head beside the same backbone, what is learned of a still is what the new one says."""
    folder, _, _ = released
    shutil.copytree(folder, tmp_path / "backbone")
    known = (data, {}, {STILL: np.array([0])}, Settings("x"), tmp_path / "backbone", tmp_path / "cache", 1)
    said = []
    for shift in (0.0, 3.0):
        head = load_head(tmp_path / "backbone" / HEAD)
        with torch.no_grad():
            head.age.bias[-1] += shift
        save_head(head, tmp_path / "backbone" / HEAD)
        found = simulated_features.prepare(*known)
        said.append(found.said(found.part(STILL)[0], FrameAnswers(head, 1.7))[0])
    assert said[1] > said[0] + 0.1


def test_some_sequences_begin_with_another_still(
    data: Stills, released: tuple[Path, Backbone, FrameHead], tmp_path: Path
) -> None:
    """They end with their own, and what is learned of them is the mean over the instants of what is said of each."""
    folder, _, head = released
    stills = {STILL: np.array([0, 1])}
    known = (data, {}, stills, Settings("x"), folder, tmp_path / "cache", 1)
    alone, mingled = (simulated_features.prepare(*known, views=4, others=share) for share in (0.0, 1.0))
    single, moved = FrameAnswers(head, 1.7), []
    own = {name: {row for _, row in sequence.rows} for name, sequence in alone.sequences.items()}
    assert all(len(rows) == 1 for rows in own.values())
    begun_otherwise = 0
    for clip in mingled.part(STILL):
        sequence = mingled.sequences[clip.name]
        (_, first), (_, last) = sequence.rows
        assert {last} == own[clip.name]
        begun_otherwise += first != last
        of_each = [np.load(beside(file))[row, 0] for file, (_, row) in zip(sequence.files, sequence.rows, strict=True)]
        share = float(sequence.place.mean())
        said = mingled.said(clip, single)[0]
        assert said == pytest.approx((1 - share) * of_each[0] + share * of_each[1], rel=1e-5)
        moved.append(abs(said - of_each[1]))
    assert max(moved) > 0.01
    assert 0 < begun_otherwise < len(mingled.sequences)
