"""HTTPS as clients see it: openssl, curl, requests; certificates that change while requests run."""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest
import requests

from certificates import Authority, openssl, ssl_config
from conftest import ROOT, SLUICE, Server, free_port, model_config

CONFIG = model_config(("my_model", ROOT / "examples/models/my_model"),
                      ("ident_int32", ROOT / "tests/compat/models/ident_int32"))
PATH = "/v1/models/my_model:predict"
BODY = {"instances": [[1.0, 2.0, 3.0]]}
ANSWER = {"predictions": [[4.75]]}


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def pair(ca):
    return ca.issue("server")


@pytest.fixture(scope="module")
def alice(ca):
    return ca.issue("alice", san="DNS:alice.example,URI:spiffe://cluster/alice")


def tls_flags(pair, *more):
    return [f"--tls_cert_file={pair[0]}", f"--tls_key_file={pair[1]}", *more]


@pytest.fixture(scope="module")
def server(pair):
    s = Server(*tls_flags(pair, "--tls_handshake_timeout_s=1", "--access_log=all"), config=CONFIG)
    yield s
    assert s.stop() == 0


@pytest.fixture(scope="module")
def strict(pair, ca):
    """Wants certificates of clients."""
    s = Server(*tls_flags(pair, f"--tls_client_ca_file={ca.cert}", "--access_log=all"), config=CONFIG)
    yield s
    assert s.stop() == 0


def url(server, path=PATH):
    return f"https://localhost:{server.port}{path}"


def ask(server, ca, **kw):
    return requests.post(url(server), json=BODY, verify=str(ca.cert), timeout=20, **kw)


def context(ca, cert=None):
    c = ssl.create_default_context(cafile=ca.cert)
    if cert:
        c.load_cert_chain(*cert)
    return c


def dial(server, ca, cert=None):
    s = socket.create_connection(("localhost", server.port), timeout=20)
    return context(ca, cert).wrap_socket(s, server_hostname="localhost")


def s_client(server, *args, data=b"Q\n", timeout=20):
    done = subprocess.run(["openssl", "s_client", "-connect", f"localhost:{server.port}", *map(str, args)],
                          input=data, capture_output=True, timeout=timeout)
    return (done.stdout + done.stderr).decode("utf-8", "replace")


def metric(server, ca, name, cert=None):
    text = requests.get(url(server, "/metrics"), verify=str(ca.cert), timeout=20, cert=cert).text
    return sum(float(v) for v in re.findall(rf"^{re.escape(name)} (\S+)$", text, re.M))


# ---- clients ----

def test_requests_predicts(server, ca):
    got = ask(server, ca)
    assert got.status_code == 200 and got.json() == ANSWER
    assert requests.get(url(server, "/healthz"), verify=str(ca.cert)).text == "ok\n"


def test_curl_predicts(server, ca):
    for version in ("--tlsv1.2 --tls-max 1.2", "--tlsv1.3"):
        done = subprocess.run(["curl", "-sS", *version.split(), "--cacert", ca.cert, url(server), "-d", json.dumps(BODY)],
                              capture_output=True, timeout=20)
        assert json.loads(done.stdout) == ANSWER, done.stderr


def test_curl_speaks_http2(server, ca):
    done = subprocess.run(["curl", "-sS", "--http2", "--cacert", ca.cert, "-w", "%{http_version}", url(server), "-d",
                           json.dumps(BODY)], capture_output=True, timeout=20, text=True)
    assert json.loads(done.stdout[:-1]) == ANSWER and done.stdout[-1] == "2", done.stderr


def test_a_client_without_the_authority_refuses(server):
    with pytest.raises(requests.exceptions.SSLError):
        requests.post(url(server), json=BODY, timeout=20)


def test_a_client_refuses_a_wrong_name(server, ca):
    done = subprocess.run(["curl", "-sS", "--cacert", ca.cert, "--connect-to", f"elsewhere:443:localhost:{server.port}",
                           "https://elsewhere/healthz"], capture_output=True, timeout=20)
    assert done.returncode == 60 and b"elsewhere" in done.stderr


def test_version_and_cipher(server, ca):
    for version, expected in (("-tls1_2", "ECDHE-ECDSA-AES128-GCM-SHA256"), ("-tls1_3", "TLS_AES_128_GCM_SHA256")):
        text = s_client(server, version, "-CAfile", ca.cert)
        assert f"Cipher is {expected}" in text and "Verify return code: 0 (ok)" in text
        assert "Compression: NONE" in text


def test_alpn(server):
    assert "ALPN protocol: http/1.1" in s_client(server, "-alpn", "http/1.1")
    assert "ALPN protocol: h2" in s_client(server, "-alpn", "http/1.1,h2")
    assert "No ALPN negotiated" in s_client(server)
    assert "no application protocol" in s_client(server, "-alpn", "spdy/1")


