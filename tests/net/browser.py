"""A headless Chromium in a namespace, driven by the DevTools protocol over
a pair of pipes: what it asked for, what its console said, what it shows."""

import base64
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading

from lab import eventually

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--disable-extensions", "--hide-scrollbars",
             "--remote-debugging-pipe", "about:blank"]


class Browser:
    """One page of a fresh profile; a context manager."""

    def __init__(self, ns):
        self.folder = tempfile.mkdtemp(prefix="browser-")
        self.requests, self.console, self.answers = [], [], {}
        self.number = 0
        theirs_in, self.to = os.pipe()
        self.get, theirs_out = os.pipe()
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
                for fd in (theirs_in, theirs_out)]

        def become_3_and_4():
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)
        with ns:
            # pylint: disable=subprocess-popen-preexec-fn
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", PROGRAM,
                 "--user-data-dir=" + self.folder] + ARGUMENTS,
                preexec_fn=become_3_and_4, close_fds=False,
                start_new_session=True, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for fd in ends:
            os.close(fd)
        os.close(theirs_in)
        os.close(theirs_out)
        threading.Thread(target=self._read, daemon=True).start()
        target = self.call("Target.createTarget", url="about:blank")
        self.session = None
        self.session = self.call("Target.attachToTarget", flatten=True,
                                 targetId=target["targetId"])["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def _read(self):
        data = b""
        while True:
            part = os.read(self.get, 1 << 16)
            if not part:
                return
            data += part
            *whole, data = data.split(b"\0")
            for message in whole:
                self._on_message(json.loads(message))

    def _on_message(self, message):
        what = message.get("params", {})
        method = message.get("method")
        if "id" in message:
            self.answers[message["id"]] = message
        elif method == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])
        elif method == "Runtime.consoleAPICalled":
            self.console.append(str(what["args"]))
        elif method == "Runtime.exceptionThrown":
            self.console.append(str(what["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.console.append(what["entry"]["text"])

    def call(self, method, **params):
        """Asks the browser for something; its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if getattr(self, "session", None):
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        answer = eventually(lambda: self.answers.pop(message["id"], None), 30,
                            "an answer to " + method)
        assert "error" not in answer, answer
        return answer["result"]

    def go(self, url):
        """Opens URL."""
        self.call("Page.navigate", url=url)

    def size(self, width, height, scale=1, dark=False):
        """The window, and the colours that its user prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width,
                  height=height, deviceScaleFactor=scale, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme",
             "value": "dark" if dark else "light"}])

    def run(self, script):
        """The value of an expression of JavaScript in the page."""
        result = self.call("Runtime.evaluate", expression=script,
                           returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def text(self, selector="body"):
        """What the first element of SELECTOR shows."""
        return self.run("(document.querySelector(%s) || {}).innerText || ''" %
                        json.dumps(selector))

    def picture(self, path, whole=False):
        """Writes what it shows as a PNG file."""
        shot = self.call("Page.captureScreenshot", format="png",
                         captureBeyondViewport=whole)
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def close(self):
        """Ends it and removes its profile."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.to)
        eventually(lambda: self._removed(), 10, "its profile is removed")

    def _removed(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        return not os.path.exists(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
