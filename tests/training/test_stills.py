import zipfile

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from smile import alignment
from smile.landmarker import FaceLandmarker
from smile.pose import eye_centres
from training import stills

FACE = np.ascontiguousarray(astronaut()[0:300, 80:380])


def _jpeg(rgb: np.ndarray, quality: int) -> bytes:
    return cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def test_the_middle_of_a_stored_crop_is_the_services_crop() -> None:
    """The margin is around the crop that the service would cut, not instead of it."""
    wide = stills.aligned(FACE)
    assert wide is not None
    with FaceLandmarker() as landmarker:
        landmarks = landmarker.locate(FACE)
    assert landmarks is not None
    crop = alignment.warp(FACE, alignment.similarity(*eye_centres(landmarks)))
    inner = wide[stills.MARGIN_PX : -stills.MARGIN_PX, stills.MARGIN_PX : -stills.MARGIN_PX]
    assert inner.shape == crop.shape
    assert np.abs(inner.astype(int) - crop).mean() < 3


def test_no_face_gives_no_crop() -> None:
    """A still without a face is left out rather than cut somewhere."""
    assert stills.aligned(np.full((200, 200, 3), 128, np.uint8)) is None


def test_labels_come_from_the_name() -> None:
    """Age, gender, race and date are read from the file name, and other names are refused."""
    assert stills.labels("utkface/26_1_2_20170116184024662.jpg") == (26, 1, 2, 20170116)
    with pytest.raises(ValueError):
        stills.labels("utkface/readme.txt")


def test_the_hash_survives_compression_but_not_another_picture() -> None:
    """A copy saved anew keeps nearly all of its bits; a mirrored picture does not."""
    again = cv2.imdecode(np.frombuffer(_jpeg(FACE, 40), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    own = stills.perceptual_hash(FACE)
    assert (own ^ stills.perceptual_hash(np.ascontiguousarray(again))).bit_count() <= 4
    assert (own ^ stills.perceptual_hash(np.ascontiguousarray(FACE[:, ::-1]))).bit_count() > 12


def test_stills_that_cannot_be_used_are_left_out(tmp_path, monkeypatch, capfd) -> None:
    """A file that is no picture, and a chunk without any face: the others come back, and they are counted."""
    monkeypatch.setattr(stills, "CHUNK", 2)
    archive, cache = tmp_path / "stills.zip", tmp_path / "cache"
    with zipfile.ZipFile(archive, "w") as handle:
        handle.writestr("30_1_0_20170101000000001.jpg", _jpeg(FACE, 95))
        handle.writestr("31_0_3_20170102000000001.jpg", _jpeg(FACE, 95)[:400])
        handle.writestr("32_0_3_20170102000000001.jpg", b"")
    data = stills.load(archive, cache, processes=1)
    assert "1 of 3 faces found" in capfd.readouterr().out
    assert data.names.tolist() == ["30_1_0_20170101000000001.jpg"]
    assert len(data.crops) == len(data.hashes) == len(data.age) == 1


def test_an_archive_is_prepared_once(tmp_path, monkeypatch) -> None:
    """Faces and labels of an archive come back from the cache, faceless stills dropped, without aligning again."""
    archive = tmp_path / "stills.zip"
    with zipfile.ZipFile(archive, "w") as handle:
        handle.writestr("utkface/30_1_0_20170101000000001.jpg", _jpeg(FACE, 95))
        handle.writestr("utkface/31_0_3_20170102000000001.jpg", _jpeg(np.full((200, 200, 3), 90, np.uint8), 95))
        handle.writestr("utkface/notes.txt", "not a still")
    first = stills.load(archive, tmp_path / "cache", processes=1)
    monkeypatch.setattr(stills, "_prepare", None)
    second = stills.load(archive, tmp_path / "cache")
    assert first.names.tolist() == second.names.tolist() == ["30_1_0_20170101000000001.jpg"]
    assert (first.age[0], first.gender[0], first.race[0], first.date[0]) == (30, 1, 0, 20170101)
    assert np.array_equal(first.crops, second.crops)
    assert second.centre(np.array([0])).shape == (1, alignment.CROP_PX, alignment.CROP_PX, 3)
