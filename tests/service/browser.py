"""Chromium by chromedriver, over the W3C WebDriver protocol: plain HTTP, no client library needed."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--disable-gpu",
    "--mute-audio",
]
T = TypeVar("T")

in_chromium = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver")


class Browser:
    """One window. Elements are named by CSS selectors."""

    def __init__(self, http: httpx.Client, downloads: Path) -> None:
        self._http = http
        self.downloads = downloads

    def _ask(self, path: str, **body: Any) -> Any:
        answer = self._http.post(path, json=body).json()["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(f"{answer['error']}: {answer['message']}")
        return answer

    def open(self, url: str) -> None:
        self._ask("url", url=url)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a JavaScript function body returns."""
        return self._ask("execute/sync", script=script, args=list(arguments))

    def cdp(self, command: str, **parameters: Any) -> Any:
        """A command of the Chrome DevTools protocol."""
        return self._ask("goog/cdp/execute", cmd=command, params=parameters)

    def _element(self, selector: str) -> str:
        return str(self._ask("element", using="css selector", value=selector)[ELEMENT])

    def click(self, selector: str) -> None:
        self._ask(f"element/{self._element(selector)}/click")

    def upload(self, selector: str, path: Path) -> None:
        """Choose a file in an input."""
        self._ask(f"element/{self._element(selector)}/value", text=str(path))

    def press(self, *keys: str) -> None:
        """Type keys where the focus is; WebDriver's codes for special ones."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._ask("actions", actions=[{"type": "key", "id": "keys", "actions": actions}])

    def hover(self, selector: str) -> None:
        origin = {ELEMENT: self._element(selector)}
        move = {"type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": origin}
        pointer = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": [move]}
        self._ask("actions", actions=[pointer])

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0]).innerText", selector))

    def shown(self, selector: str) -> bool:
        return bool(self.run("return document.querySelector(arguments[0]).checkVisibility()", selector))

    def wait(self, condition: Callable[[], T], seconds: float = 60) -> T:
        """The first true value of `condition`."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > end:
                raise TimeoutError(self.run("return document.body.innerText.slice(0, 2000)"))
            time.sleep(0.05)
        return value

    def look(
        self,
        *,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        still: bool = True,
        forced_colours: bool = False,
    ) -> None:
        """Size of the window, colours and motion that the user prefers."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        features = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" * still,
            "forced-colors": "active" if forced_colours else "none",
        }
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": n, "value": v} for n, v in features.items()])

    def screenshot(self, *, whole: bool = True) -> bytes:
        """PNG of the window, or of the whole page."""
        shot = self.cdp("Page.captureScreenshot", captureBeyondViewport=whole, fromSurface=True)
        return base64.b64decode(shot["data"])

    def errors(self) -> list[str]:
        """What the page has complained about since the last call: exceptions, refused loads, policy violations."""
        return [entry["message"] for entry in self._ask("se/log", type="browser") if entry["level"] == "SEVERE"]


@contextmanager
def browser(downloads: Path, *flags: str) -> Iterator[Browser]:
    """A fresh Chromium with these command-line flags."""
    assert CHROMIUM and DRIVER
    driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    try:
        line = next(line for line in driver.stdout if "successfully on port" in line)
        port = int(line.rsplit("port", 1)[1].strip().rstrip("."))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/", timeout=120) as http:
            options = {
                "binary": CHROMIUM,
                "args": [*FLAGS, *flags],
                "prefs": {"download.default_directory": str(downloads)},
            }
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            session = http.post("session", json={"capabilities": {"alwaysMatch": wanted}}).json()["value"]
            if "sessionId" not in session:
                raise RuntimeError(json.dumps(session)[:2000])
            of_session = f"http://127.0.0.1:{port}/session/{session['sessionId']}"
            http.base_url = httpx.URL(of_session + "/")
            try:
                yield Browser(http, downloads)
            finally:
                http.delete(of_session)  # closes Chromium
    finally:
        driver.terminate()
        driver.wait()
        driver.stdout.close()
