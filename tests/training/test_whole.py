"""Files that are whole or not there."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.whole import whole, write_png, write_text


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """OpenCV itself says nothing; one that can be is read as it was."""
    picture = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    write_png(tmp_path / "picture.png", picture)
    assert np.array_equal(cv2.imread(str(tmp_path / "picture.png"))[..., ::-1], picture)
    with pytest.raises(OSError):
        write_png(Path("/dev/null/picture.png"), picture)


def test_what_fails_halfway_leaves_what_was_there(tmp_path: Path) -> None:
    """The file of before, and nothing beside it."""
    path = tmp_path / "answers.json"
    write_text(path, "before")
    with pytest.raises(ValueError, match="halfway"), whole(path) as file:
        file.write(b"half")
        raise ValueError("halfway")
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
