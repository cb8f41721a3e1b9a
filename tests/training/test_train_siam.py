"""Runs of SIAM that are interrupted and go on, and what they say about parts of clips."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from networks import checkpoint
from networks.siam_config import SiamConfig
from smile.frontal_shape import SIDE_PX
from tests.training import planted_faces
from training import predictions, protocol, run_record, siam_plan, siam_record, train, train_siam
from training.accepted import Accepted
from training.feature_store import FeatureError
from training.module import LossNotFinite
from training.protocol import Leak, ProtocolError
from training.run_config import ConfigError
from training.siam_answers import instants_of
from training.siam_faces import cached, faces_of
from training.siam_methods import PHASES
from training.siam_module import SiamModule, SiamOptimisation
from training.train_siam import SiamRun

ROOT = Path(__file__).resolve().parents[2]
TINY = SiamConfig(channels=(4, 6, 8), hidden=16, features=12, attention_width=5)
EPOCHS = 6
RUN = """
import sys, torch
from training import train, train_siam
from networks.siam_config import SiamConfig
from training.siam_module import SiamOptimisation
torch.set_num_threads(1)
train.quiet()
train_siam.run(train_siam.SiamRun({arguments}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("planted")
    planted_faces.make(made)
    return made


def config(folder: Path, name: str) -> SiamRun:
    plan = SiamOptimisation(rate=3e-3, batch=4, epochs=EPOCHS)
    paths = {"data": str(folder / "clips.csv"), "out": str(folder / name), "cache": str(folder / "cache")}
    return SiamRun(**paths, network=TINY, optimisation=plan, folds=2, frame_rate_hz=planted_faces.RATE_HZ)


def start(run: SiamRun) -> subprocess.Popen:
    code = RUN.format(arguments=", ".join(f"{name}={value!r}" for name, value in vars(run).items()))
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)


def test_killed_run_goes_on_to_the_same_answers(folder: Path) -> None:
    """kill -9 after an epoch, run again: the answers are those of an undisturbed run; another run is kept out."""
    undisturbed, killed = config(folder, "undisturbed"), config(folder, "killed")
    first = start(undisturbed)
    _, errors = first.communicate()
    assert first.returncode == 0, errors[-3000:]
    victim = start(killed)
    while victim.poll() is None and not (folder / "killed/checkpoints/last.ckpt").exists():
        time.sleep(0.005)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert victim.returncode == -signal.SIGKILL and not killed.is_finished
    assert torch.load(folder / "killed/checkpoints/last.ckpt", weights_only=False)["epoch"] < EPOCHS - 1
    second = start(killed)
    _, errors = second.communicate()
    assert second.returncode == 0, errors[-3000:]
    ours, theirs = (predictions.read([folder / name / train.PREDICTIONS])[1] for name in ("killed", "undisturbed"))
    assert ours == theirs and {item.method for item in ours} == {"siam", *PHASES}
    provenance = json.loads((folder / "killed/siam/config.json").read_text())["provenance"]
    assert provenance["epochs"] == EPOCHS
    assert checkpoint.load_siam(folder / "killed/siam").config == TINY
    with pytest.raises(ConfigError, match=r"another run: config\.fold differ"):
        train_siam.run(replace(killed, fold=1))


def test_a_fold_that_is_not_there_claims_no_directory(folder: Path) -> None:
    """Otherwise the right number would be refused afterwards, as another run."""
    wrong = replace(config(folder, "wrong"), fold=2)
    with pytest.raises(ProtocolError, match="there is no fold 2: the 2 folds are 0 to 1"):
        train_siam.run(wrong)
    assert not Path(wrong.out).exists()


def test_a_run_is_of_the_files_that_it_began_with(tmp_path: Path) -> None:
    """A clip that was replaced under the same name and label makes another run of it."""
    dataset = planted_faces.make(tmp_path)
    run = config(tmp_path, "run")
    with pytest.raises(ProtocolError, match="a side of fold 0 is empty"):
        train_siam.run(run, usable=())
    dataset.clips[0].path.write_bytes(b"mended")
    with pytest.raises(ConfigError, match=r"another run: data\.content differ"):
        train_siam.run(run, usable=())


def test_a_run_that_is_trained_is_not_trained_beside(folder: Path) -> None:
    """Whoever finished first would remove the other's checkpoints."""
    run = config(folder, "held")
    with run_record.held(Path(run.out)):
        second = start(run)
        _, errors = second.communicate()
    assert (
        f"ConfigError: another process trains the run in {run.out}" in errors and not Path(run.out, "run.json").exists()
    )


@torch.no_grad()
def test_an_error_of_validation_that_is_no_number_stops_a_run() -> None:
    """Such an error is better than none before, and would pass for a plateau."""
    module = SiamModule(TINY, SiamOptimisation(), 0, age=(float("nan"), 1.0)).eval()
    module.validation_step((torch.zeros(1, 3, SIDE_PX, SIDE_PX, dtype=torch.uint8), torch.tensor([30.0])), 0)
    with pytest.raises(LossNotFinite, match="validation error is nan years in epoch 0"):
        module.on_validation_epoch_end()


def test_a_recording_on_two_sides_is_not_trained_on(tmp_path: Path) -> None:
    """A second file of a training clip, a little brighter, or a copy of it, among the test clips under another subject:
    neither run nor study begins, unless the brighter one is accepted. In a simulated set, where people may share a
    portrait, only the copy is a leak."""
    dataset = planted_faces.make(tmp_path)
    sides = protocol.split(dataset, 2).sides(dataset, 0)
    known, other = sides.training[0], sides.test[0]
    run = config(tmp_path, "run")
    plan = replace(siam_plan.TINY, methods=("siam",), frame_rate_hz=planted_faces.RATE_HZ)
    everyone = {clip.name for clip in dataset.clips}
    siam_record.check_leaks(plan, dataset, everyone, tmp_path / "cache", tmp_path)
    faces = faces_of(known.path, tmp_path / "cache", planted_faces.RATE_HZ)
    path = cached(other.path, tmp_path / "cache", planted_faces.RATE_HZ)
    with np.load(path) as arrays:
        np.savez(path, **dict(arrays) | {"faces": np.clip(faces, 0, 250) + np.uint8(5)})
    both = f"{known.name} in training|{other.name} in test"
    with pytest.raises(Leak, match=both):
        train_siam.run(run)
    with pytest.raises(Leak, match=both):
        siam_record.check_leaks(plan, dataset, everyone, tmp_path / "cache", tmp_path)
    accepted = tmp_path / "alike.txt"
    assert accepted.read_text() == f"{' '.join(sorted([known.name, other.name]))}\n"
    siam_record.check_leaks(plan, dataset, everyone, tmp_path / "cache", tmp_path, accepted)
    simulated = replace(dataset, simulated=True)
    siam_record.check_leaks(plan, simulated, everyone, tmp_path / "cache", tmp_path)
    other.path.write_bytes(known.path.read_bytes())
    with pytest.raises(Leak, match=both):
        siam_record.check_leaks(plan, simulated, everyone, tmp_path / "cache", tmp_path)
    assert not (tmp_path / "run/checkpoints").exists()


def test_unreadable_clips_end_run_and_study_unless_accepted(tmp_path: Path) -> None:
    """One of 48 clips is no video: more than one in a hundred, as in the chain of the first network."""
    dataset = planted_faces.make(tmp_path)
    dataset.clips[0].path.write_bytes(b"not a video")
    plan = replace(siam_plan.TINY, methods=("siam",), frame_rate_hz=planted_faces.RATE_HZ)
    record = siam_record.Record.begin(tmp_path / "study/study.json", plan, dataset)
    told = r"1 of 48 clips were found unreadable, more than 1% \(--accept-skipped SHARE goes on\):\n  s00_0.mp4: "
    with pytest.raises(FeatureError, match=told):
        train_siam.run(config(tmp_path, "run"))
    with pytest.raises(FeatureError, match=told):
        record.usable(plan, dataset, tmp_path / "cache", 1)
    assert len(record.usable(plan, dataset, tmp_path / "cache", 1, Accepted(skipped=0.03))) == 47


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*many workers.*")
def test_ages_are_counted_of_the_clips_that_can_be_read(tmp_path: Path) -> None:
    """Three of the four clips of an age are no videos: that leaves one, so the fourth is left out too."""
    dataset = planted_faces.make(tmp_path)
    for clip in [clip for clip in dataset.clips if clip.age == dataset.clips[0].age][:3]:
        clip.path.write_bytes(b"not a video")
    run = config(tmp_path, "run")
    run = replace(run, method="siam_from_2", optimisation=replace(run.optimisation, epochs=1))
    train_siam.run(run, accepted=Accepted(skipped=0.1))
    provenance = json.loads((tmp_path / "run/siam/config.json").read_text())["provenance"]
    assert sum(provenance["clips"]) == 48 - 4


def test_phases_of_a_smile() -> None:
    """Onset, apex and offset follow each other without a gap; what precedes the smile belongs to none of them."""
    times = np.arange(60) / 10
    ratios = 0.5 + 0.2 * np.interp(times, [0, 1, 2, 4, 5, 9], [0, 0, 1, 1, 0, 0])
    onset, apex, offset = (instants_of([phase], times, ratios) for phase in ("onset", "apex", "offset"))
    assert 8 <= onset[0] <= 12 and offset[-1] == 59
    assert np.array_equal(np.concatenate([onset, apex, offset]), np.arange(onset[0], 60))
    assert 17 <= apex[0] <= 20 and 39 <= apex[-1] <= 43
    assert np.array_equal(instants_of(["onset", "apex"], times, ratios), np.concatenate([onset, apex]))
    assert not len(instants_of(["onset"], times, np.full(60, 0.5)))
    assert not len(instants_of(["apex", "offset"], times[:30], ratios[:30]))
