"""
The loads of the bench on a lossy link. Both ends are threads of this
process, so that one clock times what one end writes and the other reads:
the rates of a lossy link leave Python room.
"""

import contextlib
import queue
import socket
import statistics
import struct
import threading
import time

import lab as labs
from figures import Figure

PORT = 80
HEADER = struct.Struct("!cQ")	# what is asked for, and how much of it
CHUNK = b"x" * (1 << 18)
RECORD = 16 << 10		# bytes of a stream between two stamps
STAMP = struct.Struct("!d")
TCP_NOTSENT_LOWAT = 25
DROP = socket.MSG_TRUNC		# the kernel throws the bytes away
PAGE = [30, 30, 1000, 30, 100, 30, 30, 100, 30, 30, 100, 30]	# KB
AT_ONCE = 6			# connections, as browsers do
OBJECTS = (30, 100, 1000)
TIMES = {30: 5, 100: 10, 1000: 20}	# each of them on its own
SILENCE = 3.0			# seconds: longer than a retransmission timer
ASK = b"q" * 64
ASK_EVERY = 0.05
FLOW = 2000000			# bytes of a flow on a link that changes
FLOWS = 20			# that may pass until it is measured, and then
SETTLED = 2.0			# seconds until a stream's delay counts
STEP = 0.25			# of the series of delays


class Server:
    """Answers whatever is asked for, a thread a connection."""

    def __init__(self, ns):
        with ns:
            self.listener = socket.create_server((labs.SERVER, PORT),
                                                 backlog=256)
        self.received = 0	# bytes of the upload
        self.clients = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.clients.append(client)
                threading.Thread(target=self._serve, args=(client,),
                                 daemon=True).start()

    def _serve(self, client):
        serve = {b"D": self._download, b"U": self._upload,
                 b"S": self._stream, b"R": self._requests,
                 b"K": self._keep}
        with contextlib.suppress(OSError), client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            what, size = HEADER.unpack(take(client, HEADER.size))
            serve[what](client, size)

    @staticmethod
    def _download(client, size):
        while size:
            size -= client.send(CHUNK[:size])

    def _keep(self, client, size):
        """Downloads on one connection, as many as are asked for."""
        while True:
            self._download(client, size)
            _, size = HEADER.unpack(take(client, HEADER.size))

    def _upload(self, client, _):
        buffer = bytearray(1 << 20)
        while True:
            n = client.recv_into(buffer, len(buffer), DROP)
            if not n:
                return
            self.received += n

    @staticmethod
    def _stream(client, _):
        """Stamps each record when it is written; keeps no queue itself."""
        client.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, RECORD)
        filler = bytes(RECORD - STAMP.size)
        while True:
            client.sendall(STAMP.pack(time.monotonic()) + filler)

    @staticmethod
    def _requests(client, _):
        while True:
            client.sendall(take(client, len(ASK)))

    def close(self):
        """Ends every connection."""
        self.listener.close()
        for one in self.clients:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def take(sock, size):
    """SIZE bytes; less is an error."""
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise ConnectionError("cut short")
        data += part
    return data


def ask(run, what, size=0):
    """A new connection on which something was asked for."""
    with run.lab.client:
        sock = socket.socket()
    sock.settimeout(run.cap)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.connect((labs.SERVER, PORT))
    sock.sendall(HEADER.pack(what, size))
    return sock


def fetch(run, size, until):
    """Downloads SIZE bytes or what comes by UNTIL; how many came."""
    got, buffer = 0, bytearray(1 << 20)
    with contextlib.suppress(TimeoutError), ask(run, b"D", size) as sock:
        while got < size:
            sock.settimeout(max(until - time.monotonic(), 0.001))
            n = sock.recv_into(buffer, len(buffer), DROP)
            got += n or run.cut_short()
    return got


def download(run):
    """One big download, from its SYN on."""
    began = time.monotonic()
    got = fetch(run, run.size, began + run.cap)
    return {"mbit_s": got * 8e-6 / (time.monotonic() - began)}


