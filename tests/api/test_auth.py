"""Who may come in, and how much: the running server with an --auth_config_file."""
import http.client
import json
import signal
import socket
import subprocess
import time

import pytest

from conftest import ROOT, SLUICE, free_port, model_config
from test_server import until

MODELS = model_config(("my_model", ROOT / "examples/models/my_model"), ("digits", ROOT / "examples/models/digits"))
PATH = "/v1/models/my_model:predict"
ROW = '{"instances": [[1.0, 2.0, 3.0]]}'
RULES = """
token_file: "tokens"
rule { principal: "token:ci" allow: [PREDICT, STATUS] model: "my_*" }
rule { principal: "token:boss" allow: [PREDICT, METADATA, STATUS, METRICS, ADMIN] }
"""


def run(*args, **kw):
    return subprocess.run([SLUICE, *map(str, args)], capture_output=True, text=True, timeout=60, **kw)


def make_token(directory, name, *flags):
    done = run("token", name, f"--file={directory}/tokens", *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


class Guarded:
    def __init__(self, directory, start, rules=RULES):
        self.directory, self.ci, self.boss = directory, make_token(directory, "ci"), make_token(directory, "boss")
        self.file = directory / "auth.pbtxt"
        self.file.write_text(rules)
        self.server = start(f"--auth_config_file={self.file}", "--access_log=all", config=MODELS)
        self.ask = self.server.ask

    def rewrite(self, path, text):
        new = self.directory / "new"
        new.write_text(text)
        new.rename(path)


@pytest.fixture
def guarded(start, tmp_path):
    return Guarded(tmp_path, start)


def test_who_shows_nothing_is_asked_for_a_token_and_whom_the_rules_do_not_name_is_refused(guarded):
    got = guarded.ask("POST", PATH, ROW)
    assert got.status == 401 and got.headers["WWW-Authenticate"].startswith("Bearer")
    assert "Authorization: Bearer" in json.loads(got.text)["error"]
    assert guarded.ask("POST", PATH, ROW, bearer("slt_" + "A" * 43)).status == 401
    assert guarded.ask("POST", PATH, ROW, bearer(guarded.ci)).status == 200
    assert guarded.ask("GET", "/v1/models/my_model", headers=bearer(guarded.ci)).status == 200
    got = guarded.ask("GET", "/v1/models/my_model/metadata", headers=bearer(guarded.ci))
    assert got.status == 403 and json.loads(got.text)["error"] == \
        'token:ci has no permission "metadata" for model my_model'
    got = guarded.ask("POST", "/v1/models/digits:predict", ROW, bearer(guarded.ci))
    assert got.status == 403, got.text
    # Whether there is such a model is not told.
    got = guarded.ask("POST", "/v1/models/nothing:predict", ROW, bearer(guarded.ci))
    assert got.status == 403, got.text
    assert guarded.ask("GET", "/v1/models/digits/metadata", headers=bearer(guarded.boss)).status == 200


def test_probes_stay_open_and_metrics_need_a_permission(guarded):
    for path in ("/healthz", "/readyz", "/startupz"):
        assert guarded.ask("GET", path).status == 200
    assert guarded.ask("GET", "/metrics").status == 401
    assert guarded.ask("GET", "/metrics", headers=bearer(guarded.ci)).status == 403
    assert guarded.ask("GET", "/metrics", headers=bearer(guarded.boss)).status == 200


def test_a_large_body_of_a_stranger_is_not_read(guarded):
    with socket.create_connection(("127.0.0.1", guarded.server.port), timeout=30) as s:
        s.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000\r\n\r\n[" % PATH.encode())
        reply = s.recv(65536)
        assert reply.startswith(b"HTTP/1.1 401 "), reply
        s.shutdown(socket.SHUT_WR)
    with socket.create_connection(("127.0.0.1", guarded.server.port), timeout=30) as s:
        s.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % PATH.encode())
        assert s.recv(65536).startswith(b"HTTP/1.1 401 ")
    body = json.dumps({"instances": [[1.0, 2.0, 3.0]] * 20000})
    assert guarded.ask("POST", PATH, body, bearer(guarded.ci)).status == 200
    assert guarded.ask("POST", PATH, body).status == 401


def test_the_open_inference_protocol_asks_for_the_same_permissions(guarded):
    infer = "/v2/models/my_model/infer"
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]})
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert guarded.ask("GET", path).status == 200
    got = guarded.ask("POST", infer, body)
    assert got.status == 401 and got.headers["WWW-Authenticate"].startswith("Bearer")
    assert guarded.ask("POST", infer, body, bearer(guarded.ci)).status in (200, 400)
    for method, path in (("GET", "/v2/models/my_model"), ("GET", "/v2/models/digits/ready"),
                         ("POST", "/v2/models/digits/infer"), ("POST", "/v2/models/nothing/infer"),
                         ("POST", "/v2/repository/models/my_model/unload")):
        assert guarded.ask(method, path, body, bearer(guarded.ci)).status == 403, path
    index = guarded.ask("POST", "/v2/repository/index", "{}", bearer(guarded.ci))
    assert {m["name"] for m in json.loads(index.text)} == {"my_model"}
    assert guarded.ask("POST", "/v2/repository/models/my_model/load", "", bearer(guarded.boss)).status == 200
    with socket.create_connection(("127.0.0.1", guarded.server.port), timeout=30) as s:
        s.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000\r\n\r\n[" % infer.encode())
        assert s.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_no_secret_gets_into_the_log_and_the_file_holds_none(guarded):
    guarded.ask("POST", PATH, ROW, bearer(guarded.ci))
    guarded.ask("POST", PATH, ROW, bearer("slt_notatoken"))
    log, tokens = guarded.server.log, (guarded.directory / "tokens").read_text()
    for secret in (guarded.ci, guarded.boss, "slt_notatoken"):
        assert secret not in log and secret not in tokens
    assert (guarded.directory / "tokens").stat().st_mode & 0o777 == 0o600


def test_files_are_read_again_when_they_change_and_a_broken_one_changes_nothing(guarded):
    tokens = guarded.directory / "tokens"
    lines = tokens.read_text().splitlines()
    guarded.rewrite(tokens, "\n".join(line for line in lines if not line.startswith("ci ")) + "\n")
    until(lambda: guarded.ask("POST", PATH, ROW, bearer(guarded.ci)).status == 401)
    assert guarded.ask("POST", PATH, ROW, bearer(guarded.boss)).status == 200
    guarded.rewrite(guarded.file, RULES + "rule { principal: 'x' }")
    guarded.server.wait_for("permissions stay as they were")
    assert "rule 3 allows nothing" in guarded.server.log
    assert guarded.ask("POST", PATH, ROW, bearer(guarded.boss)).status == 200
    guarded.rewrite(guarded.file, RULES + "rule { principal: 'anonymous' allow: PREDICT }")
    guarded.server.process.send_signal(signal.SIGHUP)
    until(lambda: guarded.ask("POST", PATH, ROW).status == 200)


def in_place(path, text):
    """As an editor or a shell writes: the same file, cut to nothing first."""
    with open(path, "w") as f:
        f.write(text)


@pytest.mark.parametrize("left, why", [("", "there is nothing in it"), ("# rules\n", "there is nothing in it"),
                                       ("allow_network: '0.0.0.0/0'\n", "no identities")])
def test_a_file_that_lost_its_identities_opens_nothing(guarded, left, why):
    in_place(guarded.file, left)
    guarded.server.wait_for("permissions stay as they were")
    assert why in guarded.server.log
    guarded.server.process.send_signal(signal.SIGHUP)
    time.sleep(1.5)
    assert guarded.ask("POST", PATH, ROW).status == 401
    assert guarded.ask("POST", PATH, ROW, bearer(guarded.ci)).status == 200
    assert guarded.server.log.count("permissions read from") == 0
    in_place(guarded.file, RULES + "rule { principal: 'anonymous' allow: PREDICT }")
    until(lambda: guarded.ask("POST", PATH, ROW).status == 200)


def test_a_file_is_read_when_it_stands_still(guarded):
    """Each part is good by itself: what a writer has not come to yet must not be missing meanwhile."""
    for i in range(25):
        in_place(guarded.file, RULES + f"rule {{ principal: 'anonymous' allow: PREDICT }} # {i}\n")
        assert guarded.ask("POST", PATH, ROW).status == 401
        time.sleep(0.1)
        with open(guarded.file, "a") as f:
            f.write("deny_network: '127.0.0.0/8'\n")
        time.sleep(0.1)
    in_place(guarded.file, RULES + "rule { principal: 'anonymous' allow: STATUS }")
    until(lambda: guarded.ask("GET", "/v1/models/my_model").status == 200)
    assert guarded.ask("POST", PATH, ROW).status == 401
    assert guarded.server.log.count("permissions read from") == 1


def test_a_file_that_has_an_end_does_not_lose_it(guarded):
    whole = RULES + "deny_network: '10.0.0.0/8'\nend: true\n"
    in_place(guarded.file, whole)
    guarded.server.wait_for("permissions read from")
    in_place(guarded.file, RULES)  # a disk that is full: the rest never comes
    guarded.server.wait_for("permissions stay as they were")
    assert '"end: true" is missing' in guarded.server.log
    in_place(guarded.file, "end: true\n" + RULES)
    until(lambda: 'something stands behind "end: true"' in guarded.server.log)
    in_place(guarded.file, whole + "# the same\n")
    until(lambda: guarded.server.log.count("permissions read from") == 2)


def test_a_rate_is_held_to_with_a_time_to_come_back(start, tmp_path):
    guarded = Guarded(tmp_path, start, RULES + "limit { per: PRINCIPAL principal: 'token:ci' requests_per_second: 0.01 burst: 3 }")
    for _ in range(3):
        assert guarded.ask("POST", PATH, ROW, bearer(guarded.ci)).status == 200
    got = guarded.ask("POST", PATH, ROW, bearer(guarded.ci))
    assert got.status == 429 and 1 <= int(got.headers["Retry-After"]) <= 101
    assert guarded.ask("POST", PATH, ROW, bearer(guarded.boss)).status == 200


def test_an_expired_token_says_so(guarded):
    assert run("token", "x", f"--file={guarded.directory}/tokens", "--expires=2020-01-01").returncode == 2
    token = make_token(guarded.directory, "late", "--expires=1h")
    tokens = guarded.directory / "tokens"
    text = tokens.read_text()
    name, digest, _ = text.splitlines()[-1].split()
    guarded.rewrite(tokens, "\n".join([*text.splitlines()[:-1], f"{name} {digest} 2020-01-01T00:00:00Z"]) + "\n")
    until(lambda: "has expired" in guarded.ask("POST", PATH, ROW, bearer(token)).text)


def test_a_bad_file_stops_the_start_with_its_place(tmp_path):
    file = tmp_path / "auth.pbtxt"
    for text, says in (("", "there is nothing in it"), ("rule { principle: 'x' }", "auth.pbtxt': 1:"), ("token_file: 'nowhere'", "nowhere"),
                       ("allow_network: '10.0.0.0/40'", "10.0.0.0/40")):
        file.write_text(text)
        for command in ("serve", "check"):
            done = run(command, f"--auth_config_file={file}", "--rest_api_port=0", "--rest_address=127.0.0.1:0",
                       f"--model_base_path={ROOT}/examples/models/my_model")
            assert done.returncode == 1, done.stdout
            assert says in done.stderr, done.stderr
            assert "auth.pbtxt" in done.stderr, done.stderr


def test_can_explains_a_decision(guarded):
    flag = f"--auth_config_file={guarded.file}"
    done = run("can", "token:ci", "predict", "my_model", flag)
    assert done.returncode == 0 and done.stdout == "yes: token:ci may, by rule 1\n"
    done = run("can", "-", "metadata", "my_model", flag, input=guarded.ci + "\n")
    assert done.returncode == 1 and done.stdout == 'no: token:ci has no permission "metadata" for model my_model\n'
    done = run("can", guarded.ci, "predict", "my_model", flag)
    assert done.returncode == 2 and "standard input" in done.stderr
    assert run("can", "token:ci", "fly", flag).returncode == 2


def test_can_takes_names_with_dots_for_names_and_no_secret_on_the_command_line(tmp_path):
    make_token(tmp_path, "a.b.c")
    file = tmp_path / "auth.pbtxt"
    file.write_text("token_file: 'tokens' client_certificates: true "
                    "rule { principal: ['token:a.b.c', 'cert:web.example.com'] allow: PREDICT }")
    flag = f"--auth_config_file={file}"
    for who in ("token:a.b.c", "cert:web.example.com"):
        done = run("can", who, "predict", "m", flag)
        assert done.returncode == 0 and done.stdout == f"yes: {who} may, by rule 1\n", done
        assert run("can", who, "status", "m", flag).returncode == 1
    jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"
    for secret in (jwt, "slt_" + "A" * 43, f"Bearer {jwt}", "s3cr3t"):
        done = run("can", secret, "predict", "m", flag)
        assert done.returncode == 2 and "standard input" in done.stderr and secret not in done.stdout + done.stderr, done
    done = run("can", "-", "predict", "m", flag, input=jwt + "\n")
    assert done.returncode == 1 and done.stdout == "no: the token is refused: it is not known here\n"
    assert run("can", "anonymous", "predict", "m", flag).returncode == 1


def test_a_token_gets_a_line_of_its_own(tmp_path):
    tokens = tmp_path / "tokens"
    make_token(tmp_path, "one")
    tokens.write_text(tokens.read_text().rstrip("\n"))  # as some editors leave it
    make_token(tmp_path, "two")
    make_token(tmp_path, "three")
    assert [line.split()[0] for line in tokens.read_text().splitlines()] == ["one", "two", "three"]
    (tmp_path / "auth.pbtxt").write_text("token_file: 'tokens' rule { principal: '*' allow: PREDICT }")
    done = run("can", "token:two", "predict", f"--auth_config_file={tmp_path}/auth.pbtxt")
    assert done.returncode == 0, done


def test_the_admin_interface_needs_the_permission_and_may_then_be_anywhere(tmp_path, start):
    port = free_port()
    ci, boss = make_token(tmp_path, "ci"), make_token(tmp_path, "boss")
    (tmp_path / "auth.pbtxt").write_text(RULES)
    server = start(f"--auth_config_file={tmp_path}/auth.pbtxt", f"--admin_address=0.0.0.0:{port}", config=MODELS)

    def ask(method, headers=None, body=None):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        c.request(method, "/sluice/v1/config", body, {"Host": "models.example", **(headers or {})})
        reply = c.getresponse()
        return reply.status, reply.read(), reply.headers

    status, _, headers = ask("GET")
    assert status == 401 and headers["WWW-Authenticate"].startswith("Bearer")
    assert ask("GET", bearer(ci))[0] == 403
    assert ask("GET", bearer(boss))[0] == 200
    assert ask("POST", bearer(ci), MODELS)[0] == 403
    assert ask("POST", bearer(boss), MODELS)[0] == 200
    server.wait_for("configuration posted by token:boss from 127.0.0.1")


# ---- connections, and proxies that connect for others ----

V2 = b"\r\n\r\n\0\r\nQUIT\n"


def proxied(address, port=4711):
    """A PROXY header, version 2, of a client with this IPv4 address."""
    return V2 + b"\x21\x11\0\x0c" + socket.inet_aton(address) + socket.inet_aton("198.51.100.1") + \
        port.to_bytes(2, "big") + (443).to_bytes(2, "big")


def ask_through(server, front, pieces=1):
    request = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(ROW)}\r\n\r\n{ROW}".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
        data = front + request
        step = max(1, len(front) // pieces)
        got = b""
        try:
            for i in range(0, len(front), step):
                s.sendall(data[i:i + step])
                time.sleep(0.01 if pieces > 1 else 0)
            s.sendall(data[(len(front) + step - 1) // step * step:])
            while piece := s.recv(65536):
                got += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
        return got


def test_a_trusted_proxy_says_for_whom_it_connects(start, tmp_path):
    file = tmp_path / "auth.pbtxt"
    file.write_text("trusted_proxy: '127.0.0.1' deny_network: '203.0.113.0/24'")
    server = start(f"--auth_config_file={file}", "--access_log=all", config=MODELS)
    for pieces in (1, 5, 28):
        assert ask_through(server, proxied("192.0.2.7"), pieces).startswith(b"HTTP/1.1 200 ")
    assert ask_through(server, b"PROXY TCP4 192.0.2.8 198.51.100.1 4712 443\r\n").startswith(b"HTTP/1.1 200 ")
    assert ask_through(server, V2 + b"\x20\0\0\0").startswith(b"HTTP/1.1 200 ")  # the proxy's own check
    assert ask_through(server, b"").startswith(b"HTTP/1.1 200 ")  # a proxy that sends none
    assert ask_through(server, proxied("203.0.113.9")) == b""  # a denied network
    assert ask_through(server, V2 + b"\x11\x11\0\0") == b""  # malformed
    until(lambda: "192.0.2.7:4711" in server.log and "192.0.2.8:4712" in server.log)


def test_nobody_else_is_believed(start, tmp_path):
    file = tmp_path / "auth.pbtxt"
    file.write_text("trusted_proxy: '192.0.2.1'")
    server = start(f"--auth_config_file={file}", config=MODELS)
    assert ask_through(server, proxied("192.0.2.7")).startswith(b"HTTP/1.1 400 ")


def test_an_address_has_so_many_connections_at_the_same_time(start, tmp_path):
    file = tmp_path / "auth.pbtxt"
    file.write_text("connections_per_address: 3")
    server = start(f"--auth_config_file={file}", config=MODELS)
    held = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(3)]
    for s in held:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.recv(65536).startswith(b"HTTP/1.1 200 ")
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as more:
        assert more.recv(10) == b""
    held.pop().close()

    def served():
        try:
            return server.ask("GET", "/healthz").status == 200
        except OSError:
            return False
        except Exception as e:  # http.client's RemoteDisconnected and BadStatusLine
            assert "http.client" in type(e).__module__, e
            return False
    until(served)
    for s in held:
        s.close()


def test_a_denied_network_does_not_get_as_far_as_a_request(start, tmp_path):
    file = tmp_path / "auth.pbtxt"
    file.write_text("allow_network: '0.0.0.0/0'")
    server = start(f"--auth_config_file={file}", config=MODELS)
    assert server.ask("GET", "/healthz").status == 200
    new = tmp_path / "new"
    new.write_text("deny_network: '127.0.0.0/8'")
    new.rename(file)
    server.wait_for("permissions read from")

    def closed():
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
            return s.recv(10) == b""
    until(closed)


def test_what_is_refused_before_it_is_a_call_has_its_line_in_the_access_log(start, tmp_path):
    file = tmp_path / "auth.pbtxt"
    make_token(tmp_path, "ci")
    file.write_text("token_file: 'tokens' rule { principal: 'token:ci' allow: PREDICT }")
    server = start(f"--auth_config_file={file}", "--access_log=errors", config=MODELS)
    server.raw(b"NONSENSE\r\n\r\n")
    server.raw(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx" % PATH.encode())
    server.raw(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n[" % PATH.encode(), half_close=True)

    def lines():
        return [line for line in server.log.splitlines() if "status=4" in line]
    until(lambda: len(lines()) >= 3)
    nonsense, lengths, stranger = lines()[:3]
    assert 'method="-" path="-"' in nonsense and "status=400" in nonsense and "127.0.0.1:" in nonsense, nonsense
    assert "status=400" in lengths, lengths
    assert f'path="{PATH}"' in stranger and "status=401" in stranger and "credentials are needed" in stranger, stranger


def test_credentials_in_the_clear_are_remarked(start, tmp_path):
    make_token(tmp_path, "ci")
    (tmp_path / "auth.pbtxt").write_text("token_file: 'tokens' rule { principal: 'token:ci' allow: PREDICT }")
    for flags, remarked in (((), True), (("--rest_address=127.0.0.1:0",), False)):
        server = start(f"--auth_config_file={tmp_path}/auth.pbtxt", *flags, config=MODELS)
        assert ("is not encrypted: whoever is on the way reads the credentials" in server.log) == remarked
