"""Models come and go: reload by file, by SIGHUP and over the admin interface; labels; canaries."""
import collections
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import time

import pytest

from conftest import ROOT, SLUICE, free_port, model_config

MODELS = ROOT / "tests/models"
HALF = MODELS / "half_plus_two"
MY_MODEL = ROOT / "examples/models/my_model"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Admin:
    """A server whose admin interface is a unix socket."""

    def __init__(self, start, tmp_path, config, *flags, **kw):
        self.socket = str(tmp_path / "admin.sock")
        self.server = start(f"--admin_address=unix:{self.socket}", *flags, config=config, **kw)

    def ask(self, method, path, body=None, **headers):
        c = UnixConnection(self.socket)
        try:
            c.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
            reply = c.getresponse()
            return reply.status, reply.read(), reply.headers
        finally:
            c.close()

    def reload(self, config):
        status, body, _ = self.ask("POST", "/sluice/v1/config", config)
        return status, json.loads(body)

    def models(self):
        status, body, _ = self.ask("GET", "/sluice/v1/models")
        assert status == 200
        return {m["name"]: m for m in json.loads(body)["models"]}

    def predict(self, name="m", where="", headers=None):
        """The number of the version that answered."""
        reply = self.server.ask("POST", f"/v1/models/{name}{where}:predict", '{"instances": [1.0]}', headers)
        assert reply.status == 200, reply.text
        return int(reply.headers["x-sluice-version"])


