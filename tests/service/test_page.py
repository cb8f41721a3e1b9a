"""The page at `/`, in a real Chromium, against the real service."""

import inspect
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import av
import httpx
import pytest

from service import caveats, page, problems
from tests.service.browser import Browser, in_chromium
from tests.service.conftest import DEMO, Serve, opened

CACHE = Path(__file__).resolve().parents[2] / ".cache"
AXE = "axe-core-4.10.3"
OWN_BYTES = 200_000
LINE = "querySelector('#course .line').getAttribute('d').split(/[ML]/).length - 1"
TAB, ENTER, DOWN = "\ue004", "\ue007", "\ue015"


def test_strict_policy_and_few_bytes(client: httpx.Client) -> None:
    """No inline script or style, nothing from elsewhere, and small; the documentation has its own policy."""
    index = client.get("/")
    assert "unsafe" not in index.headers["content-security-policy"]
    assert "default-src 'none'" in index.headers["content-security-policy"]
    assert "<script>" not in index.text and " style=" not in index.text and "onclick=" not in index.text
    files = sorted(page.FILES.iterdir())
    assert sum(file.stat().st_size for file in files) < OWN_BYTES
    for file in files:
        elsewhere = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in elsewhere
        headers = client.get(f"/page/{file.name}").headers
        assert headers["content-security-policy"] and headers["cache-control"] == "no-cache"
    assert index.headers["cache-control"] == "no-cache"
    assert "content-security-policy" not in client.get("/model").headers
    assert "script-src 'self' 'unsafe-inline'" in client.get("/docs").headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/", "/llms.txt", "/page/style.css", "/health/live", "/health/ready"])
def test_head_is_answered(client: httpx.Client, path: str) -> None:
    """Monitors and link checkers ask by HEAD."""
    answer = client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) == len(client.get(path, headers={"accept-encoding": ""}).content)


def test_has_words_for_every_code() -> None:
    """Each warning and each refusal of a clip is told in plain words, not by its code."""
    words = (page.FILES / "words.js").read_text()
    warnings = re.findall(r'"([a-z]+(?:_[a-z]+)*)",', inspect.getsource(caveats))
    refusals = [error.code for error in problems._CLIP_STATUS]
    assert len(warnings) >= 10 and len(refusals) >= 6
    assert [code for code in warnings + refusals if f"  {code}: [" not in words] == []


@in_chromium
def test_documentation_works_under_its_policy(window: Browser, client: httpx.Client) -> None:
    """/docs lists the operations."""
    window.open(f"{client.base_url}/docs")
    window.wait(lambda: window.run("return document.querySelector('#operations-default-predict') !== null"))


@in_chromium
def test_reads_an_uploaded_clip(read: Browser) -> None:
    """Age, gender, warning, ranking, course and effects are those of the answer, and the first pair is lit."""
    body = read.run("return document.querySelector('#result').answer")
    assert read.text("#age-years") == f"{body['age']['years']:.0f}"
    assert read.text("#gender-label") == body["gender"]["label"]
    first = body["age"]["pairs"][0]
    names = [name.replace("_", " ") for name in first["regions"]]
    assert read.text("#pairs li").split("\n")[1] == " + ".join(names)
    assert all(name in read.text("#face-words") for name in names)
    assert f"{body['clip']['smile']['apex_s']:.2f} s" in read.text("#course-words")
    assert read.run("return document.querySelectorAll('#face path').length") == 36 + 1
    assert read.run("return document.querySelectorAll('#effects li').length") == 9
    for drawn, name in (("querySelectorAll('#course .dot').length", "mouth_ratios"), (LINE, "mouth_curve")):
        assert read.run(f"return document.{drawn}") == sum(value is not None for value in body["picture"][name])
    assert read.run("return document.activeElement.id") == "result-title"


@in_chromium
def test_says_that_weights_were_never_trained(window: Browser, gateway: Serve, model_repository: Path) -> None:
    """In words, beside the answer."""
    opened(window, gateway(model_repository=model_repository))
    window.upload("#file", DEMO)
    window.wait(lambda: window.shown("#result"))
    assert "never trained" in window.text("#warnings")
    assert window.errors() == []


