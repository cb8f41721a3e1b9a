"""Files that are whole or not there."""

from pathlib import Path

import pytest

from training.whole import whole, write_text


def test_what_fails_halfway_leaves_what_was_there(tmp_path: Path) -> None:
    """The file of before, and nothing beside it."""
    path = tmp_path / "answers.json"
    write_text(path, "before")
    with pytest.raises(ValueError, match="halfway"), whole(path) as file:
        file.write(b"half")
        raise ValueError("halfway")
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