def upload(run):
    """One big upload, counted where it arrives."""
    began = time.monotonic()
    until, left = began + run.cap, run.size
    with ask(run, b"U") as sock:
        with contextlib.suppress(TimeoutError):
            while left and time.monotonic() < until:
                sock.settimeout(max(until - time.monotonic(), 0.001))
                left -= sock.send(CHUNK[:left])
        while run.server.received < run.size and time.monotonic() < until:
            time.sleep(0.001)
        return {"mbit_s": run.server.received * 8e-6 /
                (time.monotonic() - began)}


def timed(run, size):
    """Milliseconds that SIZE KB take on a connection of their own."""
    began = time.monotonic()
    fetch(run, size * 1000, began + run.cap)
    return 1e3 * (time.monotonic() - began)


def one_page(run):
    """Milliseconds that a page's objects take, some at once."""
    left = queue.SimpleQueue()
    for size in PAGE:
        left.put(size)

    def work():
        with contextlib.suppress(queue.Empty):
            while True:
                timed(run, left.get_nowait())
    began = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(AT_ONCE)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return 1e3 * (time.monotonic() - began)


def page(run):
    """Pages, then single objects; each object on a new connection."""
    found = {"page_ms": statistics.median(one_page(run)
                                          for _ in range(run.pages))}
    for size in OBJECTS:
        found["object_%dk_ms" % size] = statistics.median(
            timed(run, size) for _ in range(run.pages))
    return found


def again(run, restart):
    """
    Milliseconds that 1 MB takes on a connection that was silent after
    another one. RESTART: the gateway's net.ipv4.tcp_slow_start_after_idle.
    """
    size, buffer = 1000 * 1000, bytearray(1 << 20)
    run.lab.gateway.sysctl(ipv4__tcp_slow_start_after_idle=restart)
    with ask(run, b"K", size) as sock:
        for turn in range(2):
            if turn:
                time.sleep(SILENCE)
                sock.sendall(HEADER.pack(b"K", size))
            began, left = time.monotonic(), size
            while left:
                left -= sock.recv_into(buffer, left) or run.cut_short()
    return 1e3 * (time.monotonic() - began)


def short(run):
    """Single objects, each on a new connection; and one after a silence."""
    found = {}
    for size in OBJECTS:
        times = [timed(run, size) for _ in range(TIMES[size])]
        for share in (50, 90):
            found["short_%dk_p%d_ms" % (size, share)] = quantile(
                times, share / 100)
    for restart in (1, 0):
        found["again_%d_ms" % restart] = statistics.median(
            again(run, restart) for _ in range(run.pages))
    return found


def requests(run, until, times):
    """A flow that asks every now and then; TIMES gets (when, ms)."""
    with contextlib.suppress(OSError), ask(run, b"R") as sock:
        while time.monotonic() < until:
            began = time.monotonic()
            sock.sendall(ASK)
            take(sock, len(ASK))
            times.append((began, 1e3 * (time.monotonic() - began)))
            time.sleep(ASK_EVERY)


class Stamps:
    """Finds the stamps in a stream that comes in pieces."""

    def __init__(self):
        self.got = 0
        self.part = b""		# of a stamp that was cut in two

    def read(self, data, size):
        """The stamps that are whole now."""
        found, at = [], -self.got % RECORD
        self.got += size
        if self.part:
            found.append(self.part + bytes(data[:min(
                size, STAMP.size - len(self.part))]))
        while at < size:
            found.append(bytes(data[at:min(at + STAMP.size, size)]))
            at += RECORD
        whole = [one for one in found if len(one) == STAMP.size]
        self.part = b"" if len(whole) == len(found) else found[-1]
        return [STAMP.unpack(one)[0] for one in whole]


def stream(run, until, delays):
    """Reads a stamped stream; DELAYS gets (when, ms). Returns its bytes."""
    stamps, data = Stamps(), bytearray(1 << 20)
    with contextlib.suppress(TimeoutError), ask(run, b"S") as sock:
        while time.monotonic() < until:
            sock.settimeout(max(until - time.monotonic(), 0.001))
            n = sock.recv_into(data)
            now = time.monotonic()
            if not n:
                raise ConnectionError("a stream was cut short")
            delays += [(now, 1e3 * (now - one))
                       for one in stamps.read(data, n)]
    return stamps.got


