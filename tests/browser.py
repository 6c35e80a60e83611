"""A headless Chromium over its debugging pipe: no driver, no package, just the browser where there is one."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")

START = """import fcntl, os, sys
ends = [fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3]]
for number, end in zip((3, 4), ends): os.dup2(end, number)
os.execv(sys.argv[3], sys.argv[3:])"""
"""The browser listens on file descriptor 3 and answers on 4."""


def find() -> str | None:
    """$FLATPOSE_BROWSER, or the first Chromium on the path."""
    given = os.environ.get("FLATPOSE_BROWSER")
    return given or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of one browser.

    Args:
        executable: Chromium, Chrome or Edge.
        profile: An empty folder for its state.
    """

    def __init__(self, executable: str, profile: Path) -> None:
        theirs_in, self.out = os.pipe()
        self.into, theirs_out = os.pipe()
        flags = ("--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --hide-scrollbars "
                 f"--disable-background-networking --remote-debugging-pipe --user-data-dir={profile}").split()
        self.process = subprocess.Popen([sys.executable, "-c", START, str(theirs_in), str(theirs_out), executable,
                                         *flags, "about:blank"], pass_fds=(theirs_in, theirs_out),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self.buffer, self.count, self.session = b"", 0, None
        self.complaints: list[str] = []
        """Console errors and warnings, exceptions, requests that left the folder or failed."""
        self.loaded = False
        pages = [t for t in self.send("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self.session = self.send("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: object) -> dict:
        """One command; returns its result and takes note of the events that come before it."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read(60)
            if answer.get("id") == self.count:
                assert "error" not in answer, (method, answer)
                return answer["result"]
            self._note(answer)

    def _read(self, timeout: float) -> dict:
        end = time.monotonic() + timeout
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.into], [], [], max(0.0, end - time.monotonic()))
            data = os.read(self.into, 1 << 20) if ready else b""
            assert data, "the browser does not answer"
            self.buffer += data
        first, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(first)

    def _note(self, event: dict) -> None:
        method, params = event.get("method"), event.get("params", {})
        if method == "Page.loadEventFired":
            self.loaded = True
        if method == "Runtime.exceptionThrown" or (
                method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert")) or (
                method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning")) or (
                method == "Network.loadingFailed"):
            self.complaints.append(json.dumps(params)[:600])
        if method == "Network.requestWillBeSent" and not params["request"]["url"].startswith(("file:", "data:")):
            self.complaints.append(f"request for {params['request']['url']}")

    def open(self, path: Path, width: int = 1280, height: int = 900, dark: bool = False, touch: bool = False) -> None:
        """Load a file at this window size."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self.send("Emulation.setTouchEmulationEnabled", enabled=touch, maxTouchPoints=2)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=scheme)
        self.loaded = False
        self.send("Page.navigate", url=path.resolve().as_uri())
        while not self.loaded:
            self._note(self._read(60))

    def js(self, expression: str) -> object:
        """The value of an expression in the page."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, milliseconds: int) -> None:
        """Lets gestures and scrolling come to an end."""
        self.js(f"new Promise((done) => setTimeout(done, {milliseconds}))")

    def centre(self, selector: str) -> tuple[float, float]:
        """Scrolls an element into view; the middle of what can be seen of it."""
        return tuple(self.js(f"""(() => {{ const e = document.querySelector({json.dumps(selector)});
            e.scrollIntoView({{block: 'center', inline: 'nearest', behavior: 'instant'}});
            const r = e.getBoundingClientRect(), right = Math.min(r.right, innerWidth), left = Math.max(r.left, 0);
            return [(left + right) / 2, (Math.max(r.top, 0) + Math.min(r.bottom, innerHeight)) / 2]; }})()"""))

    def click(self, selector: str, clicks: int = 1) -> None:
        x, y = self.centre(selector)
        for count in range(1, clicks + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self.mouse(kind, x, y, button="left", clickCount=count)

    def mouse(self, kind: str, x: float, y: float, **more: object) -> None:
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def key(self, key: str, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                      **({"text": text, "unmodifiedText": text} if text and kind == "keyDown" else {}),
                      windowsVirtualKeyCode={"Enter": 13, "Tab": 9, " ": 32}.get(key, 0))

    def touch(self, kind: str, *points: tuple[float, float]) -> None:
        self.send("Input.dispatchTouchEvent", type=kind,
                  touchPoints=[{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)])

    def screenshot(self, path: Path, whole: bool = False) -> None:
        """The window, or the whole page, as PNG."""
        more = {}
        if whole:
            size = self.send("Page.getLayoutMetrics")["cssContentSize"]
            more = {"captureBeyondViewport": True, "clip": {**size, "scale": 1}}
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", **more)["data"]))

    def close(self) -> None:
        os.close(self.out)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.into)