@pytest.mark.parametrize("args", [
    ["-tls1"], ["-tls1_1"], ["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
    ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"]], ids=" ".join)
def test_what_is_old_is_refused(server, args):
    text = s_client(server, *args, *(["-cipher", "ALL:@SECLEVEL=0"] if len(args) == 1 else []))
    assert "Cipher is (NONE)" in text and "alert" in text


def test_renegotiation_is_refused(server):
    # s_client renegotiates at a line "R".
    text = s_client(server, "-tls1_2", data=b"R\n")
    assert "no renegotiation" in text


def test_a_session_is_resumed(server, tmp_path):
    for version in ("-tls1_2", "-tls1_3"):
        saved = tmp_path / f"session{version}"
        request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        first = s_client(server, version, "-sess_out", saved, "-ign_eof", data=request)
        again = s_client(server, version, "-sess_in", saved, "-ign_eof", data=request)
        assert "New, TLSv" in first and "Reused, TLSv" in again


# ---- the wrong protocol ----

def test_plain_http_to_a_tls_port_is_told_so(server):
    reply = server.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b"this port speaks HTTPS: use https://" in reply


def test_tls_to_a_plain_port_is_in_the_log(servers):
    plain = servers(config=CONFIG)
    with pytest.raises(ssl.SSLError), socket.create_connection(("localhost", plain.port)) as s:
        ssl._create_unverified_context().wrap_socket(s)
    plain.wait_for("a client speaks TLS to a port of plain HTTP")


# ---- bytes ----

def test_large_bodies_both_ways(server, ca):
    rows = [[float(i % 10), 1.0, 2.0] for i in range(200_000)]
    got = requests.post(url(server), json={"instances": rows}, verify=str(ca.cert), timeout=60)
    predictions = got.json()["predictions"]
    assert len(predictions) == len(rows) and predictions[:10] == predictions[10:20]
    body = gzip_body = json.dumps({"instances": list(range(1_000_000))}).encode()
    got = requests.post(url(server, "/v1/models/ident_int32:predict"), data=gzip_body, verify=str(ca.cert), timeout=60)
    assert got.json()["predictions"] == json.loads(body)["instances"]


def test_pipelining(server, ca):
    with dial(server, ca) as s:
        body = json.dumps(BODY).encode()
        one = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (PATH.encode(), len(body), body)
        s.sendall(one * 49 + one.replace(b"Host: x", b"Connection: close"))
        got = b""
        while piece := s.recv(65536):
            got += piece
    assert got.count(b"HTTP/1.1 200 OK") == 50 and got.count(b"4.75") == 50


def test_bodies_cut_anywhere(server, ca):
    body = json.dumps(BODY).encode()
    request = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (PATH.encode(), len(body), body)
    for size in (1, 7, 100):
        with dial(server, ca) as s:
            for i in range(0, len(request), size):
                s.sendall(request[i:i + size])
            assert s.recv(65536).startswith(b"HTTP/1.1 200 OK")


# ---- handshakes that do not end ----

def hello():
    """The first flight of a client, and the rest of it never."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl._create_unverified_context().wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("what", ["nothing", "half of a hello", "a hello"])
def test_a_handshake_that_stalls_is_cut(server, ca, what):
    first = {"nothing": b"", "half of a hello": hello()[:40], "a hello": hello()}[what]
    with socket.create_connection(("localhost", server.port), timeout=10) as s:
        s.sendall(first)
        began = time.monotonic()
        while s.recv(65536):
            pass
        assert time.monotonic() - began < 8
    assert ask(server, ca).json() == ANSWER


def test_clients_that_leave_in_the_middle(server, ca):
    whole = hello()
    for cut in range(0, len(whole), 37):
        s = socket.create_connection(("localhost", server.port))
        s.sendall(whole[:cut])
        if cut % 2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
    with dial(server, ca) as s:  # half-open: no more output, and the reply comes
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.recv(65536).endswith(b"ok\n")
        s.shutdown(socket.SHUT_WR)
    assert ask(server, ca).json() == ANSWER


def test_noise(server, ca):
    for data in (b"\x00" * 100, b"\x16\x03\x01\xff\xff" + b"\xff" * 200, b"\x16\x03\x01\x00\x00" * 50, b"\x80\x2e\x01\x00\x02"):
        reply = server.raw(data)
        assert reply == b"" or reply[0] == 0x15
    assert ask(server, ca).json() == ANSWER


# ---- certificates of clients ----

def test_a_client_with_a_certificate_is_served_and_named(strict, ca, alice):
    assert ask(strict, ca, cert=tuple(map(str, alice))).json() == ANSWER
    strict.wait_for('tls="TLSv1.3" tls_client="CN=alice"')


def test_a_client_without_one_is_refused(strict, ca):
    with pytest.raises(requests.exceptions.RequestException):
        ask(strict, ca)
    for version in ("-tls1_2", "-tls1_3"):
        text = s_client(strict, version, "-ign_eof", data=b"GET / HTTP/1.0\r\n\r\n")
        assert "alert certificate required" in text or "alert handshake failure" in text, text
    strict.wait_for("the client sent no certificate")


def test_a_strangers_certificate_is_refused(strict, ca, tmp_path):
    mallory = Authority(tmp_path, "other").issue("mallory")
    with pytest.raises(requests.exceptions.RequestException):
        ask(strict, ca, cert=tuple(map(str, mallory)))


def test_an_expired_certificate_is_refused(strict, ca):
    old = ca.issue("old_client", days=-1)
    with pytest.raises(requests.exceptions.RequestException):
        ask(strict, ca, cert=tuple(map(str, old)))
    text = s_client(strict, "-cert", old[0], "-key", old[1], "-ign_eof", data=b"GET / HTTP/1.0\r\n\r\n")
    assert "alert certificate expired" in text


def test_an_optional_certificate(start, pair, ca, alice):
    s = start(*tls_flags(pair, f"--tls_client_ca_file={ca.cert}", "--tls_client_verify=optional"), config=CONFIG)
    assert ask(s, ca).json() == ANSWER
    assert ask(s, ca, cert=tuple(map(str, alice))).json() == ANSWER


# ---- certificates that change ----

def serial(server):
    with socket.create_connection(("localhost", server.port), timeout=10) as raw:
        with ssl._create_unverified_context().wrap_socket(raw) as s:
            der = s.getpeercert(True)
    return openssl("x509", "-inform", "der", "-noout", "-serial", data=der)


def wait_for_another(server, old, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        new = serial(server)
        if new != old:
            return new
        time.sleep(0.05)
    pytest.fail(f"the certificate is still the old one:\n{server.log}")


class Load:
    """Clients that go on asking: on a connection that is kept, and each time on a new one."""

    def __init__(self, server, ca):
        self.server, self.ca, self.stop, self.failed, self.served = server, ca, threading.Event(), [], 0
        self.threads = [threading.Thread(target=self.run, args=(keep,)) for keep in (True, True, False)]

    def run(self, keep):
        session = requests.Session()
        while not self.stop.is_set():
            try:
                got = session.post(url(self.server), json=BODY, verify=str(self.ca.cert), timeout=20)
                assert got.json() == ANSWER
                self.served += 1
                if not keep:
                    session.close()
            except Exception as e:  # noqa: BLE001: whatever it is, a request failed
                self.failed.append(repr(e))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for t in self.threads:
            t.join()
        assert not self.failed and self.served > 20


def test_changed_files_are_taken_and_nobody_notices(start, ca, tmp_path):
    pair = ca.issue("live", to=tmp_path)
    s = start(*tls_flags(pair), config=CONFIG)
    old = serial(s)
    with Load(s, ca):
        for _ in range(2):
            ca.issue("live", to=tmp_path)  # writes over both
            old = wait_for_another(s, old)
    assert metric(s, ca, ':sluice:tls:reloads{listener="REST",result="ok"}') >= 2


@pytest.mark.parametrize("sandbox", ["default", "strict"])
def test_a_swapped_link_is_taken(start, ca, tmp_path, sandbox):
    """As Kubernetes mounts a secret: tls.crt -> ..data/tls.crt, ..data -> ..2026; ..data is renamed over."""
    def version(name):
        d = tmp_path / name
        d.mkdir()
        cert, key = ca.issue("tls", to=d)
        cert.rename(d / "tls.crt")
        key.rename(d / "tls.key")

    version("..1")
    (tmp_path / "..data").symlink_to("..1")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    s = start(*tls_flags((tmp_path / "tls.crt", tmp_path / "tls.key")), f"--sandbox={sandbox}", config=CONFIG)
    old = serial(s)
    with Load(s, ca):
        version("..2")
        (tmp_path / "..data_tmp").symlink_to("..2")
        os.rename(tmp_path / "..data_tmp", tmp_path / "..data")
        wait_for_another(s, old)


def test_sighup_takes_them_at_once(start, ca, tmp_path):
    pair = ca.issue("live", to=tmp_path)
    s = start(*tls_flags(pair), config=CONFIG)
    old = serial(s)
    ca.issue("live", to=tmp_path)
    s.process.send_signal(signal.SIGHUP)
    wait_for_another(s, old, 5)


def test_broken_files_change_nothing(start, ca, tmp_path):
    cert, key = ca.issue("live", to=tmp_path)
    good = cert.read_bytes()
    s = start(*tls_flags((cert, key)), config=CONFIG)
    old = serial(s)
    cert.write_text("this is not a certificate")
    s.wait_for("REST keeps its certificate; the changed files cannot be used: ")
    assert serial(s) == old
    cert.unlink()
    s.wait_for("No such file or directory")
    assert serial(s) == old and ask(s, ca).json() == ANSWER
    cert.write_bytes(good)
    s.wait_for("new connections use the certificate that")
    assert metric(s, ca, ':sluice:tls:reloads{listener="REST",result="failed"}') >= 2


# ---- the start ----

def refused(*flags):
    done = subprocess.run([SLUICE, "serve", f"--rest_api_port={free_port()}", "--port=0", "--model_name=m",
                           f"--model_base_path={ROOT / 'examples/models/my_model'}", *map(str, flags)],
                          capture_output=True, timeout=30, text=True)
    assert done.returncode == 1, done.stderr
    return done.stderr.splitlines()[-1]


def test_a_mistake_stops_the_start_with_a_sentence(ca, pair, tmp_path):
    other, old = ca.issue("other"), ca.issue("expired", days=-1)
    locked = tmp_path / "locked.key"
    openssl("pkey", "-in", pair[1], "-aes128", "-passout", "pass:secret", "-out", locked)
    gone = tmp_path / "gone.pem"
    assert refused(f"--tls_cert_file={pair[0]}") == "sluice: cannot start: tls_cert_file needs tls_key_file, too"
    assert f"{gone}; No such file or directory" in refused(*tls_flags((gone, pair[1])))
    assert f"{other[1]}: the key does not belong to the certificate in {pair[0]}" in refused(*tls_flags((pair[0], other[1])))
    assert f"{old[0]}: the certificate expired on 20" in refused(*tls_flags(old))
    assert f"{locked}: the key is encrypted with a passphrase" in refused(*tls_flags((pair[0], locked)))
    assert f"{pair[1]}: there is no certificate in it" in refused(*tls_flags((pair[1], pair[0])))
    assert "tls_client_verify needs tls_client_ca_file" in refused(*tls_flags(pair, "--tls_client_verify=required"))
    assert "needs tls_cert_file and tls_key_file" in refused(f"--tls_client_ca_file={ca.cert}")
    assert "needs a certificate" in refused("--rest_address=https://127.0.0.1:0")
    assert "each certificate needs its key" in refused(*tls_flags((f"{pair[0]},{other[0]}", pair[1])))


def test_a_readable_key_is_remarked(start, ca, tmp_path):
    cert, key = ca.issue("open", to=tmp_path)
    key.chmod(0o644)
    s = start(*tls_flags((cert, key)), config=CONFIG)
    assert f"{key} holds a private key and can be read by everybody" in s.log


def test_several_names(start, ca, tmp_path):
    a, b = ca.issue("a", san="DNS:a.example", to=tmp_path), ca.issue("b", san="DNS:*.b.example", to=tmp_path, rsa=True)
    s = start(*tls_flags((f"{a[0]},{b[0]}", f"{a[1]},{b[1]}")), config=CONFIG)
    assert "subject=CN = a\n" in s_client(s)
    assert "subject=CN = b\n" in s_client(s, "-servername", "x.b.example")
    assert "Peer signature type: RSA-PSS" in s_client(s, "-servername", "x.b.example")


def test_an_address_says_what_it_speaks(start, pair, ca):
    plain, tls = free_port(), free_port()
    s = start(*tls_flags(pair), f"--rest_address=http://127.0.0.1:{plain},https://127.0.0.1:{tls}", config=CONFIG)
    assert requests.get(f"http://127.0.0.1:{plain}/healthz").text == "ok\n"
    assert requests.get(f"https://127.0.0.1:{tls}/healthz", verify=str(ca.cert)).text == "ok\n"


def test_metrics(server, ca):
    assert metric(server, ca, ':sluice:tls:handshakes{version="TLSv1.3",resumed="false"}') > 0
    server.raw(b"GET / HTTP/1.0\r\n\r\n")
    assert metric(server, ca, ':sluice:tls:handshake_failures{reason="plain_http"}') > 0
    text = requests.get(url(server, "/metrics"), verify=str(ca.cert)).text
    expiry = float(re.search(r':sluice:tls:certificate_not_after_seconds{listener="REST".*} (\S+)', text)[1])
    assert 8 * 86400 < expiry - time.time() < 11 * 86400
