"""Which clips `smile predict` takes, where it lets pictures go, and what it makes of files that cannot be read."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.cli.batch import pictures
from service.cli.clips import find
from service.cli.exits import Exit, Usage
from service.cli.main import main
from service.cli.opening import terminal_without_libraries
from tests import clips
from tests.service.conftest import DEMO


def test_folder_is_searched_for_every_kind_of_clip(tmp_path: Path) -> None:
    """Animated pictures and what cameras of studios write are clips too; stills and notes are none."""
    for name in ("a.gif", "b.APNG", "c.asf", "d.mxf", "e.mp4", "f.png", "g.txt", ".h.gif"):
        (tmp_path / name).touch()
    assert [source.path for source in find([str(tmp_path)])] == sorted(tmp_path.glob("[a-e].*"))


def test_folders_behind_links_are_searched_too(tmp_path: Path) -> None:
    """Each once, where it really is if that is searched, however links lead round in circles."""
    folder, elsewhere = tmp_path / "clips", tmp_path / "elsewhere"
    for place in (folder / "more", elsewhere):
        place.mkdir(parents=True)
        (place / "a.mp4").touch()
    for link, target in (("again", "more"), ("more/round", ".."), ("other", elsewhere), ("twice", elsewhere)):
        (folder / link).symlink_to(target)
    assert [source.name for source in find([str(folder)])] == [f"{folder}/more/a.mp4", f"{folder}/other/a.mp4"]


@pytest.mark.parametrize("asked", ["", "locked", "locked/a.mp4", "locked/more"])
def test_folder_that_cannot_be_searched_is_named(asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clips are not left out without a word, nor said not to exist."""
    locked = tmp_path / "locked"
    (locked / "more").mkdir(parents=True)
    for clip in (tmp_path / "a.mp4", locked / "a.mp4"):
        clip.touch()

    def heeded(function: Callable[..., Any], refused: str) -> Callable[..., Any]:
        """As if permissions were: root, as whom containers run tests, has them all."""

        def call(path: Any, *arguments: Any, **options: Any) -> Any:
            if str(path).startswith(refused):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return function(path, *arguments, **options)

        return call

    monkeypatch.setattr(os, "scandir", heeded(os.scandir, f"{locked}"))
    monkeypatch.setattr(os, "stat", heeded(os.stat, f"{locked}/"))
    named = tmp_path / asked if "/" in asked else locked
    with pytest.raises(Usage, match=f"{named}: Permission denied"):
        find([str(tmp_path / asked)])


def test_folder_of_pictures_may_have_a_dot_in_its_name(tmp_path: Path) -> None:
    """A trailing slash names a folder, whatever it looks like; without it the suffix decides."""
    clip = find([str(DEMO)])
    for name in ("figures.v2", "figure.png"):
        found = pictures(f"{tmp_path}/{name}/", (".png", ".svg"), clip)
        assert found and found.path(clip[0]) == tmp_path / name / f"{DEMO.name}.png"
    (tmp_path / "file.png").touch()
    for name in ("figures.v2", "file.png/"):
        with pytest.raises(Usage, match="or a folder"):
            pictures(f"{tmp_path}/{name}", (".png", ".svg"), clip)


def test_each_clip_has_a_picture_of_its_own(tmp_path: Path) -> None:
    """Several are not drawn into one file, nor two of one name into one folder."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.mp4").touch()
    both = find([f"{tmp_path}/one", f"{tmp_path}/two"])
    for place, said in (("figure.png", "one file for 2 clips"), ("figures", "same name in several folders")):
        with pytest.raises(Usage, match=said):
            pictures(f"{tmp_path}/{place}", (".png", ".svg"), both)


def test_pictures_never_replace_clips(tmp_path: Path, demo: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """A film or figure at the path of a clip is refused before anything is read: by its file, a link, in a folder."""
    clip, link, still = tmp_path / "a.mp4", tmp_path / "link.mp4", tmp_path / "a.mp4.png"
    clip.write_bytes(demo)
    link.symlink_to(clip)
    still.write_bytes(demo)
    for clips_and_pictures in (
        [clip, "--film", clip],
        [link, "--film", clip],
        [still, "--figure", still],
        [clip, still, "--figure", tmp_path],
    ):
        assert main(["predict", *map(str, clips_and_pictures)]) == Exit.USAGE
        assert "is one of the clips" in capsys.readouterr().err
    assert clip.read_bytes() == still.read_bytes() == demo


def test_clip_that_cannot_be_read_gets_a_row(client: httpx.Client, tmp_path: Path, demo: bytes) -> None:
    """A file that opens and then fails, as on a bad disk, is refused; the clips beside it are answered."""
    for name in ("a.mp4", "c.mp4"):
        (tmp_path / name).write_bytes(demo)
    (tmp_path / "b.mp4").symlink_to("/proc/self/mem")
    out = tmp_path / "results.jsonl"
    assert main(["predict", str(tmp_path), "--out", str(out), "--url", str(client.base_url)]) == Exit.REFUSED
    codes = {Path(line["clip"]).name: line["error"] and line["error"]["code"] for line in _lines(out)}
    assert codes == {"a.mp4": None, "b.mp4": "unreadable_file", "c.mp4": None}


def test_pipe_is_a_clip(client: httpx.Client, tmp_path: Path) -> None:
    """What comes through a pipe is read like a file; what comes next by the same name is another clip."""
    pipe, out = tmp_path / "pipe", tmp_path / "results.jsonl"
    os.mkfifo(pipe)
    for rows in (1, 2):
        with subprocess.Popen(["cp", str(DEMO), str(pipe)]):
            assert main(["predict", str(pipe), "--out", str(out), "--url", str(client.base_url)]) == Exit.FINE
        assert [line["clip"] for line in _lines(out)] == [str(pipe)] * rows


@pytest.mark.parametrize(
    ("clip", "number", "status"),
    [
        ("-", signal.SIGINT, Exit.INTERRUPTED),
        ("-", signal.SIGTERM, Exit.TERMINATED),
        ("pipe", signal.SIGTERM, Exit.TERMINATED),
    ],
)
def test_interrupt_does_not_wait_for_input(
    client: httpx.Client, tmp_path: Path, clip: str, number: signal.Signals, status: Exit
) -> None:
    """Ctrl-C, or SIGTERM, ends the command at once although whoever sends the clip has not ended."""
    name = "-" if clip == "-" else str(tmp_path / clip)
    command = [sys.executable, "-m", "service", "predict", name, "--url", str(client.base_url)]
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    if clip != "-":
        os.mkfifo(name)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heeding) as run:
        assert run.stdin and run.stderr
        with run.stdin if clip == "-" else open(name, "wb") as sender:
            sender.write(bytes(1_000_000))  # more than a pipe holds: the command reads
            sender.flush()
            run.send_signal(number)
            assert run.wait(20) == status
        assert run.stderr.read() == b""


def test_answers_are_utf8_under_any_locale(client: httpx.Client, tmp_path: Path) -> None:
    """As JSON is: names of clips end no run."""
    (tmp_path / "日本.mp4").write_bytes(clips.not_a_video())
    command = [sys.executable, "-m", "service", "predict", str(tmp_path), "--url", str(client.base_url)]
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(command, capture_output=True, env=os.environ | plain)
    assert done.returncode == Exit.REFUSED, done.stderr
    assert json.loads(done.stdout)["clip"] == f"{tmp_path}/日本.mp4"


def test_terminal_takes_any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its encoding has no such character, it is written by its number."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with terminal_without_libraries():
        assert sys.stderr.errors == "backslashreplace"


def _lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()]
