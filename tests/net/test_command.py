"""The command line: what it starts, and how it ends."""

import os
import signal
import socket
import threading

import pytest

import lab as places
from daemon import BASE, config_text, merge, proxy_to, run
from lab import PORT, eventually
from peers import exchange

UNPRIVILEGED = ["setpriv", "--reuid=65534", "--regid=65534",
                "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
NO_FILE = not os.path.exists("/etc/unatatp.conf")
needs_no_file = pytest.mark.skipif(
    not NO_FILE, reason="there is an /etc/unatatp.conf on this machine, "
    "the built-in configuration cannot be reached")


def write(folder, text):
    """A configuration file with TEXT."""
    file = folder / "c.conf"
    file.write_text(text)
    return str(file)


def good_file(folder, **changes):
    """A configuration that starts."""
    control = {"control": {"path": str(folder / "control")}}
    return write(folder, config_text(merge(
        merge(merge(BASE, control), proxy_to()), changes)))


def test_version_and_help(lab):
    """They print on stdout and end with 0."""
    status, out, _ = run(lab.gateway, "--version")
    assert status == 0 and out.startswith("unatatp ")
    status, out, _ = run(lab.gateway, "--help")
    assert status == 0 and "unatatp" in out and "-c" in out


@pytest.mark.parametrize("args", [
    ["--nonsense"], ["nonsense"], ["-c"], ["-p", "70000"], ["-p", "x"],
    ["run", "more"], ["-bind_ipv4", "::1"], ["-bind_ipv4", "nowhere"],
    ["-bind_ipv6_prefix", "10.0.0.0/8"], ["-verbose", "x"]],
    ids=" ".join)
def test_usage(lab, args):
    """A wrong command line ends with 64 and says why on stderr."""
    status, out, err = run(lab.gateway, *args)
    assert status == 64, err
    assert err and not out


@pytest.mark.parametrize("args,said", [
    (["kill"], "kill which ID?"),
    (["kill", "1 2"], 'kill cannot take "1 2"'),
    (["kill", "9" * 2000], 'kill cannot take "999'),
    (["show"], "show what? (one of flows"),
    (["show", "flows", "--policy", "x" * 2000], "the options are too long"),
    (["firewall"], "firewall what? (one of show up"),
    (["firewall", "up", "--backend", "ipfw"], "ipfw"),
    (["firewall", "down", "--confirm", "5"], "confirm"),
    (["firewall", "status", "--confirm", "0"], "0")],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list)
    else "")
def test_usage_says(lab, args, said):
    """What is missing, or does not fit, is named."""
    status, out, err = run(lab.gateway, *args)
    assert (status, out) == (64, "")
    assert said in err


@pytest.mark.parametrize("how", [["run", "-c"], ["-c"], ["check", "-c"],
                                 ["-t", "-c"]], ids=" ".join)
def test_bad_configuration(lab, tmp_path, how):
    """A mistake in the file ends with 78 and FILE:LINE, all mistakes at
    once."""
    file = write(tmp_path, 'workers = 1;\ncongeston = 2;\nlog = { level = '
                 '"loud"; };\n')
    status, _, err = run(lab.gateway, *how, file)
    assert status == 78, err
    assert file + ":2: " in err and file + ":3: " in err


def test_missing_file(lab, tmp_path):
    """A named file that is not there is a bad configuration."""
    status, _, err = run(lab.gateway, "run", "-c", str(tmp_path / "no.conf"))
    assert status == 78 and "no.conf" in err


@pytest.mark.parametrize("how", [["check", "-c"], ["-t", "-c"]],
                         ids=" ".join)
def test_check(lab, tmp_path, how):
    """`check` of a good file ends with 0."""
    assert run(lab.gateway, *how, good_file(tmp_path))[0] == 0


def test_check_print_loads_again(lab, tmp_path):
    """`check --print` prints a file that means the same."""
    _, first, _ = run(lab.gateway, "check", "--print", "-c",
                      good_file(tmp_path))
    again = write(tmp_path, first)
    status, second, err = run(lab.gateway, "check", "--print", "-c", again)
    assert (status, second) == (0, first), err


def test_cannot_listen(lab, peers, tmp_path):
    """A port in use ends with 69, and names the address."""
    peers.listen("127.0.0.1", port=PORT, ns=lab.gateway)
    status, _, err = run(lab.gateway, "run", "-c", good_file(tmp_path))
    assert status == 69
    assert "127.0.0.1:%d" % PORT in err


def test_no_privilege(lab, public_folder):
    """Without CAP_NET_ADMIN TPROXY is out of reach: 77."""
    file = good_file(public_folder)
    status, _, err = run(lab.gateway, "run", "-c", file,
                         prefix=UNPRIVILEGED)
    assert status == 77, err
    assert err


def test_unknown_user(lab, tmp_path):
    """A user that does not exist ends the start, and is named."""
    file = good_file(tmp_path, user="nosuchuser")
    status, _, err = run(lab.gateway, "run", "-c", file)
    assert status in (77, 78) and "nosuchuser" in err


@needs_no_file
@pytest.mark.parametrize("args", [
    ["-port", "9998"], ["-p", "9998"], ["--port", "9998"],
    ["run", "-p", "9998"], ["-port", "9998", "-verbose", "2"]],
    ids=" ".join)
def test_port(unatatp_once, args):
    """The first unatatp's form and its successors, without a file."""
    daemon = unatatp_once.start(args=args, listens=[("127.0.0.1", 9998),
                                                    ("::1", 9998)])
    assert set(daemon.listeners()) == {("127.0.0.1", 9998), ("::1", 9998)}


