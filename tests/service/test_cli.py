"""The command line, on real clips: in process, against a real gateway, interrupted, and refused."""

import csv
import json
import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import av
import httpx
import pytest

from service.cli import results
from service.cli.exits import Exit, Refused, Usage
from service.cli.main import main
from tests import clips
from tests.service.conftest import DEMO

COMMAND = [sys.executable, "-m", "service"]


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Commands configure logging for the whole process; put it back."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def folder(tmp_path: Path, demo: bytes) -> Path:
    """A folder with a clip, one that is none, one in a folder of its own, and a file that nobody means."""
    folder = tmp_path / "clips"
    (folder / "more").mkdir(parents=True)
    (folder / "a.mp4").write_bytes(demo)
    (folder / "broken.webm").write_bytes(clips.not_a_video())
    (folder / "more" / "b,\n.MOV").write_bytes(demo)
    (folder / "notes.txt").write_text("nothing")
    return folder


def _rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as file:
        return {Path(row["clip"]).name: row for row in csv.DictReader(file)}


def _frames(film: Path) -> int:
    with av.open(film) as container:
        return sum(1 for _ in container.decode(video=0))


def test_folder_to_csv_with_figures(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each clip gets a row and a figure, a bad one its code; the same command again says that nothing is left."""
    out, figures = tmp_path / "results.csv", tmp_path / "figures"
    command = ["predict", str(folder), "--out", str(out), "--figure", str(figures)]
    assert main(command) == Exit.REFUSED
    rows = _rows(out)
    assert rows.keys() == {"a.mp4", "broken.webm", "b,\\n.MOV"}
    answered, refused = rows["a.mp4"], rows["broken.webm"]
    assert answered["error_code"] == "" and 0 < float(answered["age_years"]) < 120
    assert len(answered["age_pair"].split("+")) == 2 and answered["sha256"] == rows["b,\\n.MOV"]["sha256"]
    assert refused["error_code"] == "unreadable_video" and refused["age_years"] == ""
    assert {path.name for path in figures.rglob("*.png")} == {"a.mp4.png", "b,\n.MOV.png"}
    assert "[3/3] " in capsys.readouterr().err
    before = out.read_bytes()
    assert main(command) == Exit.REFUSED
    said = "smile: 3 of 3 clips have rows already and are skipped. For figures and films of them choose another --out\n"
    assert out.read_bytes() == before and capsys.readouterr().err == said


def test_server_and_process_agree(
    client: httpx.Client, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON lines of a server hold what this process answers, but for what belongs to one request alone."""
    out = tmp_path / "results.jsonl"
    server = ["--url", str(client.base_url), "--film", str(tmp_path / "films")]
    assert main(["predict", str(folder), "--out", str(out), "--top", "2", *server]) == Exit.REFUSED
    lines = {Path(line["clip"]).name: line for line in map(json.loads, out.read_text().splitlines())}
    assert lines["broken.webm"]["error"]["code"] == "unreadable_video"
    capsys.readouterr()
    svg, film = tmp_path / "figure.svg", tmp_path / "film.mp4"
    pictures = ["--figure", str(svg), "--kind", "matrix", "--film", str(film)]
    assert main(["predict", str(DEMO), "--top", "2", *pictures]) == Exit.FINE
    here, there = json.loads(capsys.readouterr().out), lines["a.mp4"]["prediction"]
    for answer in (here, there):
        del answer["request_id"], answer["timings_ms"]
    assert here == there
    assert svg.read_text().startswith("<svg")
    films = [film, *(path for path in (tmp_path / "films").rglob("*") if path.is_file())]
    assert {path.name for path in films} == {"film.mp4", "a.mp4.mp4", "b,\n.MOV.mp4"}
    assert len({_frames(path) for path in films}) == 1


def test_asks_siam(client: httpx.Client, tmp_path: Path, demo: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """Here and on a server alike: columns of its own, empty where it is not asked, and its figure."""
    rows = {}
    for network, server in (("fdin", []), ("siam", []), ("both", []), ("both", ["--url", str(client.base_url)])):
        out, figure = tmp_path / f"{network}{len(server)}.csv", tmp_path / f"{network}{len(server)}.svg"
        command = ["predict", str(DEMO), "--network", network, "--out", str(out), "--figure", str(figure), *server]
        assert main(command) == Exit.FINE
        rows[out.stem] = _rows(out)[DEMO.name]
        assert ("what it looked at" in figure.read_text()) == (network == "siam")
    alone, siam, both = rows["fdin0"], rows["siam0"], rows["both0"]
    assert both == rows["both2"]
    of_siam = [column for column in results.COLUMNS if column.startswith(("siam_", "disagreement"))]
    assert not any(alone[column] for column in of_siam)
    assert siam["siam_age_years"] == both["siam_age_years"] != "" == siam["age_years"] == siam["disagreement_years"]
    assert (both["age_years"], both["model"]) == (alone["age_years"], alone["model"])
    assert siam["model"] == siam["siam_model"] == both["siam_model"] != both["model"]
    apart = float(both["age_years"]) - float(both["siam_age_years"])
    assert float(both["disagreement_years"]) == pytest.approx(apart, abs=0.011)
    assert float(siam["siam_age_low"]) < float(siam["siam_age_years"]) < float(siam["siam_age_high"])
    assert "SIAM" in capsys.readouterr().err


def test_standard_input(client: httpx.Client, demo: bytes) -> None:
    """`-` is a clip that comes in; the answer and nothing else goes out."""
    command = [*COMMAND, "predict", "-", "--url", str(client.base_url), "--traits", "age"]
    done = subprocess.run(command, input=demo, capture_output=True, check=True)
    assert json.loads(done.stdout)["gender"] is None


def test_reader_that_has_gone(client: httpx.Client) -> None:
    """Is told by the status, without a trace."""
    command = [*COMMAND, "model", "--url", str(client.base_url)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout and run.stderr
        run.stdout.close()
        assert run.stderr.read() == "smile: standard output: Broken pipe\n"
        assert run.wait() == Exit.UNWRITABLE


def test_interrupted_run_goes_on(client: httpx.Client, tmp_path: Path, demo: bytes) -> None:
    """After Ctrl-C the file holds whole rows; half a row is removed; the next run adds the rest."""
    names = [f"{number}.mp4" for number in range(5)]
    for name in names:
        (tmp_path / name).write_bytes(demo)
    out = tmp_path / "results.csv"
    command = [*COMMAND, "predict", ".", "--out", str(out), "--url", str(client.base_url), "--parallel", "1"]
    # A shell's background jobs inherit that the signal is ignored.
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=_environment(), preexec_fn=heeding
    ) as run:
        assert run.stderr and "[1/5] " in run.stderr.readline()
        run.send_signal(signal.SIGINT)
        assert run.wait() == Exit.INTERRUPTED
    before = _rows(out).keys()
    assert 1 <= len(before) < len(names)
    with out.open("a") as file:
        file.write('4.mp4,"half a ro')
    assert subprocess.run(command, cwd=tmp_path, env=_environment()).returncode == Exit.FINE
    lines = out.read_text().splitlines()
    assert len(lines) == 1 + len(names) and _rows(out).keys() == set(names)


def _environment() -> dict[str, str]:
    """One in which `python -m service` is found from any folder."""
    return os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["none.mp4"], Exit.USAGE, "no such file"),
        (["."], Exit.USAGE, "no clips"),
        ([""], Exit.USAGE, "name a clip"),
        ([str(DEMO), ""], Exit.USAGE, "name a clip"),
        (["a" * 300], Exit.USAGE, "no such file"),
        ([str(DEMO), "--figure", "a" * 300 + ".gif"], Exit.USAGE, ".png or .svg"),
        ([str(DEMO), "--out", "results.xls"], Exit.USAGE, ".csv or .jsonl"),
        ([str(DEMO), "--figure", "figure.gif"], Exit.USAGE, ".png or .svg"),
        ([str(DEMO.parent), "--film", str(DEMO.parent / "films")], Exit.USAGE, "take films for clips"),
        ([str(DEMO), "--network", "siam", "--film", "a.mp4"], Exit.USAGE, "shows relations"),
        ([str(DEMO), "--network", "siam", "--traits", "gender"], Exit.USAGE, "age alone"),
        ([str(DEMO), "--network", "siam", "--explain"], Exit.USAGE, "measures regions"),
        ([str(DEMO), "--kind", "matrix"], Exit.USAGE, "add --figure"),
        ([str(DEMO), "--kind", "attention", "--figure", "a.png"], Exit.USAGE, "not drawn of network=fdin"),
        ([str(DEMO), "--url", "127.0.0.1:80"], Exit.USAGE, "not a URL"),
        ([str(DEMO), "--url", "http://127.0.0.1:9"], Exit.UNAVAILABLE, "no server answers"),
        ([str(DEMO), "--out", "no/folder.csv"], Exit.UNWRITABLE, "No such file"),
    ],
)
def test_says_what_is_wrong(
    arguments: list[str],
    status: Exit,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line on standard error, nothing on standard output, and a status of its own."""
    monkeypatch.chdir(tmp_path)
    assert main(["predict", *arguments]) == status
    printed = capsys.readouterr()
    assert printed.out == "" and said in printed.err and printed.err.count("\n") == 1


def test_no_model(
    tmp_path: Path, model_repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without weights nothing is begun; a network that is not there, or a setting that means nothing, is named."""
    monkeypatch.setenv("SMILE_MODEL_REPOSITORY", str(tmp_path))
    assert main(["predict", str(DEMO)]) == Exit.UNAVAILABLE
    monkeypatch.setenv("SMILE_JOBS", "redis://127.0.0.1:9")
    assert main(["worker"]) == Exit.UNAVAILABLE
    monkeypatch.setenv("SMILE_MODEL_REPOSITORY", str(model_repository))
    assert main(["predict", str(DEMO), "--network", "siam"]) == Exit.USAGE
    assert "siam: not offered here" in capsys.readouterr().err
    monkeypatch.setenv("SMILE_MAX_UPLOAD_MB", "none")
    assert main(["model"]) == Exit.USAGE
    assert "SMILE_MAX_UPLOAD_MB" in capsys.readouterr().err


def test_model_card(client: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    """`smile model` prints the card that the server shows."""
    assert main(["model"]) == Exit.FINE
    assert json.loads(capsys.readouterr().out) == client.get("/model").json()


def test_full_disk_leaves_whole_rows(tmp_path: Path) -> None:
    """A row that does not fit is taken back, and said."""
    limited = (
        "import signal, sys; from service.cli.main import main;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); sys.exit(main(sys.argv[1:]))"
    )
    (tmp_path / "broken.mp4").write_bytes(clips.not_a_video())
    out, room = tmp_path / "results.csv", len(results.HEADER) + 20
    done = subprocess.run(
        [sys.executable, "-c", limited, "predict", str(tmp_path / "broken.mp4"), "--out", str(out)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        capture_output=True,
    )
    assert done.returncode == Exit.UNWRITABLE, done.stderr
    assert out.read_text() == results.HEADER


def test_one_writer_and_no_foreign_file(tmp_path: Path) -> None:
    """A results file belongs to one run at a time; a file that holds something else is left as it is."""
    with results.ResultsFile(tmp_path / "results.csv"), pytest.raises(Usage, match="another run"):
        results.ResultsFile(tmp_path / "results.csv")
    for name in ("notes.csv", "notes.jsonl"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(Usage, match="something else"):
            results.ResultsFile(tmp_path / name)
        assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("suffix", results.FORMS)
def test_results_with_windows_line_ends_are_gone_on_with(suffix: str, tmp_path: Path) -> None:
    """As an editor or a spreadsheet leaves them."""
    path = tmp_path / f"results{suffix}"
    with results.ResultsFile(path) as file:
        file.write(results.Result("first.mp4", "0" * 64, None, Refused("no_face", "No face was seen.")))
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    with results.ResultsFile(path) as file:
        assert file.done == {"first.mp4": True}


@pytest.mark.parametrize("suffix", results.FORMS)
def test_row_cut_inside_a_character_is_dropped(suffix: str, tmp_path: Path) -> None:
    """What a killed run left of a row need not be text."""
    path = tmp_path / f"results{suffix}"
    refused = Refused("no_face", "No face was seen.")
    with results.ResultsFile(path) as file:
        file.write(results.Result("first.mp4", "0" * 64, None, refused))
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[-1].replace(b"first", b"\xc3"))
    with results.ResultsFile(path) as file:
        assert file.done == {"first.mp4": True}
    assert path.read_bytes() == whole
