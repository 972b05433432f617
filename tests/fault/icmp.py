"""An attacker on the path: answers TCP packets that it sees with ICMP errors
that quote them."""

import socket
import struct

from background import Background

ETH_P_ALL = 3
SYN, ACK = 2, 16
WRONG = 1 << 30		# added to a sequence number: not of this connection

# Type, code, the header's last four bytes, what is added to the quoted
# sequence number.
ERRORS = {
    4: [(3, 0, 0, 0),		# net unreachable
        (3, 1, 0, 0),		# host unreachable
        (3, 2, 0, 0),		# protocol unreachable
        (3, 3, 0, 0),		# port unreachable
        (3, 13, 0, 0),		# prohibited
        (4, 0, 0, 0),		# source quench
        (11, 0, 0, 0),		# time exceeded
        (12, 0, 0, 0),		# parameter problem
        (3, 4, 576, WRONG)],	# fragmentation needed
    6: [(1, 0, 0, 0),		# no route
        (1, 1, 0, 0),		# prohibited
        (1, 3, 0, 0),		# address unreachable
        (1, 4, 0, 0),		# port unreachable
        (3, 0, 0, 0),		# time exceeded
        (4, 1, 0, 0),		# parameter problem
        (2, 0, 1280, WRONG)],	# packet too big
}


def mtu_error(family, mtu):
    """What a router says whose next link takes no more than MTU."""
    return (3, 4, mtu, 0) if family == 4 else (2, 0, mtu, 0)


def checksum(data):
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Seen:
    """A TCP packet as it came by: `ip` is all of it from its IP header."""

    def __init__(self, ip):
        self.ip = ip
        self.family = ip[0] >> 4
        self.tcp = (ip[0] & 15) * 4 if self.family == 4 else 40
        span = slice(12, 20) if self.family == 4 else slice(8, 40)
        half = (span.stop - span.start) // 2
        self.src, self.dst = ip[span][:half], ip[span][half:]
        self.is_tcp = ip[9 if self.family == 4 else 6] == 6
        self.flags = ip[self.tcp + 13] if self.is_tcp else 0

    def quote(self, error):
        """The packet that answers it with ERROR, one row of ERRORS."""
        kind, code, rest, shift = error
        sequence, = struct.unpack_from("!I", self.ip, self.tcp + 4)
        quoted = self.ip[:self.tcp + 4] + \
            struct.pack("!I", sequence + shift & 0xffffffff) + \
            self.ip[self.tcp + 8:self.tcp + 20]
        body = struct.pack("!I", rest) + quoted
        pseudo = b"" if self.family == 4 else self.dst + self.src + \
            struct.pack("!II", len(body) + 4, 58)
        head = struct.pack("!BB", kind, code)
        body = head + struct.pack("!H", checksum(
            pseudo + head + b"\0\0" + body)) + body
        if self.family == 4:
            return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64,
                               1, 0) + self.dst + self.src + body
        return struct.pack("!IHBB", 6 << 28, len(body), 58, 64) + \
            self.dst + self.src + body


class OnPath(Background):
    """While the block runs, answers each packet that comes into NS with the
    next of ERRORS. SYNs it lets go: an error would rightly end the dial."""

    def __init__(self, ns, family, errors=None):
        super().__init__()
        self.family, self.sent = family, 0
        self.errors = errors or ERRORS[family]
        with ns:
            self._wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM,
                                       socket.htons(ETH_P_ALL))
            self._out = socket.socket(
                socket.AF_INET if family == 4 else socket.AF_INET6,
                socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._wire.settimeout(0.05)

    def _run(self):
        while not self._stop.is_set():
            try:
                packet, origin = self._wire.recvfrom(1 << 16)
            except TimeoutError:
                continue
            if origin[2] == socket.PACKET_HOST and packet[0] >> 4 in (4, 6):
                self._answer(Seen(packet))

    def _answer(self, seen):
        if seen.family != self.family or not seen.is_tcp or \
                seen.flags & (SYN | ACK) != ACK:
            return
        error = self.errors[self.sent % len(self.errors)]
        inet = socket.AF_INET if self.family == 4 else socket.AF_INET6
        self._out.sendto(seen.quote(error),
                         (socket.inet_ntop(inet, seen.src), 0))
        self.sent += 1

    def __exit__(self, *_):
        super().__exit__()
        self._wire.close()
        self._out.close()


def counters(ns, *names):
    """{name: value} of the kernel's counters in NS, by the name that
    /proc/net has for them."""
    found = {}
    with ns:
        for file in ("snmp", "netstat", "snmp6"):
            # /proc/net is the process's, not the thread's.
            with open("/proc/thread-self/net/" + file,
                      encoding="ascii") as text:
                lines = text.read().splitlines()
            if file == "snmp6":
                found.update(line.split() for line in lines)
                continue
            for head, row in zip(lines[::2], lines[1::2]):
                prefix = head.split(":")[0]
                found.update(("%s.%s" % (prefix, key), value) for key, value
                             in zip(head.split()[1:], row.split()[1:]))
    return {name: int(found[name]) for name in names}