def quantile(values, share):
    """A quantile of a list that is not empty."""
    return sorted(values)[int(share * (len(values) - 1))]


def steps(points, began):
    """The medians of (when, value), one for each STEP."""
    found = {}
    for when, value in points:
        found.setdefault(int((when - began) / STEP), []).append(value)
    return [(round(STEP * (number + 0.5), 3),
             round(statistics.median(values), 1))
            for number, values in sorted(found.items())]


def beside(run):
    """A stamped bulk flow, and beside it one that asks and is answered."""
    began = time.monotonic()
    until, answers, delays = began + run.seconds, [], []
    other = threading.Thread(target=requests, args=(run, until, answers))
    other.start()
    got = stream(run, until, delays)
    other.join()
    found = {"mbit_s": got * 8e-6 / run.seconds}
    for name, points in (("delay", delays), ("answer", answers)):
        late = [value for when, value in points if when > began + SETTLED]
        for share in (50, 99) if late else ():
            found["%s_p%d_ms" % (name, share)] = quantile(late, share / 100)
    run.series = {"delay": steps(delays, began),
                  "answer": steps(answers, began)}
    return found


def delay(run):
    """A stamped bulk flow alone, once it has found its rate."""
    began, delays = time.monotonic(), []
    stream(run, began + run.seconds, delays)
    late = [(when, value) for when, value in delays
            if when > began + run.seconds / 4]
    if len(late) < 2:
        raise RuntimeError("the stream stood still")
    span = late[-1][0] - late[0][0]
    run.series = {"delay": steps(delays, began)}
    return {"mbit_s": (len(late) - 1) * RECORD * 8e-6 / span,
            "delay_p50_ms": quantile([value for _, value in late], 0.5),
            "delay_p95_ms": quantile([value for _, value in late], 0.95)}


def in_a_row(run):
    """Mbit/s of the later of some downloads, one after the other."""
    for number in range(2 * FLOWS):
        if number == FLOWS:
            began = time.monotonic()
        fetch(run, FLOW, time.monotonic() + run.cap)
    return FLOWS * FLOW * 8e-6 / (time.monotonic() - began)


def changes(run):
    """Downloads in a row, on a link that turns lossy and back."""
    loss, found = run.lab.link.values["down"]["loss"], {}
    for name, value in (("good", 0), ("lossy", loss), ("again", 0)):
        run.lab.link.set(loss=value)
        found[name + "_mbit_s"] = in_a_row(run)
    return found


LOADS = [
    Figure("download", "one big download", download),
    Figure("page", "pages of several objects, and single ones", page),
    Figure("beside", "a bulk flow, and one that asks beside it", beside),
    Figure("upload", "one big upload", upload),
    Figure("changes", "small downloads while the link changes", changes),
    Figure("short", "single objects, and one after a silence", short),
]

# On a link of its own: DELAY_POINTS of `link`.
DELAY = Figure("delay", "a bulk flow alone: the delay inside it", delay)


class Run:
    """One load on one arm: a lab with its link, and how long it may take."""

    def __init__(self, lab, rate, seconds, pages):
        self.lab = lab
        self.seconds = seconds		# what the link needs for it
        self.size = int(rate / 8 * seconds)
        self.cap = seconds * 1.5	# then it is over, done or not
        self.pages = pages
        self.series = None
        self.server = Server(lab.server)

    @staticmethod
    def cut_short():
        """The server has ended too early."""
        raise ConnectionError("a download was cut short")

    def prove_path(self, arm):
        """Fails unless the arm itself carries what the client sends."""
        with ask(self, b"R") as sock:
            sock.sendall(ASK)
            take(sock, len(ASK))
            peer = self.server.clients[0].getpeername()[0]
        if peer != (labs.GATEWAY_WAN if arm.proxy else labs.CLIENT):
            raise RuntimeError("%s is not on the way" % arm.name)
