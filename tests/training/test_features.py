"""The feature cache, filled from real clips by real processes."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from networks import backbone, checkpoint
from networks.backbone import Backbone
from training import datasets, extraction, feature_store, features
from training.feature_store import FeatureError

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "demo/astronaut_smile.mp4"
RATE_HZ = 5.0


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Four clips, a manifest, and a random backbone."""
    torch.manual_seed(0)
    checkpoint.save(Backbone(), tmp_path / "backbone")
    write_clips(tmp_path, 4)
    return tmp_path


def write_clips(folder: Path, count: int) -> None:
    """Clips that differ in their bytes but not in their pictures, and their manifest."""
    lines = ["clip,subject,age,gender,kind"]
    for number in range(count):
        path = folder / f"{number}.mp4"
        path.write_bytes(CLIP.read_bytes() + b"\0\0\0\x09free" + bytes([number]))
        lines.append(f"{path.name},s{number},30,female,posed")
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")


def command(folder: Path, *more: str) -> list[str]:
    places = [str(folder / "clips.csv"), "--backbone", str(folder / "backbone"), "--cache", str(folder / "cache")]
    return [sys.executable, "-m", "training.features", *places, "--frame-rate", str(RATE_HZ), "--processes", "1", *more]


def stored(folder: Path, pattern: str) -> list[Path]:
    return sorted((folder / "cache").glob(f"*/{pattern}"))


def test_features_are_the_services_own(listed: Path) -> None:
    """What is cached is what decoding, alignment and the backbone give, and a second run computes nothing."""
    dataset = datasets.read(listed / "clips.csv")
    found = features.prepare(dataset, listed / "backbone", listed / "cache", RATE_HZ, processes=1)
    network = checkpoint.load_backbone(listed / "backbone")

    def run(crops: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(crops)).numpy()

    stretch, crops = extraction.extract(CLIP, run, RATE_HZ)
    cached = found.regions(dataset.clips[0])
    assert cached.dtype == np.float16 and cached.shape == stretch.features.shape
    assert np.allclose(cached, stretch.features, atol=0.02, rtol=0.01)
    assert np.array_equal(found.crops(dataset.clips[0]), crops) and len(crops) == extraction.CROPS
    assert found.course(dataset.clips[0]).has_smile
    stamps = [path.stat().st_mtime_ns for path in stored(listed, "*.np?")]
    features.prepare(dataset, listed / "backbone", listed / "cache", RATE_HZ, processes=1)
    assert [path.stat().st_mtime_ns for path in stored(listed, "*.np?")] == stamps


def test_killed_extraction_goes_on(listed: Path) -> None:
    """kill -9 after the first clip: its workers end too, what is finished stays, the rest follows, no part is left."""
    process = subprocess.Popen(command(listed), cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None and not stored(listed, "*.npz"):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path.name: path.stat().st_mtime_ns for path in stored(listed, "*.npz")}
    assert 1 <= len(before) <= 4
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and _group_lives(process.pid):
        time.sleep(0.05)
    assert not _group_lives(process.pid)
    (stored(listed, "*.npz")[0].parent / "half.npy.partial").write_bytes(b"half")
    subprocess.run(command(listed), cwd=ROOT, check=True, capture_output=True)
    after = {path.name: path.stat().st_mtime_ns for path in stored(listed, "*.npz")}
    assert len(after) == 4 and before.items() <= after.items()
    assert not stored(listed, "*.partial")


def test_features_of_another_backbone_are_never_mixed(listed: Path) -> None:
    """After the weights change the cache counts as empty, and the message says that others are there."""
    dataset = datasets.read(listed / "clips.csv")
    features.prepare(dataset, listed / "backbone", listed / "cache", RATE_HZ, processes=1)
    old = feature_store.recipe_of(listed / "backbone", RATE_HZ).key
    checkpoint.save(Backbone(), listed / "backbone")
    with pytest.raises(FeatureError, match=f"4 of 4 clips have no features .*other versions .*{old}"):
        feature_store.load(dataset, listed / "backbone", listed / "cache", RATE_HZ)
    with pytest.raises(FeatureError, match="other versions"):
        feature_store.load(dataset, listed / "backbone", listed / "cache", 2 * RATE_HZ)


