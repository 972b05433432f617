"""
A long and lossy link between two namespaces: tests/lab/linkemu, which sees
every packet that crosses it, and checks itself.

Settings are linkemu's own: rate="50M", delay="75ms" (one way), jitter,
loss="1%", queue (bytes), seed; loss_bad, to_bad, to_good for bursts. They
hold for both directions, unless set_up and set_down tell them apart.
"""

import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import time

PACKET = 1500		# what the rate is measured with
UDP_IP = 28		# bytes of headers
NO_LOSS = {"loss": 0, "loss_bad": 0, "to_bad": 0, "to_good": 0, "jitter": "0s"}
RTT_SLACK = 0.0015	# seconds that a round trip may be off, or
RTT_SHARE = 0.03	# this share of it
RATE_SHARE = 0.03
UNITS = {"K": 1e3, "M": 1e6, "G": 1e9, "ms": 1e-3, "us": 1e-6, "s": 1,
         "%": 0.01}


SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
TIMESPEC = struct.Struct("@qq")


def arrival(sock):
    """When the kernel got the next packet, in seconds."""
    _, extra, _, _ = sock.recvmsg(PACKET, 64)
    seconds, nanoseconds = TIMESPEC.unpack(extra[0][2])
    return seconds + nanoseconds * 1e-9


def program():
    """The emulator that was built beside the program under test."""
    return os.path.join(os.path.dirname(os.path.abspath(
        os.environ.get("UNATATP", "unatatp"))), "tests", "lab", "linkemu")


def number(text):
    """What "50M", "75ms" or "1%" amount to."""
    text = str(text)
    digits = text.rstrip("KMGmus%")
    return float(digits) * UNITS.get(text[len(digits):], 1)


def settings(rate, rtt, loss=0, queue=None, **more):
    """
    A link of RATE bits a second and a round trip of RTT seconds, with as
    much of a queue as it holds, and one loss for both directions.
    """
    return dict({"rate": "%d" % rate, "delay": "%gms" % (rtt * 500),
                 "queue": queue or max(int(rate / 8 * rtt), 32 << 10),
                 "loss": "%.9f" % loss}, **more)


class Link:
    """DEVICES in two namespaces; `up` is from the first to the second."""

    def __init__(self, ends, devices=("eth0", "lan"), emulator=None,
                 **values):
        self.ends = ends
        self.values = {"up": {}, "down": {}}
        self.calibration = None
        argv = [shutil.which("setpriv"), "--pdeathsig", "KILL",
                emulator or program()]
        for ns, device in zip(ends, devices):
            argv += [ns.path, device]
        self.child = subprocess.Popen(argv, stdin=subprocess.PIPE, text=True,
                                      stdout=subprocess.PIPE)
        if self.child.stdout.readline() != "ready\n":
            self.close()
            raise RuntimeError("linkemu ended with %s" % self.child.returncode)
        self.set(**values)

    def _ask(self, line):
        """The answer to one command."""
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        answer = self.child.stdout.readline()
        if not answer:
            raise RuntimeError("linkemu has ended")
        found = json.loads(answer)
        if "error" in found:
            raise ValueError("linkemu: %s: %s" % (line, found["error"]))
        return found

    def _set(self, ways, values):
        words = " ".join("%s=%s" % one for one in values.items())
        if words:
            self._ask("set %s %s" % (
                "both" if len(ways) > 1 else ways[0], words))
        for way in ways:
            self.values[way].update(values)

    def set(self, **values):
        """Changes both directions, while packets are under way."""
        self._set(("up", "down"), values)

    def set_up(self, **values):
        """Changes the way from the first end to the second."""
        self._set(("up",), values)

    def set_down(self, **values):
        """Changes the way back."""
        self._set(("down",), values)

    def reset(self):
        """Counts from nothing; the next packet each way is number 0."""
        self._ask("reset")

    def stats(self):
        """What it counted, and whether it kept its promises."""
        return self._ask("stats")

    def sockets(self, addresses):
        """A UDP socket at each end, connected to each other."""
        pair = []
        for ns, address in zip(self.ends, addresses):
            with ns:
                one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
            one.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            one.bind((address, 0))
            one.settimeout(5)
            pair.append(one)
        pair[0].connect(pair[1].getsockname())
        pair[1].connect(pair[0].getsockname())
        return pair

    @staticmethod
    def _round_trip(one, two):
        """Seconds there and back."""
        began = time.monotonic()
        one.send(b"ping")
        two.send(two.recv(100))
        one.recv(100)
        return time.monotonic() - began

    def _rate(self, sender, receiver, way):
        """Bits a second of a burst that fills the queue most of the way."""
        rate, queue = (number(self.values[way][key])
                       for key in ("rate", "queue"))
        count = int(min(rate * 0.2 / 8, queue * 0.8) / PACKET)
        if count < 10:
            return rate
        burst = b"x" * (PACKET - UDP_IP)
        for _ in range(count):
            sender.send(burst)
        times = [arrival(receiver) for _ in range(count)]
        return (count - 1) * PACKET * 8 / (times[-1] - times[0])

    def _measure(self, pair, wanted):
        """The round trip and the rates, and whether they are as WANTED."""
        delay = sum(number(wanted[way]["delay"]) for way in wanted)
        trip = statistics.median(self._round_trip(*pair) for _ in range(3))
        good = abs(trip - delay) <= max(RTT_SLACK, RTT_SHARE * delay)
        found = {"rtt_ms": 1e3 * trip}
        for way, ends in (("up", pair), ("down", pair[::-1])):
            rate = number(wanted[way]["rate"])
            measured = self._rate(*ends, way)
            good &= abs(measured - rate) <= RATE_SHARE * rate
            found[way + "_mbit_s"] = measured / 1e6
        return dict(found, good=good)

    def calibrate(self, addresses, tries=3):
        """
        Measures the round trip and the rate each way, without loss, from
        one of ADDRESSES to the other; then counts from nothing. A busy
        machine may spoil a try, and gets another.
        """
        before = {way: dict(values) for way, values in self.values.items()}
        self.set(**NO_LOSS)
        pair = self.sockets(addresses)
        for _ in range(tries):
            self.calibration = self._measure(pair, before)
            if self.calibration["good"]:
                break
        for one in pair:
            one.close()
        for way, values in before.items():
            self._set((way,), dict(NO_LOSS, **values))
        self.reset()
        return self.calibration

    def report(self):
        """The stats, where a bad calibration makes the run invalid, too."""
        found = dict(self.stats(), calibration=self.calibration)
        if self.calibration and not self.calibration["good"]:
            found["valid"] = False
            found["why"].append("the calibration is off")
        return found

    def close(self):
        """The link goes, and its devices with it."""
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        for pipe in (self.child.stdin, self.child.stdout):
            pipe.close()
