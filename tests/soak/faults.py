"""What goes wrong, on purpose. Only main throws them in: whatever a thread
starts may die with it."""

import os
import random
import signal
import time

from traffic import kill_session

# The server's answer to what comes to a port, for a while.
REJECT = {4: "meta nfproto ipv4 tcp dport %d reject with icmp %s",
          6: "meta nfproto ipv6 tcp dport %d reject with icmpv6 %s"}
UNREACHABLES = {4: ["host-unreachable", "port-unreachable",
                    "admin-prohibited"],
                6: ["addr-unreachable", "port-unreachable", "no-route"]}


class Faults:
    """A deck of faults, shuffled by a seed."""

    def __init__(self, gateway, clients, ledger, seed):
        self.gateway, self.clients, self.ledger = gateway, clients, ledger
        self.lab = gateway.lab
        self.rng = random.Random("%s faults" % seed)
        self.deck = []

    def throw(self):
        """The next one."""
        if not self.deck:
            self.deck = list(FAULTS)
            self.rng.shuffle(self.deck)
        name, work = self.deck.pop()
        work(self, name)

    def drain(self):
        """The daemon drains and ends; the next one takes its place."""
        with self.ledger.fault("drain"):
            self.gateway.drain()

    def service(self):
        """One of them."""
        return self.rng.choice(sorted({
            one.name: one for one in self.ledger.services.values()}.values(),
            key=lambda one: one.name))


def kill_client(faults, name):
    """kill -9 of a program at work: its sockets are reset or finished."""
    with faults.ledger.lock:
        working = [one for one in faults.ledger.running
                   if one.process and one.kind.service != "watch"]
    if not working:
        return
    one = faults.rng.choice(sorted(working, key=lambda one: one.kind.name))
    with faults.ledger.fault(name, one.kind.service, one.kind.name):
        process, one.killed = one.process, True
        if process:
            kill_session(process)


def restart(faults, name):
    """A server dies with all its connections, and comes back."""
    service = faults.service()
    with faults.ledger.fault(name, service.name):
        service.stop()
        time.sleep(faults.rng.random())
        service.start(faults.lab.server, faults.gateway.work)


def link_down(faults, name):
    """A cable is out for a second."""
    link = faults.rng.choice(["lan", "wan"])
    with faults.ledger.fault(name, None, link):
        faults.lab.gateway.ip("link set %s down\n" % link)
        try:
            time.sleep(1)
        finally:
            faults.lab.gateway.ip("link set %s up\n" % link)


def unreachable(faults, name):
    """ICMP says for two seconds that a service cannot be reached."""
    service = faults.service()
    family = faults.rng.choice([4, 6])
    why = faults.rng.choice(UNREACHABLES[family])
    rule = REJECT[family] % (service.port, why)
    with faults.ledger.fault(name, service.name, why), \
            faults.lab.server.rule("input", rule):
        time.sleep(2)


def reload(faults, name):
    """Other policies."""
    with faults.ledger.fault(name):
        faults.gateway.reload(faults.rng, faults.rng.random() < 0.5)


def bad_reload(faults, name):
    """A configuration with a mistake."""
    with faults.ledger.fault(name):
        faults.gateway.reload_badly()


def counters(faults, name):
    """SIGUSR1, and other levels of the log for a moment."""
    with faults.ledger.fault(name):
        os.kill(faults.gateway.daemon.pid, signal.SIGUSR1)
        for level in "debug", "info":
            status, _, err = faults.gateway.daemon.ask("loglevel", level)
            if status:
                faults.ledger.complain("loglevel: %s", err)


def kill_flow(faults, name):
    """The administrator ends a flow."""
    flows = faults.gateway.daemon.show("flows")
    if not flows:
        return
    flow = faults.rng.choice(sorted(flows, key=lambda one: one["id"]))
    service = faults.ledger.services.get(
        int(flow["dst"].rpartition(":")[2]))
    with faults.ledger.fault(name, service.name if service else "none",
                             "%(id)d %(dst)s" % flow):
        faults.ledger.killed.add(flow["id"])
        faults.gateway.daemon.ask("kill", str(flow["id"]))


FAULTS = [("kill client", kill_client), ("kill client", kill_client),
          ("kill client", kill_client), ("restart", restart),
          ("restart", restart), ("link down", link_down),
          ("unreachable", unreachable), ("reload", reload),
          ("reload", reload), ("bad reload", bad_reload),
          ("counters", counters), ("kill flow", kill_flow),
          ("kill flow", kill_flow)]
