"""Drives the system's Chromium over the DevTools protocol: one page, its requests and its errors on record."""

import base64
import json
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

import websocket


def find_chromium():
    """Path of a Chromium of this system, None without one."""
    names = ["chromium", "chromium-browser", "google-chrome"]
    return next((path for path in map(shutil.which, names) if path), None)


class Browser:
    """A headless Chromium with a profile of its own that is thrown away."""

    def __init__(self, program):
        self.profile = tempfile.mkdtemp(prefix="weir-page-")
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"]
        self.process = subprocess.Popen([program, *options, f"--user-data-dir={self.profile}", "about:blank"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        said = pathlib.Path(self.profile, "DevToolsActivePort")
        end = time.monotonic() + 60
        while not (said.exists() and said.read_text().strip()):
            if self.process.poll() is not None or time.monotonic() > end:
                self.close()
                raise RuntimeError(f"{program} did not start (exit status {self.process.returncode})")
            time.sleep(0.1)
        self.port = int(said.read_text().split()[0])

    def page(self, **settings):
        return Page(self.port, **settings)

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)


class Page:
    """One tab. `requests`: every address it asked for; `errors`: exceptions, console errors and failed loads.

    web_files: a folder whose files are shown instead of the server's, to work on the page without a build; `index` of it
    is what stands at the root.
    """

    def __init__(self, port, web_files=None, index="index.html"):
        self.requests, self.errors, self.web_files, self.count = [], [], web_files, 0
        self.index = index
        ask = urllib.request.Request(f"http://127.0.0.1:{port}/json/new?about:blank", method="PUT")
        address = json.load(urllib.request.urlopen(ask))["webSocketDebuggerUrl"]
        self.socket = websocket.create_connection(address, suppress_origin=True, timeout=60)
        for domain in ["Page", "Runtime", "Network", "Log"]:
            self.command(domain + ".enable")
        if web_files:
            self.command("Fetch.enable", patterns=[{"urlPattern": "*"}])

    def command(self, method, **parameters):
        number = self.send(method, **parameters)
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.take(message)

    def send(self, method, **parameters):
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": parameters}))
        return self.count

    def take(self, message):
        """Keeps what a test may ask about."""
        parameters = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning", "assert"):
                self.errors.append(json.dumps(parameters["args"]))
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                self.errors.append(parameters["entry"]["text"] + " " + parameters["entry"].get("url", ""))
            case "Fetch.requestPaused":
                self.answer(parameters)

    def answer(self, paused):
        path = urllib.parse.urlsplit(paused["request"]["url"]).path
        file = pathlib.Path(self.web_files, self.index if path == "/" else path[1:])
        if not file.is_file():
            self.send("Fetch.continueRequest", requestId=paused["requestId"])
            return
        kind = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}[file.suffix]
        self.send("Fetch.fulfillRequest", requestId=paused["requestId"], responseCode=200,
                  responseHeaders=[{"name": "Content-Type", "value": kind + "; charset=utf-8"}],
                  body=base64.b64encode(file.read_bytes()).decode())

    def evaluate(self, expression):
        """The value of a JavaScript expression (promises are awaited)."""
        result = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def until(self, expression, seconds=30):
        """Waits until the expression is true and returns its value."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < end, f"never true: {expression}; the page says: {self.text('body')[:800]}"
            time.sleep(0.02)
        return value

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def open(self, url, scheme="light", width=1200, height=800):
        self.look(scheme, width, height)
        self.command("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.protocol === 'http:'")

    def look(self, scheme="light", width=1200, height=800):
        """Light or dark, and the window's size."""
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                     mobile=False)

    def write(self, selector, text):
        """Replaces a field's text as a user would."""
        self.evaluate(f"(e => {{ e.focus(); e.select(); }})(document.querySelector({json.dumps(selector)}))")
        self.command("Input.insertText", text=text)

    def click(self, selector):
        """A real click in the middle of the element, which must be what lies there."""
        name = json.dumps(selector)
        x, y = self.evaluate(
            f"(() => {{ const e = document.querySelector({name}); e.scrollIntoView({{ block: 'nearest' }});"
            " const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;"
            " return e.contains(document.elementFromPoint(x, y)) ? [x, y] : [-1, -1]; })()")
        assert x >= 0, f"{selector} is covered or out of sight"
        for kind in ["mousePressed", "mouseReleased"]:
            self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press_enter(self):
        for kind in ["keyDown", "keyUp"]:
            self.command("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13,
                         text="\r" if kind == "keyDown" else "")

    def screenshot(self, path):
        data = self.command("Page.captureScreenshot", format="png")["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))

    def close(self):
        self.send("Page.close")
        self.socket.close()