@in_chromium
def test_rows_light_up_their_links(read: Browser) -> None:
    """By mouse, by keyboard, and kept by a click; the switch shows the other trait, and the title names it."""
    lit = "return document.querySelector('#face title').textContent"
    before = read.run(lit)
    read.hover("#triplets li:nth-child(2) button")
    hovered = read.run(lit)
    read.hover("#result-title")
    assert hovered != before and read.run(lit) == before
    read.run("document.querySelector('#pairs li:nth-child(1) button').focus()")
    read.press(TAB, ENTER)
    kept = read.run(lit)
    assert kept != before
    second = "document.querySelector('#pairs li:nth-child(2) button')"
    assert read.run(f"return {second}.getAttribute('aria-pressed')") == "true"
    read.hover("#result-title")
    read.run("document.activeElement.blur()")
    assert read.run(lit) == kept
    read.click("#trait-switch label:nth-of-type(2) input")
    assert read.text("#relations-title") == "Relations weighed for the gender"
    gender = read.run("return document.querySelector('#result').answer.gender.pairs[0].regions")
    assert read.text("#pairs li").split("\n")[1] == " + ".join(name.replace("_", " ") for name in gender)


@in_chromium
def test_saves_answer_figure_and_film(read: Browser) -> None:
    """The JSON is the answer; the SVG is the figure, the MP4 the film of the trait that is shown."""
    read.click("#save-json")
    saved = read.downloads / "smile.json"
    read.wait(saved.exists)
    assert json.loads(saved.read_text()) == read.run("return document.querySelector('#result').answer")
    read.click("#save-svg")
    figure = read.downloads / "smile-age.svg"
    read.wait(figure.exists)
    assert "importance of every pair" in figure.read_text()
    assert read.text("#save-status") == "The figure is saved."
    read.click("#save-film")
    film = read.downloads / "smile-age.mp4"
    read.wait(film.exists)
    with av.open(str(film)) as container:
        assert container.streams.video[0].codec_context.name == "h264"


@in_chromium
def test_draws_one_thing_at_a_time(read: Browser) -> None:
    """Until it is saved: browsers drop a download that follows another without a click. Focus stays on the button."""
    drawing = "['png', 'svg', 'film'].map((name) => document.querySelector(`#save-${name}`).ariaDisabled === 'true')"
    both = "const svg = document.querySelector('#save-svg'); svg.focus(); svg.click();"
    both += f"document.querySelector('#save-film').click(); return {drawing}"
    assert read.run(both) == [True, True, True]
    assert read.text("#save-status") in ("Drawing the figure …", "The figure is saved.")
    read.wait(lambda: read.run(f"return {drawing}") == [False, False, False])
    assert read.text("#save-status") == "The figure is saved."
    assert read.run("return document.activeElement.id") == "save-svg"
    read.click("#save-film")
    assert read.text("#save-status") == "Drawing the film …"


@in_chromium
def test_figures_may_take_longer_than_clients_wait(window: Browser, gateway: Serve) -> None:
    """They are drawn by jobs, like the answer: `/figure` would be refused here."""
    opened(window, gateway(deadline_s=0.01))
    window.upload("#file", DEMO)
    window.wait(lambda: window.shown("#result"))
    window.click("#save-png")
    window.wait((window.downloads / "smile-age.png").exists)
    assert window.text("#save-status") == "The figure is saved."
    assert window.errors() == []


@in_chromium
def test_next_result_says_nothing_of_what_was_saved_before(read: Browser) -> None:
    """A film that is given up for another clip is not said to be drawn for ever."""
    before = read.text("#save-status")
    read.click("#save-film")
    assert read.text("#save-status") == "Drawing the film …"
    read.click("#new")
    read.upload("#file", DEMO)
    read.wait(lambda: read.shown("#result"))
    assert read.text("#save-status") == before
    assert not read.run("return document.querySelector('#save-film').ariaDisabled === 'true'")


@in_chromium
def test_records_with_the_camera(start: Browser) -> None:
    """The guide leads through a smile, the recording is read, and the smile is found in it."""
    start.click("#record")
    start.wait(lambda: start.run("return !document.querySelector('#start-recording').disabled"))
    start.click("#start-recording")
    said = []
    start.wait(lambda: said.append(start.text("#guide")) or start.shown("#work"), 30)
    assert [words for words in ("Look neutral", "Smile broadly", "Relax your face") if words not in said] == []
    start.wait(lambda: start.shown("#result") or start.shown("#failure"))
    assert start.shown("#result"), start.text("#failure")
    clip = start.run("return document.querySelector('#result').answer.clip")
    assert 4 < clip["duration_s"] < 8
    assert clip["smile"]["amplitude"] > 0.1
    assert start.run("return document.querySelector('#preview').srcObject === null")