def test_features_of_other_code_of_the_backbone_are_never_mixed(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another mean or tiling is another version; comments and docstrings are not."""
    source = Path(backbone.__file__).read_text()
    keys = []
    for old, new in (("", ""), ('"""Mean colour', '"""The mean colour'), ("129.1863", "129"), ("1, 3, 5)", "1, 5, 3)")):
        assert old in source
        (listed / "backbone.py").write_text(source.replace(old, new))
        monkeypatch.setattr(backbone, "__file__", str(listed / "backbone.py"))
        keys.append(feature_store.recipe_of(listed / "backbone", RATE_HZ).key)
    assert keys[0] == keys[1] and len(set(keys)) == 3


def test_features_of_other_code_that_reads_clips_are_never_mixed(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More crops of a clip are another version; the command's options are not in that module."""
    source = feature_store.EXTRACTION.read_text()
    keys = []
    for old, new in (("", ""), ('"""One clip', '"""A clip'), ("CROPS = 8", "CROPS = 9")):
        assert old in source
        (listed / "extraction.py").write_text(source.replace(old, new, 1))
        monkeypatch.setattr(feature_store, "EXTRACTION", listed / "extraction.py")
        keys.append(feature_store.recipe_of(listed / "backbone", RATE_HZ).key)
    assert keys[0] == keys[1] != keys[2]


def test_convolutions_are_exact_on_gpus(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features do not depend on whether cuDNN may round to TF32: a worker forbids it."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    extraction.Worker(listed / "backbone", RATE_HZ)
    assert not torch.backends.cudnn.allow_tf32


def test_unreadable_clips_are_listed(listed: Path) -> None:
    """A clip that is no video is skipped and remembered; more than one in a hundred end the run with their names,
    unless more are accepted; then what reads the cache knows it as skipped."""
    (listed / "2.mp4").write_bytes(b"not a video")
    result = subprocess.run(command(listed), cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert "1 of 4 clips were found unreadable" in result.stderr and "\n  2.mp4: " in result.stderr
    (reason,) = stored(listed, "*.json")
    assert json.loads(reason.read_text())["code"] == "unreadable_video"
    assert "more than 1% (--accept-skipped SHARE goes on):" in result.stderr
    result = subprocess.run(command(listed, "--accept-skipped", "0.25"), cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0 and "3 clips" in result.stdout and "  skipped 2.mp4: " in result.stdout
    dataset = datasets.read(listed / "clips.csv")
    assert set(feature_store.load(dataset, listed / "backbone", listed / "cache", RATE_HZ).skipped) == {"2.mp4"}
    result = subprocess.run(command(listed, "--accept-skipped", "25"), cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2 and "25 is not a share from 0 to 1" in result.stderr


def test_too_many_unreadable_clips_end_the_run_at_once(listed: Path) -> None:
    """Clips that no process had taken yet are not read any more, and a second run reads none."""
    write_clips(listed, 10)
    (listed / "0.mp4").write_bytes(b"not a video")
    dataset = datasets.read(listed / "clips.csv")
    read = []
    for _ in range(2):
        with pytest.raises(FeatureError, match="1 of 10 clips were found unreadable, more than 1% .*:\n  0.mp4: "):
            features.prepare(dataset, listed / "backbone", listed / "cache", RATE_HZ, processes=1)
        read.append(len(stored(listed, "*.npz")))
    assert read[0] == read[1] < 6


def test_full_disk_leaves_no_half_file(listed: Path) -> None:
    """Where a file cannot be written to its end the message says so, and nothing that looks like a result is left."""

    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    result = subprocess.run(command(listed), cwd=ROOT, capture_output=True, text=True, preexec_fn=no_large_files)
    assert result.returncode == 1
    assert "cannot be written" in result.stderr and "run again" in result.stderr
    assert not stored(listed, "*.np*")


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
