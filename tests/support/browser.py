"""A headless Chromium, driven over its own debugging protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from websockets.sync.client import connect

from tests.support.eventually import wait_until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One page of one browser; ``with Browser() as page: page.open(url)``. Nothing but loopback is reachable from it."""

    def __init__(self, width: int = 1200, height: int = 800) -> None:
        assert CHROMIUM is not None
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        self._process = subprocess.Popen(
            [
                CHROMIUM, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={self._profile}",
                "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--window-size={width},{height}", "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": self._profile},
            start_new_session=True,
        )  # fmt: skip
        self._next = 0
        self.problems: list[str] = []
        """Errors in the console, uncaught exceptions, and requests that failed."""
        self._held = contextlib.ExitStack()
        try:
            self._socket = self._held.enter_context(self._connect())
            for domain in ("Page", "Runtime", "Log", "Network"):
                self._call(f"{domain}.enable")
        except BaseException:
            self._drain_and_stop()
            raise

    def _connect(self) -> connect:
        import httpx2

        port_file = Path(self._profile) / "DevToolsActivePort"
        lines = wait_until(lambda: port_file.exists() and port_file.read_text().splitlines(), "Chromium did not start.")

        def pages() -> list[dict[str, Any]]:
            told = httpx2.get(f"http://127.0.0.1:{lines[0]}/json", timeout=30).json()
            return [page for page in told if page["type"] == "page"]

        address = wait_until(pages, "Chromium shows no page.")[0]["webSocketDebuggerUrl"]
        return connect(address, max_size=64 * 1024 * 1024, ping_interval=None)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(Exception):
            self._call("Browser.close")
        self._drain_and_stop()

    def _drain_and_stop(self) -> None:
        self._held.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._next += 1
        self._socket.send(json.dumps({"id": self._next, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._next:
                assert "error" not in message, message["error"]
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.problems.append(str(told["exceptionDetails"].get("exception", told["exceptionDetails"])))
        elif message.get("method") == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.problems.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        elif message.get("method") == "Network.requestWillBeSent":
            url = told["request"]["url"]
            if not url.startswith(("http://127.0.0.1:", "data:", "blob:", "about:", "chrome")):
                self.problems.append(f"asked for {url}")

    def open(self, url: str) -> None:
        self._call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of an expression; promises are awaited."""
        found = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, condition: str) -> Any:
        """Until the expression is true; its value (true for an element)."""
        condition = f"(found => found instanceof Node ? true : found)({condition})"
        return wait_until(lambda: self.run(condition), lambda: f"{condition}; problems: {self.problems}")

    def text(self, selector: str) -> str:
        return str(self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    def click(self, selector: str) -> None:
        """A real click of the mouse in the middle of an element."""
        self.wait(f"document.querySelector({json.dumps(selector)})?.getClientRects().length > 0")
        place = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def activate(self, selector: str) -> None:
        """A click that finds its element wherever it is redrawn meanwhile."""
        self.wait(f"(e => e && !e.disabled && (e.click(), true))(document.querySelector({json.dumps(selector)}))")

    def type(self, selector: str, text: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self._call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        codes = {"Enter": 13, "Escape": 27, "ArrowRight": 39, "ArrowLeft": 37, "Tab": 9, "End": 35, "Home": 36}
        extra = {"text": "\r"} if key == "Enter" else {}
        event = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key], **extra}
        self._call("Input.dispatchKeyEvent", type="keyDown", **event)
        self._call("Input.dispatchKeyEvent", type="keyUp", **event)

    def resize(self, width: int, height: int, *, phone: bool = False, dark: bool = False) -> None:
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = "dark" if dark else "light"
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path: Path) -> None:
        """In the form that its suffix names: PNG, or WebP, which takes a third."""
        path.parent.mkdir(parents=True, exist_ok=True)
        form = {".webp": {"format": "webp", "quality": 82}}.get(path.suffix, {"format": "png"})
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", **form)["data"]))

    def accessibility(self) -> list[dict[str, Any]]:
        """What a screen reader is told: roles and names."""
        nodes: list[dict[str, Any]] = self._call("Accessibility.getFullAXTree")["nodes"]
        return [
            {"role": node["role"]["value"], "name": node.get("name", {}).get("value", "")}
            for node in nodes
            if not node.get("ignored") and "role" in node
        ]
