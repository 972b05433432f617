"""The first policy whose source, destination and port match decides."""

import lab as places
from peers import assert_reset, exchange, is_readable, try_connect


def policy_of(daemon, peers, listener, **how):
    """The policy that a short flow met, from its log line."""
    client = peers.connect(listener, **how)
    name = client.getsockname()
    server, _ = peers.accept(listener)
    exchange(client, server, 10, 10)
    return daemon.flow(name)["policy"]


def test_by_source(unatatp, peers, family):
    """Two client subnets, two policies; the first match wins."""
    daemon = unatatp(policies=[
        {"name": "first", "sources": [places.SUBNET[family]]},
        {"name": "second", "sources": [places.SUBNET_B[family],
                                       places.SUBNET[family]]},
    ])
    listener = peers.listen(family=family)
    for source, name in ((places.CLIENT, "first"),
                         (places.CLIENT_B, "second")):
        assert policy_of(daemon, peers, listener,
                         source=source[family]) == name


def test_by_destination(unatatp, peers, family):
    """One address has a policy of its own; what none matches meets
    `default`."""
    daemon = unatatp(policies=[
        {"name": "b", "destinations": [places.SERVER_B[family]]}])
    for server, name in ((places.SERVER_B, "b"), (places.SERVER, "default")):
        listener = peers.listen(server[family])
        assert policy_of(daemon, peers, listener) == name


def test_by_port(unatatp, peers):
    """Ports and ranges, both ends included."""
    daemon = unatatp(policies=[
        {"name": "web", "ports": ["80", "8000-8002"]},
        {"name": "rest"}])
    for port, name in ((80, "web"), (81, "rest"), (7999, "rest"),
                       (8000, "web"), (8002, "web"), (8003, "rest")):
        listener = peers.listen(port=port)
        assert policy_of(daemon, peers, listener) == name
        listener.close()


def test_all_three_together(unatatp, peers):
    """Source, destination and port must all match."""
    daemon = unatatp(policies=[
        {"name": "exact", "sources": [places.CLIENT[4]],
         "destinations": ["10.72.0.0/30"], "ports": ["443"]}])
    exact = peers.listen(port=443)
    assert policy_of(daemon, peers, exact) == "exact"
    assert policy_of(daemon, peers, exact,
                     source=places.CLIENT_B[4]) == "default"
    assert policy_of(daemon, peers, peers.listen(port=444)) == "default"


def test_family_matters(unatatp, peers):
    """0.0.0.0/0 is every IPv4 client and no IPv6 one."""
    daemon = unatatp(policies=[{"name": "four", "sources": ["0.0.0.0/0"]}])
    assert policy_of(daemon, peers, peers.listen(family=4)) == "four"
    assert policy_of(daemon, peers, peers.listen(family=6)) == "default"


def test_reject(unatatp, peers, family):
    """`action = "reject"` resets the client and dials nobody."""
    daemon = unatatp(policies=[
        {"name": "no", "action": "reject",
         "sources": [places.SUBNET[family]]}])
    listener = peers.listen(family=family)
    client = try_connect(peers, listener)
    if client:
        assert_reset(client)
    daemon.wait_stat("rejected")
    assert not is_readable(listener, 0.1)
    assert policy_of(daemon, peers, listener,
                     source=places.CLIENT_B[family]) == "default"