@needs_no_file
def test_built_in(unatatp_once, peers, family):
    """Alone it serves on its built-in configuration, as an ordinary
    user."""
    daemon = unatatp_once.start(args=[])
    with open("/proc/%d/status" % daemon.pid, encoding="ascii") as status:
        ids = next(line for line in status if line.startswith("Uid:"))
    assert "0" not in ids.split()[1:]
    client, server = peers.flow(family)
    name = client.getsockname()
    exchange(client, server, 1 << 20, 1 << 20)
    line = daemon.flow(name)
    assert line["policy"] == "default" and line["up"] == str(1 << 20)


@needs_no_file
@pytest.mark.parametrize("option", ["-C", "--congestion"])
def test_congestion(unatatp_once, peers, option):
    """-C sets both legs."""
    daemon = unatatp_once.start(args=[option, "reno"])
    client, server = peers.flow()
    name = client.getsockname()
    exchange(client, server, 10, 10)
    line = daemon.flow(name)
    assert (line["client_cc"], line["server_cc"]) == ("reno", "reno")


def test_override_of_a_file(unatatp_once, peers):
    """-p and -C win over the file, also after a reload."""
    daemon = unatatp_once.start(
        options=unatatp_once.options(
            listen=[{"address": "127.0.0.1", "port": 1234}],
            policies=[{"name": "all", "client": {"congestion": "cubic"}}]),
        args=None, listens=[])
    daemon.stop()
    daemon.args += ["-p", str(PORT), "-C", "reno"]
    daemon.expected = [("127.0.0.1", PORT)]
    daemon.start()
    daemon.reload(log={"level": "debug"})
    assert set(daemon.listeners()) == {("127.0.0.1", PORT)}
    client, server = peers.flow()
    name = client.getsockname()
    exchange(client, server, 10, 10)
    assert daemon.flow(name)["client_cc"] == "reno"


@needs_no_file
def test_bind_options(unatatp_once, peers):
    """-bind_ipv4 and -bind_ipv6_prefix set the source of `default`."""
    unatatp_once.start(args=["-bind_ipv4", places.GATEWAY_B[4],
                             "-bind_ipv6_prefix", places.MAP6])
    for family, source in ((4, places.GATEWAY_B[4]),
                           (6, places.MAPPED_CLIENT)):
        listener = peers.listen(family=family)
        peers.connect(listener)
        assert peers.accept(listener)[1][0] == source


@pytest.mark.parametrize("args", [
    ["check"], ["check", "--print"], ["doctor"], ["doctor", "--json"],
    ["firewall", "show"]], ids=" ".join)
def test_output_has_no_room(lab, tmp_path, args):
    """What cannot be written is said, and is no success."""
    file = good_file(tmp_path, firewall={"interfaces": ["lan"]})
    status, _, err = run(lab.gateway, *args, "-c", file,
                         prefix=["sh", "-c", 'exec "$@" >/dev/full', "sh"])
    assert status == 1
    assert err.endswith("No space left on device\n"), err


def test_answer_has_no_room(unatatp_once):
    """Likewise what the daemon has answered."""
    daemon = unatatp_once()
    status, _, err = daemon.ask(
        "show", "stats", prefix=["sh", "-c", 'exec "$@" >/dev/full', "sh"])
    assert status == 1
    assert err == "unatatp: cannot write: No space left on device\n"


def test_socket_name_too_long(lab):
    """-s takes no more than a UNIX socket's name may have."""
    path = "/tmp/" + "x" * 110
    status, _, err = run(lab.gateway, "show", "stats", "-s", path)
    assert (status, err) == (64, path + ": File name too long\n")


@pytest.mark.parametrize("answer,said", [
    (b"", "hung up before it had answered"),
    (b"{} and no end of it", "hung up before it had answered"),
    (b"what?\n", "gave an answer that makes no sense"),
    (b"end x\n", "gave an answer that makes no sense"),
    (b"{ nonsense\nend 0\n", "gave an answer that makes no sense")],
    ids=["nothing", "half", "word", "status", "object"])
def test_answer_makes_no_sense(lab, tmp_path, answer, said):
    """Another program at the daemon's socket is told apart from it."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve():
            with listener.accept()[0] as peer:
                peer.recv(1000)
                peer.sendall(answer)
        server = threading.Thread(target=serve, daemon=True)
        server.start()
        status, out, err = run(lab.gateway, "show", "stats", "-s", path)
        server.join(5)
    assert (status, out) == (1, "")
    assert err == "unatatp: the daemon at %s %s\n" % (path, said)


def test_background(lab, peers, tmp_path):
    """-d returns 0 once the daemon listens, and leaves it running, with
    no terminal."""
    assert not lab.gateway.processes()
    # Level error: it says nothing into the machine's syslog.
    file = good_file(tmp_path, log={"level": "error"})
    try:
        status, out, err = run(lab.gateway, "run", "-d", "-c", file)
        assert (status, out) == (0, ""), err
        pid, = lab.gateway.processes()
        assert peers.is_proxied()
        with open("/proc/%d/stat" % pid, encoding="ascii") as stat:
            word = stat.read().rpartition(")")[2].split()
        assert word[3] == str(pid) and word[4] == "0"
        for fd in (0, 1, 2):
            assert os.readlink("/proc/%d/fd/%d" % (pid, fd)) == "/dev/null"
        peers.close()
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not lab.gateway.processes(),
                   what="the daemon ends")
    finally:
        lab.gateway.kill_all()


def test_background_that_cannot_start(lab, peers, tmp_path):
    """-d reports a failed start by its status, as the foreground does."""
    peers.listen("127.0.0.1", port=PORT, ns=lab.gateway)
    status, _, err = run(lab.gateway, "-d", "-c", good_file(tmp_path))
    assert status == 69 and "127.0.0.1:%d" % PORT in err
    assert not lab.gateway.processes()