def until(true, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def versions(tmp_path):
    """A model with the versions 1, 2 and 3."""
    source = next(p for p in HALF.iterdir() if p.is_dir())
    for n in (1, 2, 3):
        shutil.copytree(source, tmp_path / "m" / str(n))
    return tmp_path / "m"


def config(base, *more):
    return model_config(("m", base, "model_version_policy { specific { versions: [1, 2, 3] } }", *more))


# ---- the admin interface ----

def test_a_reload_answers_when_the_new_models_serve(start, tmp_path, versions):
    admin = Admin(start, tmp_path, model_config(("my_model", MY_MODEL)))
    status, report = admin.reload(model_config(("my_model", MY_MODEL), ("m", versions)))
    assert status == 200
    assert report == {"result": "applied", "code": "OK", "models": [
        {"name": "my_model", "change": "unchanged", "state": "available"},
        {"name": "m", "change": "added", "state": "available"}]}
    assert admin.predict() == 3
    status, report = admin.reload(model_config(("m", versions)))
    assert status == 200 and report["models"][1] == {"name": "my_model", "change": "removed", "state": "removed"}
    assert admin.server.ask("GET", "/v1/models/my_model/metadata").status == 404


@pytest.mark.parametrize("wrong, place", [
    ('model_config_list {\n  config { nam: "m" }\n}', '2:12: message ModelConfig has no field named "nam"'),
    ('model_config_list { config { name: "m" base_path: "x" model_platform: "tensorflow" } }', "absolute path"),
    (model_config(("a", "/a"), ("a", "/b")), "Illegal to list model a multiple times"),
    (model_config(("a", "/a", 'version_labels { key: "x" value: 9 }')), "Request to assign label to version 9"),
    (model_config(("a", "/a", 'traffic { split { label: "x" weight: 1 } }')), 'version_labels does not have "x"'),
    (model_config(("a", "s9://a")), "s9"),
    ('custom_model_config { type_url: "x" }', "Cannot transition to requested config"),
])
def test_what_is_wrong_is_refused_as_a_whole_and_nothing_changes(start, tmp_path, versions, wrong, place):
    admin = Admin(start, tmp_path, model_config(("m", versions)))
    if "s9" in place:
        status, report = admin.reload(wrong)
        assert status == 500 and "s9" in report["error"]  # taken, but its base path cannot be read
        return
    status, report = admin.reload(wrong)
    assert status == 400 and report["result"] == "refused" and place in report["error"]
    assert admin.predict() == 3


def test_a_model_that_fails_is_told_with_its_reason_and_again_when_asked_again(start, tmp_path, versions):
    shutil.copytree(versions / "1", tmp_path / "broken" / "1")
    data = next((tmp_path / "broken").rglob("variables.data*"))
    data.write_bytes(bytes([data.read_bytes()[0] ^ 1]) + data.read_bytes()[1:])
    admin = Admin(start, tmp_path, model_config(("m", versions)), "--max_num_load_retries=0")
    for result in ("applied", "unchanged"):
        status, report = admin.reload(model_config(("m", versions), ("b", tmp_path / "broken")))
        assert status == 500 and report["result"] == result and report["code"] == "UNKNOWN"
        assert "1 model(s) did not become available: {{{name: b version: 1} due to error: DATA_LOSS" in report["error"]
        assert report["models"][0] == {"name": "m", "change": "unchanged", "state": "available"}
        assert report["models"][1]["state"] == "failed"
        assert admin.predict() == 3


def test_the_configuration_in_force_can_be_fetched_and_posted_back(start, tmp_path, versions):
    admin = Admin(start, tmp_path, config(versions, 'version_labels { key: "a\\"b" value: 2 }'))
    status, text, headers = admin.ask("GET", "/sluice/v1/config")
    assert status == 200 and headers["Content-Type"].startswith("text/plain")
    assert b'base_path: "' + str(versions).encode() in text
    assert admin.reload(text)[1]["result"] == "unchanged"
    status, wire, _ = admin.ask("GET", "/sluice/v1/config", Accept="application/x-protobuf")
    from tensorflow_serving.config import model_server_config_pb2
    parsed = model_server_config_pb2.ModelServerConfig.FromString(wire)
    assert parsed.model_config_list.config[0].version_labels == {'a"b': 2}
    parsed.model_config_list.config[0].version_labels["c"] = 3
    status, body, _ = admin.ask("POST", "/sluice/v1/config", parsed.SerializeToString(),
                                Content_Type="application/x-protobuf")
    assert status == 200 and json.loads(body)["models"][0]["change"] == "changed"
    assert admin.models()["m"]["labels"] == {'a"b': "2", "c": "3"}


def test_the_list_of_models_says_what_there_is(start, tmp_path, versions):
    admin = Admin(start, tmp_path, config(versions, 'version_labels { key: "stable" value: 1 }',
                                          'traffic { split { label: "stable" weight: 9 } split { version: 2 weight: 1 } '
                                          'sticky_header: "x-user" } shadow { version: 3 percent: 50 }'))
    m = admin.models()["m"]
    assert m["base_path"] == str(versions) and m["configured"] is True
    assert [v["version"] for v in m["versions"]] == ["3", "2", "1"]
    for v in m["versions"]:
        assert v["state"] == "AVAILABLE" and v["engine"] == "native" and v["load_ms"] > 0 and v["why"]
    assert m["labels"] == {"stable": "1"}
    assert m["split"] == [{"label": "stable", "version": "1", "available": True, "weight": 9},
                          {"version": "2", "available": True, "weight": 1}]
    assert m["sticky_header"] == "x-user"
    assert m["shadow"] == {"version": "3", "available": True, "percent": 50}
    status, body, _ = admin.ask("GET", "/sluice/v1/models/m")
    assert json.loads(body)["models"] == [m]
    assert admin.ask("GET", "/sluice/v1/models/nobody")[0] == 404


def test_the_admin_interface_is_where_it_was_asked_for_and_nowhere_else(start, tmp_path, versions):
    admin = Admin(start, tmp_path, model_config(("m", versions)))
    assert stat.S_IMODE(os.stat(admin.socket).st_mode) == 0o600
    for path in ("/sluice/v1/config", "/sluice/v1/models"):
        assert admin.server.ask("GET", path).status == 404
        assert admin.server.ask("POST", path, "").status == 404
    assert admin.ask("GET", "/readyz")[0] == 200
    assert b":tensorflow:serving:" in admin.ask("GET", "/metrics")[1]
    assert admin.ask("GET", "/v1/models/m")[0] == 404
    assert admin.ask("DELETE", "/sluice/v1/config")[0] == 405
    assert admin.ask("POST", "/sluice/v1/models", "")[0] == 405
    assert admin.ask("GET", "/sluice/v1/models", Origin="http://evil.example")[0] == 403


def test_over_tcp_only_a_loopback_address_is_taken_and_other_hosts_are_refused(start, tmp_path, versions):
    import subprocess
    for address in ("0.0.0.0:9000", "[::]:9000", "192.0.2.1:9000", ":9000", "localhost.evil:1"):
        ended = subprocess.run([SLUICE, "serve", f"--admin_address={address}", f"--model_base_path={versions}"],
                               capture_output=True, text=True, timeout=60)
        assert ended.returncode == 1 and "admin_address" in ended.stderr, address
    port = free_port()
    server = start(f"--admin_address=127.0.0.1:{port}", config=model_config(("m", versions)))
    for host, status in ((f"127.0.0.1:{port}", 200), (f"localhost:{port}", 200), ("[::1]", 200),
                         ("evil.example", 403), (f"127.0.0.1.evil.example:{port}", 403)):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        c.request("GET", "/sluice/v1/models", headers={"Host": host})
        assert c.getresponse().status == status, host
        c.close()
    assert server.ask("GET", "/v1/models/m").status == 200


def test_a_reload_that_waits_blocks_neither_requests_nor_the_end(start, tmp_path, versions):
    """A model on a base path that hangs: a named pipe in the place of a file cannot be opened."""
    slow = tmp_path / "slow" / "1"
    slow.mkdir(parents=True)
    os.mkfifo(slow / "saved_model.pb")
    admin = Admin(start, tmp_path, model_config(("m", versions)), "--reload_timeout_s=1")
    status, report = admin.reload(model_config(("m", versions), ("slow", tmp_path / "slow")))
    assert status in (500, 504)  # refused as no regular file, or still waiting
    assert admin.predict() == 3


def test_a_version_that_is_still_being_copied_is_told_as_such(start, tmp_path, versions):
    admin = Admin(start, tmp_path, model_config(("m", versions)))
    half = tmp_path / "half" / "1"
    half.mkdir(parents=True)
    shutil.copy(versions / "1" / "saved_model.pb", half)
    status, report = admin.reload(model_config(("m", versions), ("h", tmp_path / "half")))
    assert status == 500 and "name: h version: 1" in report["error"] and "variables" in report["error"], report


# ---- the file ----

def write(server, text):
    path = pathlib.Path(server.directory.name) / "config.pbtxt"
    other = path.with_suffix(".new")
    other.write_text(text)
    other.rename(path)


def test_the_poll_does_not_undo_what_was_posted_but_sighup_does(start, tmp_path, versions):
    admin = Admin(start, tmp_path, model_config(("m", versions)), "--model_config_file_poll_wait_seconds=1")
    assert admin.reload(model_config(("m", versions), ("my_model", MY_MODEL)))[0] == 200
    # Two more files are read meanwhile, of which the first is broken: the poll has come round.
    write(admin.server, "model_config_list { config { nme: 'x' } }")
    admin.server.wait_for("Failed to read ModelServerConfig file")
    write(admin.server, model_config(("m", versions)))
    time.sleep(1.5)
    assert set(admin.models()) == {"m", "my_model"}
    admin.server.process.send_signal(signal.SIGHUP)
    until(lambda: set(admin.models()) == {"m"})


# ---- labels (config.md 5) ----

def labels(**l):
    return " ".join(f'version_labels {{ key: "{k}" value: {v} }}' for k, v in l.items())


def test_versions_and_their_labels_come_in_one_configuration_at_the_start(start, tmp_path, versions):
    admin = Admin(start, tmp_path, config(versions, labels(stable=1, canary=2)))
    assert admin.predict(where="/labels/stable") == 1
    assert admin.predict(where="/labels/canary") == 2


def test_a_label_moves_in_one_reload_together_with_its_version(start, tmp_path, versions):
    def serve(policy, **l):
        return model_config(("m", versions, f"model_version_policy {{ specific {{ versions: {policy} }} }}", labels(**l)))

    admin = Admin(start, tmp_path, serve("[1]", stable=1))
    assert admin.reload(serve("[1, 2]", stable=2))[0] == 200
    assert admin.predict(where="/labels/stable") == 2
    # A label that is no longer listed is gone at once.
    assert admin.reload(serve("[2]", other=2))[0] == 200
    reply = admin.server.ask("POST", "/v1/models/m/labels/stable:predict", '{"instances": [1.0]}')
    assert reply.status == 400 and "Unrecognized servable version label: stable" in reply.text
    # For a version that nothing asks for: refused, and the old labels stay.
    status, report = admin.reload(serve("[2]", other=3))
    assert status == 400
    assert report["error"] == "Request to assign label to version 3 of model m, which is not currently available for inference"
    assert admin.predict(where="/labels/other") == 2


def test_with_the_flag_a_new_label_may_wait_for_its_version(start, tmp_path, versions):
    def serve(policy, **l):
        return model_config(("m", versions, f"model_version_policy {{ specific {{ versions: {policy} }} }}", labels(**l)))

    admin = Admin(start, tmp_path, serve("[1]", stable=1), "--allow_version_labels_for_unavailable_models")
    assert admin.reload(serve("[1]", stable=1, next=2))[0] == 200
    reply = admin.server.ask("POST", "/v1/models/m/labels/next:predict", '{"instances": [1.0]}')
    assert reply.status == 404 and "Servable not found for request: Specific(m, 2)" in reply.text
    assert admin.reload(serve("[1]", stable=3))[0] == 400  # moving one needs an available target
    assert admin.reload(serve("[1, 2]", stable=1, next=2))[0] == 200
    assert admin.predict(where="/labels/next") == 2


def test_a_label_for_nothing_stops_neither_the_start_nor_other_changes(start, tmp_path, versions):
    def serve(*more, **l):
        return model_config(("m", versions, "model_version_policy { all {} }", labels(**l)), *more)

    admin = Admin(start, tmp_path, serve(stable=1, next=9))
    assert "Request to assign label to version 9 of model m, which is not currently available for inference: " \
           "the label is there as soon as the version is" in admin.server.log
    assert admin.predict(where="/labels/stable") == 1
    reply = admin.server.ask("POST", "/v1/models/m/labels/next:predict", '{"instances": [1.0]}')
    assert reply.status == 400 and "Unrecognized servable version label: next" in reply.text
    assert admin.reload(serve(("n", HALF), stable=1, next=9))[0] == 200
    assert admin.reload(serve(("n", HALF), stable=1, next=9, other=8))[0] == 400
    (versions / "3").rename(versions / "9")
    until(lambda: admin.server.ask("POST", "/v1/models/m/labels/next:predict", '{"instances": [1.0]}').status == 200)
    assert admin.predict(where="/labels/next") == 9


def test_strict_startup_refuses_a_label_for_nothing(start, versions):
    server = start("--strict_startup", config=config(versions, labels(next=9)), wait=False)
    assert server.process.wait(60) == 1
    assert "Request to assign label to version 9 of model m" in server.log


# ---- traffic ----

SPLIT = ('traffic { split { label: "stable" weight: 80 } split { label: "canary" weight: 20 } sticky_header: "x-user" }',
         labels(stable=1, canary=2))


def arms_of(server, requests):
    """Sends them over one connection, a hundred at a time; the versions that answered, in their order."""
    versions = []
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as s, s.makefile("rb") as replies:
        for i in range(0, len(requests), 100):
            some = requests[i:i + 100]
            s.sendall(b"".join(some))
            for _ in some:
                assert replies.readline().split()[1] == b"200"
                fields = dict(line.lower().rstrip().split(b": ", 1) for line in iter(replies.readline, b"\r\n"))
                assert replies.read(int(fields[b"content-length"])).split() == b'{ "predictions": [2.5 ] }'.split()
                versions.append(int(fields[b"x-sluice-version"]))
    return versions


def request(*fields):
    body = '{"instances": [1.0]}'
    head = ["POST /v1/models/m:predict HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *fields]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


def chi_square(got, weights):
    n, total = sum(got.values()), sum(weights.values())
    assert set(got) == set(weights)
    return sum((got[v] - n * w / total) ** 2 / (n * w / total) for v, w in weights.items())


def test_a_canary_gets_its_share_and_named_versions_are_left_alone(start, tmp_path, versions):
    admin = Admin(start, tmp_path, config(versions, *SPLIT))
    got = collections.Counter(arms_of(admin.server, [request()] * 10_000))
    # One degree of freedom: 23.9 is exceeded once in a million runs.
    assert chi_square(got, {1: 80, 2: 20}) < 23.9
    assert {admin.predict(where="/versions/3") for _ in range(20)} == {3}
    assert {admin.predict(where="/labels/canary") for _ in range(20)} == {2}
    page = admin.ask("GET", "/metrics")[1].decode()
    assert f':sluice:traffic:split_count{{model_name="m",version="2"}} {got[2]}' in page


def test_three_arms_get_their_shares_of_requests_and_of_keys(start, tmp_path, versions):
    """A key's arm is no accident, so keys fit the shares always or never; each keeps its arm."""
    weights = {1: 5, 2: 2, 3: 1}
    split = " ".join(f"split {{ version: {v} weight: {w} }}" for v, w in weights.items())
    admin = Admin(start, tmp_path, config(versions, f'traffic {{ {split} sticky_header: "x-user" }}'))
    # Two degrees of freedom: 27.7 is exceeded once in a million runs.
    assert chi_square(collections.Counter(arms_of(admin.server, [request()] * 10_000)), weights) < 27.7
    keys = [request(f"X-User: user-{i}") for i in range(10_000)]
    arms = arms_of(admin.server, keys)
    assert chi_square(collections.Counter(arms), weights) < 27.7
    assert arms_of(admin.server, keys[::-1]) == arms[::-1]


def test_a_sticky_key_stays_with_its_arm_also_after_a_restart(start, tmp_path, versions):
    users = [f"user-{i}" for i in range(60)]
    seen = []
    for run in ("a", "b"):
        (tmp_path / run).mkdir()
        admin = Admin(start, tmp_path / run, config(versions, *SPLIT))
        arms = [admin.predict(headers={"X-User": u}) for u in users]
        assert arms == [admin.predict(headers={"x-user": u}) for u in users]
        seen.append(arms)
        assert admin.server.stop() == 0
    assert seen[0] == seen[1] and set(seen[0]) == {1, 2}


def test_a_canary_that_goes_gives_its_share_back(start, tmp_path, versions):
    admin = Admin(start, tmp_path, config(versions, 'traffic { split { version: 1 weight: 1 } split { version: 2 weight: 1 } }'))
    assert {admin.predict() for _ in range(60)} == {1, 2}
    shutil.rmtree(versions / "2")
    until(lambda: admin.server.ask("GET", "/v1/models/m/versions/2/metadata").status == 404)
    assert {admin.predict() for _ in range(60)} == {1}


def shadowed(admin, **wanted):
    """Waits until the copies have been counted like this. On a busy machine some are dropped instead: those that have
    waited for a second."""
    def counts():
        page = admin.ask("GET", "/metrics")[1].decode()
        lines = [line for line in page.splitlines() if line.startswith(":sluice:shadow:count{")]
        return {line.split('result="')[1].split('"')[0]: int(line.split()[-1]) for line in lines}

    def fits():
        got = counts()
        rest = got.pop("dropped", 0) - wanted.get("dropped", 0)
        expected = {k: v for k, v in wanted.items() if k != "dropped"}
        return (rest >= 0 and sum(got.values()) + rest == sum(expected.values()) and
                all(0 < got.get(k, 0) <= v for k, v in expected.items() if v) and set(got) <= set(expected))
    until(fits)


def test_a_shadow_sees_copies_which_are_compared_and_counted(start, tmp_path, versions):
    admin = Admin(start, tmp_path, config(versions, 'traffic { split { version: 1 weight: 1 } } shadow { version: 2 }'))
    for _ in range(20):
        assert admin.predict() == 1
    assert admin.predict(where="/versions/3") == 3
    assert admin.predict(where="/versions/2") == 2  # its own answers are not copied to it
    shadowed(admin, matched=21)
    page = admin.ask("GET", "/metrics")[1].decode()
    assert ':sluice:shadow:latency_count{model_name="m",version="2"} 21' in page
    # Without it no copy is made any more.
    assert admin.reload(config(versions))[0] == 200
    admin.predict()
    shadowed(admin, matched=21)


def test_a_shadow_that_answers_otherwise_or_fails_shows_in_counts_and_log(start, tmp_path, versions):
    shutil.rmtree(versions / "2")
    shutil.copytree(MODELS / "linear" / "1", versions / "2")
    admin = Admin(start, tmp_path, config(versions, 'traffic { split { version: 1 weight: 1 } } shadow { version: 2 }'))
    assert admin.predict() == 1
    until(lambda: "shadow of model m: version 2 " in admin.server.log)
    assert admin.predict() == 1


def test_a_shadow_changes_nothing_in_its_version(start, tmp_path):
    for n in ("1", "2"):
        shutil.copytree(MODELS / "stateful" / "1", tmp_path / "s" / n)
    admin = Admin(start, tmp_path, model_config(("m", tmp_path / "s", "model_version_policy { all {} }",
                                                 "traffic { split { version: 1 weight: 1 } } shadow { version: 2 }")))

    def ask(where=""):
        return json.loads(admin.server.ask("POST", f"/v1/models/m{where}:predict", '{"inputs": {"step": 1}}').text)["outputs"]

    before = ask()
    assert [ask() - before for _ in range(3)] == [1, 2, 3]
    shadowed(admin, impure=4)
    assert ask("/versions/2") == before  # as the first request that version 1 saw


# ---- directories ----

def test_a_directory_of_files_is_one_configuration(start, tmp_path, versions):
    files = tmp_path / "conf"
    files.mkdir()
    (files / "a.pbtxt").write_text(model_config(("m", versions)))
    (files / "b.conf").write_text(model_config(("my_model", MY_MODEL)))
    (files / "notes.txt").write_text("not a configuration")
    (files / ".hidden.pbtxt").write_text("not a configuration")
    server = start(f"--model_config_file={files}")
    assert server.ask("GET", "/v1/models/m/metadata").status == 200
    assert server.ask("GET", "/v1/models/my_model/metadata").status == 200
    # A model in two files is refused with both names, a mistake with its file and place; nothing changes.
    (files / "c.pbtxt").write_text(model_config(("m", versions)))
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("Illegal to list model m multiple times in config list: it is in a.pbtxt and in c.pbtxt")
    (files / "c.pbtxt").write_text("model_config_list {\n  config { nam: 'x' }\n}")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("c.pbtxt': 2:12: message ModelConfig has no field named \"nam\"")
    (files / "c.pbtxt").unlink()
    (files / "b.conf").unlink()
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.ask("GET", "/v1/models/my_model/metadata").status == 404)
    assert server.ask("GET", "/v1/models/m/metadata").status == 200


def test_a_directory_of_models_is_served_as_it_grows_and_shrinks(start, tmp_path, versions):
    models = tmp_path / "models"
    shutil.copytree(versions, models / "a")
    (models / "lost+found").mkdir()
    server = start(f"--models_dir={models}")
    assert server.ask("GET", "/v1/models/a/metadata").status == 200
    assert server.ask("GET", "/v1/models/lost+found").status == 404
    shutil.copytree(MY_MODEL, models / "my_model")
    until(lambda: server.ask("GET", "/v1/models/my_model/metadata").status == 200)
    # Emptied for a moment, it goes on; gone, it goes.
    for n in (1, 2, 3):
        shutil.rmtree(models / "a" / str(n))
    time.sleep(1.5)
    assert server.ask("GET", "/v1/models/a/metadata").status == 200
    shutil.rmtree(models / "a")
    until(lambda: server.ask("GET", "/v1/models/a/metadata").status == 404)
    # All of it gone is a mount that is away, not a wish.
    models.rename(tmp_path / "away")
    time.sleep(1.5)
    assert server.ask("GET", "/v1/models/my_model/metadata").status == 200


def test_two_ways_of_saying_what_to_serve_are_refused(versions):
    import subprocess
    for flag in ("--model_base_path=/x", "--model_config_file=/x"):
        ended = subprocess.run([SLUICE, "serve", f"--models_dir={versions}", flag], capture_output=True, text=True, timeout=60)
        assert ended.returncode == 1 and "models_dir says which models to serve" in ended.stderr


def test_two_models_on_one_path_are_served_and_remarked(start, tmp_path, versions):
    server = start(config=model_config(("a", versions), ("b", versions)))
    assert f"models a and b have the same base path {versions}: both load all of it" in server.log
    assert server.ask("GET", "/v1/models/b/metadata").status == 200


def test_grpc_goes_through_the_split_says_its_version_and_is_shadowed(versions, tmp_path):
    import tensorflow as tf
    from grpc_client import grpc_server, predict_request
    socket_path = tmp_path / "admin.sock"
    server = grpc_server(f"--admin_address=unix:{socket_path}", config=config(
        versions, labels(stable=1, canary=2), 'traffic { split { label: "stable" weight: 1 } split { label: "canary" weight: 1 } '
        'sticky_header: "x-user" } shadow { version: 3 }'))
    admin = Admin.__new__(Admin)
    admin.socket, admin.server = str(socket_path), server

    def ask(user):
        request = predict_request("m", {"x": tf.make_tensor_proto([1.0])})
        reply, call = server.grpc.prediction.Predict.with_call(request, timeout=30, metadata=[("x-user", user)])
        version = int(dict(call.initial_metadata())["x-sluice-version"])
        assert reply.model_spec.version.value == version
        return version

    users = [f"user-{i}" for i in range(30)]
    arms = [ask(u) for u in users]
    assert set(arms) == {1, 2} and arms == [ask(u) for u in users]
    assert arms == [admin.predict(headers={"x-user": u}) for u in users]  # REST agrees
    shadowed(admin, matched=90)
    server.grpc.close()
    assert server.stop() == 0
