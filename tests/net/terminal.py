"""A terminal of any size, with a program of the gateway on it."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios

import pyte

from daemon import binary
from lab import eventually


class Screen:
    """A terminal with `unatatp top` on it."""

    def __init__(self, ns, *args, columns=130, lines=30):
        self.terminal = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.terminal)
        self.fd, theirs = pty.openpty()
        self._set_size(columns, lines)
        with ns:
            # pylint: disable=consider-using-with
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", binary(), "top"] +
                list(args), stdin=theirs, stdout=theirs,
                stderr=subprocess.PIPE, env=dict(os.environ, TERM="xterm"),
                start_new_session=True)
        os.close(theirs)

    def _set_size(self, columns, lines):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ,
                    struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns, lines):
        """Another size of the window."""
        self.terminal.resize(lines, columns)
        self._set_size(columns, lines)
        self.process.send_signal(signal.SIGWINCH)

    def lines(self):
        """What it shows now."""
        while select.select([self.fd], [], [], 0.02)[0]:
            try:
                self.stream.feed(os.read(self.fd, 65536))
            except OSError:
                break
        return [line.rstrip() for line in self.terminal.display]

    def shows(self, *words):
        """Waits until a line has all of WORDS, and returns it."""
        def look():
            assert self.process.poll() is None, self.process.returncode
            return next((line for line in self.lines()
                         if all(word in line for word in words)), None)
        try:
            return eventually(look, 10, "%s on the screen" % (words,))
        except AssertionError:
            print("\n".join(self.terminal.display))
            raise

    def hides(self, word):
        """Waits until no line has WORD."""
        eventually(lambda: not any(word in line for line in self.lines()),
                   10, "no %s on the screen" % word)

    def press(self, keys):
        """Types."""
        os.write(self.fd, keys.encode())

    def close(self):
        """Whatever happened: it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.communicate()
        os.close(self.fd)
