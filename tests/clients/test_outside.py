"""`sluice check --from-outside` where it is meant to run: on another machine, with a firewall on the way.

Two network namespaces joined by a cable are the two machines; the firewall is the kernel's own (nftables).
Needs root.
"""
import os
import pathlib
import re
import subprocess
import sys
import time

import pytest

import served
import clients
from certificates import Authority

SERVER, CLIENT = "10.99.77.1", "10.99.77.2"
OK, FILE, NAME, ROUTE, REFUSED, FILTERED, IS_HTTPS, NO_TLS, REJECTED = 0, 3, 10, 11, 12, 13, 14, 15, 16
EXPIRED, WRONG_NAME, UNKNOWN_CA, CLIENT_CERT, TLS, AUTH, PERMISSION, MODEL, NOT_HTTP = 20, 21, 22, 23, 24, 30, 31, 40, 50


def sh(*command, **kw):
    done = clients.run(*command, **kw)
    assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
    return done.stdout.decode()


class Machines:
    def __init__(self, tag=""):
        self.a, self.b = f"sl{os.getpid()}{tag}a", f"sl{os.getpid()}{tag}b"
        for name in (self.a, self.b):
            sh("ip", "netns", "add", name)
            sh("ip", "-n", name, "link", "set", "lo", "up")
        sh("ip", "-n", self.a, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.b)
        for name, address in ((self.a, SERVER), (self.b, CLIENT)):
            sh("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            sh("ip", "-n", name, "link", "set", "eth0", "up")
        self.running = []

    def firewall(self, rule):
        sh("ip", "netns", "exec", self.a, "nft", "-f", "-", input=(
            "flush ruleset\ntable inet t {\n chain input {\n  type filter hook input priority 0; policy accept;\n"
            f"  {rule}\n }}\n}}\n").encode())

    def start(self, *command, port, on=None):
        log = open(f"/tmp/{self.a}.log", "ab")
        p = subprocess.Popen(["ip", "netns", "exec", on or self.a, *map(str, command)], stdout=log, stderr=log,
                             stdin=subprocess.DEVNULL)
        self.running.append(p)
        end = time.monotonic() + 20
        while f":{port} " not in sh("ip", "netns", "exec", on or self.a, "ss", "-Hltn"):
            assert p.poll() is None and time.monotonic() < end, pathlib.Path(log.name).read_text()
            time.sleep(0.02)

    def serve(self, port, *flags):
        self.start(served.SLUICE, "serve", f"--rest_address={SERVER}:{port}", "--port=0", "--model_name=my_model",
                   f"--model_base_path={served.ROOT / 'examples/models/my_model'}", *flags, port=port)

    def check(self, *args):
        done = clients.run("ip", "netns", "exec", self.b, served.SLUICE, "check", *args, timeout=60)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def end(self):
        for p in self.running:
            p.kill()
            p.wait()
        for name in (self.a, self.b):
            sh("ip", "netns", "delete", name)
        pathlib.Path(f"/tmp/{self.a}.log").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return tmp_path_factory.mktemp("outside")


@pytest.fixture(scope="module")
def ca(files):
    return Authority(files)


@pytest.fixture(scope="module")
def machines(ca, files):
    assert os.geteuid() == 0, "these tests make network namespaces: run them as root"
    m = Machines()
    try:
        for name, address in ((m.a, SERVER6), (m.b, CLIENT6)):
            sh("ip", "-n", name, "address", "add", f"{address}/64", "dev", "eth0", "nodad")
        good = ca.issue("good", san=f"IP:{SERVER}")
        flags = [f"--tls_cert_file={good[0]}", f"--tls_key_file={good[1]}"]
        m.serve(8501, *flags)
        m.serve(8502)
        m.serve(8503, *flags, f"--tls_client_ca_file={ca.cert}")
        named = ca.issue("named", san="DNS:elsewhere.example")
        m.serve(8504, f"--tls_cert_file={named[0]}", f"--tls_key_file={named[1]}")
        stranger = Authority(files, "stranger").issue("unknown", san=f"IP:{SERVER}")
        m.serve(8505, f"--tls_cert_file={stranger[0]}", f"--tls_key_file={stranger[1]}")
        old = ca.issue("old", san=f"IP:{SERVER}", days=-1)  # with which sluice itself does not start
        m.start("openssl", "s_server", "-accept", f"{SERVER}:8506", "-cert", old[0], "-key", old[1], "-www", port=8506)
        for name in ("reader", "other"):
            done = clients.run(served.SLUICE, "token", name, f"--file={files}/tokens")
            (files / name).write_bytes(done.stdout)
        (files / "auth.pbtxt").write_text('token_file: "tokens"\nrule { principal: "token:reader" allow: [PREDICT, STATUS] }\n')
        m.serve(8507, *flags, f"--auth_config_file={files}/auth.pbtxt")
        m.serve(8509, "--extra_routes=false")
        m.start(sys.executable, "-c", "import socket; s=socket.create_server(('%s', 8508));\n"
                "while True: c,_=s.accept(); c.sendall(b'SSH-2.0-OpenSSH_9.2\\r\\n'); c.close()" % SERVER, port=8508)
        yield m
    finally:
        m.end()


@pytest.fixture(autouse=True)
def open_door(machines):
    machines.firewall("")


def at(port):
    return f"{SERVER}:{port}"


def expect(machines, status, sentence, *args):
    code, out, err = machines.check("--from-outside", *map(str, args))
    assert code == status and sentence in out + err, f"{code}\n{out}\n{err}"
    assert status == OK or err.count("\n") == 1, "one sentence"


def test_all_is_well(machines, ca):
    expect(machines, OK, "model: my_model is available", at(8501), "--model=my_model", "--cacert", ca.cert)
    expect(machines, OK, "encryption: TLSv1.3", f"https://{at(8501)}", "--cacert", ca.cert)
    expect(machines, OK, "encryption: none", at(8502), "--model=my_model")
    expect(machines, OK, "ok", f"http://{at(8502)}")


def test_name(machines):
    expect(machines, NAME, "the name has no address", "nowhere.invalid:8501")


def test_no_route(machines):
    expect(machines, ROUTE, "there is no way to", "10.98.0.1:8501")
    machines.firewall("tcp dport 8502 reject with icmp type host-unreachable")
    expect(machines, ROUTE, "there is no way to", at(8502))


def test_wrong_port(machines):
    expect(machines, REFUSED, "nothing listens there (or a firewall sends a reset)", at(8599))
    expect(machines, REFUSED, "nothing listens there (or a firewall sends a reset)", f"[{SERVER6}]:8502")
    machines.firewall("tcp dport 8599 reject with tcp reset")  # which looks the same
    expect(machines, REFUSED, "refuses connections to port 8599", at(8599))


@pytest.mark.parametrize("how", ["", "with icmpx type port-unreachable", "with icmp type host-prohibited",
                                 "with icmp type net-prohibited", "with icmp type admin-prohibited"])
def test_rejected(machines, how):
    machines.firewall(f"tcp dport 8502 reject {how}")
    expect(machines, REJECTED, f"a firewall rejects connections to {SERVER} ({SERVER}) port 8502, at {SERVER}", at(8502))
    expect(machines, REJECTED, "a firewall rejects connections", at(8502), "--timeout-s=0")
    expect(machines, OK, "ok", f"http://{at(8509)}")  # and no other


@pytest.mark.parametrize("how", ["", "with icmpx type admin-prohibited", "with icmpv6 type admin-prohibited"])
def test_rejected_over_ipv6(machines, how):
    machines.firewall(f"tcp dport 8502 reject {how}")
    expect(machines, REJECTED, f"({SERVER6}) port 8502, at {SERVER6}, which says so", f"[{SERVER6}]:8502")


def test_dropped(machines):
    machines.firewall("tcp dport 8502 drop")
    expect(machines, FILTERED, "within 1 s: a firewall on the way drops the packets", at(8502), "--timeout-s=1")


def test_no_such_machine(machines):
    code, _, err = machines.check("--from-outside", "10.99.77.9:8501", "--timeout-s=1")
    assert code in (FILTERED, ROUTE), err


def test_dropped_after_the_connection(machines, ca):
    # What a broken middle box does: the connection is made, and then nothing comes back.
    machines.firewall("tcp dport 8501 tcp flags & (psh | ack) == psh | ack drop")
    expect(machines, TLS, "no answer in time", at(8501), "--cacert", ca.cert, "--timeout-s=1")


def test_plain_http_to_the_https_port(machines):
    expect(machines, IS_HTTPS, "speaks HTTPS, not HTTP: use https://", f"http://{at(8501)}")


def test_https_to_the_plain_port(machines, ca):
    expect(machines, NO_TLS, "does not speak TLS", f"https://{at(8502)}")
    expect(machines, NO_TLS, "does not speak TLS", at(8502), "--cacert", ca.cert)


def test_expired(machines, ca):
    expect(machines, EXPIRED, "has expired", at(8506), "--cacert", ca.cert)


def test_wrong_name(machines, ca):
    expect(machines, WRONG_NAME, "is for another name", at(8504), "--cacert", ca.cert)


def test_unknown_authority(machines, ca):
    expect(machines, UNKNOWN_CA, "nobody whom", at(8505), "--cacert", ca.cert)
    expect(machines, UNKNOWN_CA, "nobody whom this machine trusts", at(8501))


def test_client_certificate(machines, ca, files):
    alice, mallory = ca.issue("alice"), Authority(files, "other_ca").issue("mallory")
    with_ca = ("--cacert", ca.cert)
    expect(machines, CLIENT_CERT, "asks for a client certificate", at(8503), *with_ca)
    expect(machines, CLIENT_CERT, "refuses our client certificate", at(8503), *with_ca, "--cert", mallory[0], "--key", mallory[1])
    expect(machines, OK, "ok", at(8503), *with_ca, "--cert", alice[0], "--key", alice[1], "--model=my_model")


def test_token(machines, ca, files):
    ask = (at(8507), "--cacert", ca.cert, "--model=my_model")
    (files / "bad").write_text("slt_0000000000000000000000000000000000000000000\n")
    expect(machines, AUTH, "wants to know who asks: give --token-file FILE", *ask)
    expect(machines, AUTH, "refuses the token", *ask, f"--token-file={files}/bad")
    expect(machines, OK, "model: my_model is available", *ask, f"--token-file={files}/reader")
    expect(machines, PERMISSION, "we may not see model my_model", *ask, f"--token-file={files}/other")
    expect(machines, FILE, "No such file", *ask, f"--token-file={files}/nothing")


def test_token_without_a_model(machines, ca, files):
    ask = (at(8507), "--cacert", ca.cert)
    (files / "bad").write_text("slt_0000000000000000000000000000000000000000000\n")
    expect(machines, AUTH, "wants to know who asks: give --token-file FILE", *ask)
    expect(machines, AUTH, "refuses the token", *ask, f"--token-file={files}/bad")
    expect(machines, OK, "ok", *ask, f"--token-file={files}/reader")
    expect(machines, PERMISSION, "we may not ask for anything", *ask, f"--token-file={files}/other")
    expect(machines, OK, "ok", at(8501), "--cacert", ca.cert, f"--token-file={files}/bad")  # where nobody looks at it
    expect(machines, OK, "ok", f"http://{at(8509)}")  # without /v2


def test_model(machines, ca):
    expect(machines, MODEL, "the server has no model nope", at(8501), "--cacert", ca.cert, "--model=nope")


def test_another_server(machines):
    expect(machines, NOT_HTTP, "does not speak HTTP", f"http://{at(8508)}")
    expect(machines, NOT_HTTP, "does not speak HTTP", at(8508))


# ---- the rules of docs/security.md ----

SERVER6, CLIENT6, STRANGE, STRANGER, STRANGE6, STRANGER6 = (
    "fd99:77::1", "fd99:77::2", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2")
LISTENS = "import socket, sys\ns = socket.create_server(('::', int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)\n" \
          "while True: s.accept()[0].close()"
CONNECTS = """import socket, sys
source, host, *ports = sys.argv[1:]
for port in ports:
    try:
        socket.create_connection((host, int(port)), timeout=1, source_address=(source, 0)).close()
        print(port)
    except OSError:
        pass
"""


@pytest.fixture(scope="module")
def documented():
    """A machine with a server behind the rules of the documentation, word for word."""
    rules = re.search(r"```\n(# nftables.*?)```", (served.ROOT / "docs/security.md").read_text(), re.S)[1]
    m = Machines("d")
    try:
        for name, addresses in ((m.a, (SERVER6, STRANGE, STRANGE6)), (m.b, (CLIENT6, STRANGER, STRANGER6))):
            for address in addresses:
                size, more = ("64", ["nodad"]) if ":" in address else ("24", [])
                sh("ip", "-n", name, "address", "add", f"{address}/{size}", "dev", "eth0", *more)
        m.start(served.SLUICE, "serve", "--rest_api_port=8501", "--port=8500", "--model_name=my_model",
                f"--model_base_path={served.ROOT / 'examples/models/my_model'}", port=8501)
        for port in (22, 8502, 9000):
            m.start(sys.executable, "-c", LISTENS, port, port=port)
        m.start(sys.executable, "-c", LISTENS, 9000, port=9000, on=m.b)
        m.rules = rules
        yield m
    finally:
        m.end()


def load(m, rules):
    sh("ip", "netns", "exec", m.a, "nft", "-f", "-", input=rules.encode())
    for name in (m.a, m.b):  # they have to find each other anew
        sh("ip", "-n", name, "neigh", "flush", "dev", "eth0")


def reached(m, source, host):
    return sh("ip", "netns", "exec", m.b, sys.executable, "-c", CONNECTS, source, host, 22, 8500, 8501, 8502, 9000).split()


def test_the_documented_rules_open_what_they_say_and_nothing_else(documented):
    m = documented
    sh("ip", "netns", "exec", m.a, "nft", "flush", "ruleset")
    everything = ["22", "8500", "8501", "8502", "9000"]
    pairs = ((CLIENT, SERVER), (CLIENT6, SERVER6), (STRANGER, STRANGE), (STRANGER6, STRANGE6))
    for source, host in pairs:
        assert reached(m, source, host) == everything, "without rules"
    for _ in range(2):  # a second time takes the place of the first
        load(m, m.rules)
    assert sh("ip", "netns", "exec", m.a, "nft", "list", "ruleset").count("dport 22 accept") == 1
    for source, host in pairs:
        inside = source in (CLIENT, CLIENT6)
        assert reached(m, source, host) == (["22", "8500", "8501"] if inside else ["22"]), source
    for host in (SERVER, f"[{SERVER6}]"):
        expect(m, OK, "model: my_model is available", f"http://{host}:8501", "--model=my_model")
        expect(m, FILTERED, "a firewall on the way drops the packets", f"http://{host}:9000", "--timeout-s=1")
    # What the machine itself asks for is answered.
    for source, host in ((SERVER, CLIENT), (SERVER6, CLIENT6)):
        assert sh("ip", "netns", "exec", m.a, sys.executable, "-c", CONNECTS, source, host, 9000).split() == ["9000"]


def test_without_neighbour_discovery_nobody_comes_in_by_ipv6(documented):
    """That the test above would notice."""
    m = documented
    without = "".join(line + "\n" for line in m.rules.splitlines() if "nd-neighbor" not in line)
    assert without != m.rules + "\n"
    load(m, without)
    assert reached(m, CLIENT, SERVER) == ["22", "8500", "8501"]
    assert reached(m, CLIENT6, SERVER6) == []
    load(m, m.rules)
    assert reached(m, CLIENT6, SERVER6) == ["22", "8500", "8501"]