@in_chromium
def test_leaving_the_camera_switches_it_off(start: Browser) -> None:
    """Cancel in the middle of a recording goes back to the start, and no clip is sent."""
    start.click("#record")
    start.wait(lambda: start.run("return !document.querySelector('#start-recording').disabled"))
    start.click("#start-recording")
    start.run("window.tracks = document.querySelector('#preview').srcObject.getTracks()")
    start.wait(lambda: start.text("#guide") == "Look neutral")
    start.click("#stop-camera")
    assert start.shown("#start")
    assert start.run("return window.tracks.map((track) => track.readyState)") == ["ended"]


@in_chromium
def test_forgets_the_clip_once_it_is_read(read: Browser, client: httpx.Client) -> None:
    """The service does not keep what the page has shown."""
    body = read.run("return document.querySelector('#result').answer")
    read.wait(lambda: client.get(f"/jobs/{body['request_id']}").status_code == 404)


@in_chromium
def test_tells_the_limits_of_clips(window: Browser, gateway: Serve) -> None:
    """Before anything is sent, as they are set."""
    opened(window, gateway(max_duration_s=30, max_upload_mb=12.5))
    window.wait(lambda: window.text("#limits").endswith("At most 30 s and 12.5 MB."))


@in_chromium
def test_works_without_gender(window: Browser, gateway: Serve) -> None:
    """Where gender is switched off, nothing of it is shown."""
    opened(window, gateway(gender=False))
    assert "gender" not in window.text("body").lower()
    window.upload("#file", DEMO)
    window.wait(lambda: window.shown("#result"))
    assert "gender" not in window.text("body").lower()
    assert not window.shown("#gender-card") and not window.shown("#trait-switch")
    assert window.errors() == []


@pytest.fixture(scope="session")
def axe() -> str:
    """The accessibility checker of Deque, from npm, kept in .cache/."""
    archive = CACHE / f"{AXE}.tgz"
    npm = shutil.which("npm")
    if not archive.exists():
        if npm is None:
            pytest.skip("needs npm to fetch axe-core")
        CACHE.mkdir(exist_ok=True)
        name, version = AXE.rsplit("-", 1)
        if subprocess.run([npm, "pack", f"{name}@{version}"], cwd=CACHE, capture_output=True).returncode:
            pytest.skip("axe-core cannot be fetched")
    with tarfile.open(archive) as package:
        script = package.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


def _read_by(window: Browser, network: str) -> dict[str, Any]:
    """What the page shows, opened before, after the chosen network has read the demo clip."""
    window.click(f"#networks input[value={network}]")
    window.upload("#file", DEMO)
    window.wait(lambda: window.shown("#result") or window.shown("#failure"))
    assert window.shown("#result"), window.text("#failure")
    body = window.run("return document.querySelector('#result').answer")
    window.wait(lambda: window.run("return document.querySelector('#weights').children.length"))
    return dict(body)


@in_chromium
def test_shows_what_siam_says(start: Browser) -> None:
    """Chosen by the keyboard: its age, faces under their heat, a bar for every frame; nothing of the other network."""
    start.run("document.querySelector('#networks input').focus()")
    start.press(DOWN)
    body = _read_by(start, "siam")
    assert start.text("#siam-years") == f"{body['siam']['age']['years']:.0f}"
    assert not any(start.shown(part) for part in ("#age-card", "#gender-card", "#relations", "#movement", "#save-film"))
    assert not start.shown("#apart")
    shown = start.run(
        "return [...document.querySelectorAll('#attended img')].map((img) => [img.alt, img.naturalWidth])"
    )
    assert [width for _, width in shown] == [160, 114] * len(body["siam"]["picture"])
    for frame, pair in zip(body["siam"]["picture"], zip(shown[::2], shown[1::2], strict=True), strict=True):
        assert all(f"{frame['time_s']:.2f} s" in words for words, _ in pair)
    assert start.run("return document.querySelectorAll('#weights .bar').length") == len(body["siam"]["frames"])
    strongest = max(body["siam"]["frames"], key=lambda frame: frame["weight"])
    assert f"{strongest['time_s']:.2f} s counted most" in start.text("#weights-words")
    start.click("#save-svg")
    figure = start.downloads / "smile-siam.svg"
    start.wait(figure.exists)
    assert "what it looked at" in figure.read_text()


