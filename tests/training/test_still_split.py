import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from training import still_split, stills


def _scene(rng: np.random.Generator) -> np.ndarray:
    coarse = rng.integers(0, 256, (10, 10, 3), dtype=np.uint8)
    return cv2.resize(coarse, (stills.STORED_PX, stills.STORED_PX), interpolation=cv2.INTER_CUBIC)


def _stills(crops: list[np.ndarray]) -> stills.Stills:
    rng = np.random.default_rng(0)
    count = len(crops)
    mirrored = [np.ascontiguousarray(crop[:, ::-1]) for crop in crops]
    hashes = [[stills.perceptual_hash(a), stills.perceptual_hash(b)] for a, b in zip(crops, mirrored, strict=True)]
    return stills.Stills(
        names=np.array([f"{index}.jpg" for index in range(count)]),
        age=rng.integers(0, 90, count).astype(np.float32),
        gender=rng.integers(0, 2, count),
        race=rng.integers(0, 5, count),
        date=np.full(count, 20170101),
        hashes=np.array(hashes, np.uint64),
        crops=np.stack(crops),
    )


@pytest.fixture(scope="module")
def data() -> stills.Stills:
    """400 different scenes, and a compressed copy, a mirrored copy and a copy of the copy of some of them."""
    rng = np.random.default_rng(1)
    scenes = [_scene(rng) for _ in range(400)]
    copy = cv2.imdecode(cv2.imencode(".jpg", scenes[3], [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)
    mirrored = np.ascontiguousarray(scenes[7][:, ::-1])
    return _stills([*scenes, copy, mirrored, cv2.GaussianBlur(mirrored, (3, 3), 0)])


def test_copies_share_a_group_and_strangers_do_not(data: stills.Stills) -> None:
    """A compressed copy and mirrored copies join their original; every other picture stays alone."""
    group = still_split.groups(data)
    assert group[400] == 3 and group[401] == group[402] == 7
    assert np.array_equal(group[:400], np.arange(400))


def test_parts_hold_whole_groups_in_their_shares(data: stills.Stills) -> None:
    """No group is torn apart, every still is in exactly one part, and parts are as large as they should be."""
    group = still_split.groups(data)
    parts = still_split.split(data, group)
    assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(len(group)))
    for first in parts:
        for second in set(parts) - {first}:
            assert not set(group[parts[first]]) & set(group[parts[second]])
    for name, share in still_split.PARTS.items():
        assert len(parts[name]) / len(group) == pytest.approx(share, abs=0.03)


def test_a_stored_split_comes_back_and_a_changed_one_is_refused(data: stills.Stills, tmp_path) -> None:
    """What is loaded is what was stored, by either name of a still; other stills and a changed file are refused."""
    path = tmp_path / "split.json"
    parts = still_split.split(data, still_split.groups(data))
    still_split.save_split(data, parts, path)
    loaded = still_split.load_split(data, path)
    assert all(np.array_equal(parts[name], loaded[name]) for name in still_split.PARTS)
    longer = replace(data, names=np.array([name + stills.CHIP for name in data.names]))
    assert np.array_equal(still_split.load_split(longer, path)["test"], parts["test"])
    other = replace(data, names=np.array([f"other {name}" for name in data.names]))
    with pytest.raises(ValueError, match="validation, calibration, test"):
        still_split.load_split(other, path)
    stored = json.loads(path.read_text())
    stored["validation"].append(stored["test"].pop())
    path.write_text(json.dumps(stored))
    with pytest.raises(ValueError):
        still_split.load_split(data, path)