@in_chromium
def test_shows_both_and_how_far_they_are_apart(start: Browser, axe: str) -> None:
    """All of the one and of the other, accessible in every look; the next clip by the first alone shows that alone."""
    body = _read_by(start, "both")
    assert all(start.shown(part) for part in ("#age-card", "#siam-card", "#apart", "#relations", "#attention-card"))
    assert f"{abs(body['disagreement']['years']):.1f} years" in start.text("#apart")
    for look in ({}, {"dark": True}, {"width": 390, "height": 844}):
        start.look(**look)  # type: ignore[arg-type]
        assert _violations(start, axe) == []
        assert start.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    start.look()
    start.click("#new")
    start.click("#networks input[value=fdin]")
    start.upload("#file", DEMO)
    start.wait(lambda: start.shown("#result"))
    assert start.shown("#relations") and not start.shown("#attention-card") and not start.shown("#siam-card")


@in_chromium
def test_offers_no_network_that_is_not_there(window: Browser, gateway: Serve, model_repository: Path) -> None:
    """A service with the interpreter alone has nothing to choose from."""
    opened(window, gateway(model_repository=model_repository))
    assert not window.shown("#networks")
    assert window.errors() == []


def _violations(window: Browser, axe: str) -> list[str]:
    window.run(axe)
    found = window.run("return axe.run(document).then((result) => result.violations)")
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0]['failureSummary']}" for one in found]


CONTRAST = """
const luminance = (colour) => {
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  const linear = (v) => (v > 0.04 ? ((v + 0.055) / 1.055) ** 2.4 : v / 12.92);
  const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((v) => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
};
const of = ([selector, property]) => luminance(getComputedStyle(document.querySelector(selector))[property]);
const [a, b] = [of(arguments[0]), of(arguments[1])];
return Math.max(a, b) / Math.min(a, b);
"""


@in_chromium
@pytest.mark.parametrize("look", [{}, {"dark": True}, {"forced_colours": True}])
def test_states_and_bars_stand_out(read: Browser, look: dict[str, Any]) -> None:
    """The chosen trait, the chosen row and the bars differ from what is beside them by 3:1 (WCAG 1.4.11)."""
    read.look(**look)
    checked, row = "#trait-switch input:checked + span", "#pairs button[aria-pressed=true]"
    for mark, beside in (
        (checked, "#trait-switch"),
        (row, ".ranking-card"),
        ("#pairs .track span", "#pairs li:last-child .track"),
    ):
        assert read.run(
            "return parseFloat(getComputedStyle(document.querySelector(arguments[0])).borderBottomWidth)", mark
        )
        assert read.run(CONTRAST, [mark, "borderBottomColor"], [beside, "backgroundColor"]) > 3, mark
    colour = read.run("return document.querySelector('#pairs .track span').style.backgroundColor")
    seen = "return getComputedStyle(document.querySelector('#pairs .track span')).backgroundColor"
    assert read.run(seen).replace(",", "") == colour.replace(",", "")


@in_chromium
def test_accessible_in_every_state(read: Browser, axe: str) -> None:
    """axe-core finds nothing: result in light, dark and on a phone, then start, camera and failure."""
    for look in ({}, {"dark": True}, {"width": 390, "height": 844}):
        read.look(**look)  # type: ignore[arg-type]
        assert _violations(read, axe) == []
        assert read.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    read.click("#new")
    for details in range(3):
        read.run("document.querySelectorAll('details')[arguments[0]].open = true", details)
    assert _violations(read, axe) == []
    read.click("#record")
    assert _violations(read, axe) == []
    read.click("#stop-camera")
    read.run("for (const id of ['start', 'failure']) document.getElementById(id).hidden = id === 'start'")
    read.run("document.querySelector('#failure-title').textContent = 'No face was found.'")
    assert _violations(read, axe) == []
