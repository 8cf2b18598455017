"""Keys of an issuer that lie at a URL: fetched, rotated, and what happens when they cannot be."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from certificates import Authority
from conftest import ROOT, SLUICE, model_config
from issuer import Issuer, Reply, served
from test_server import until

MODELS = model_config(("my_model", ROOT / "examples/models/my_model"))
PATH = "/v1/models/my_model:predict"
ROW = '{"instances": [[1.0, 2.0, 3.0]]}'
PORTS = ("--rest_api_port=0", "--port=0", "--rest_address=127.0.0.1:0", "--grpc_address=127.0.0.1:0")


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


class Guarded:
    """A server whose one issuer has its keys at a URL; `site` answers what `reply` is at the moment."""

    def __init__(self, directory, start, url, *flags, more="", env=None):
        self.file = directory / "auth.pbtxt"
        self.file.write_text(f"""
            jwt {{ name: "corp" issuer: "https://issuer.example/" audience: "sluice" jwks_url: "{url}" {more} }}
            rule {{ principal: "jwt:corp/*" allow: [PREDICT, METRICS] }}""")
        self.server = start(f"--auth_config_file={self.file}", *flags, config=MODELS, env=env)

    def ask(self, token):
        return self.server.ask("POST", PATH, ROW, bearer(token))

    def status(self, token):
        return self.ask(token).status

    def fetches(self, token, result):
        page = self.server.ask("GET", "/metrics", headers=bearer(token)).text
        for line in page.splitlines():
            if line.startswith(":sluice:auth:key_fetches{") and f'result="{result}"' in line:
                return int(line.rsplit(" ", 1)[1])
        return 0


@pytest.fixture
def issuer(tmp_path):
    return Issuer(tmp_path)


@pytest.mark.parametrize("sandbox", ["off", "default", "strict"])
def test_keys_are_fetched_and_a_new_one_as_soon_as_a_token_names_it(start, tmp_path, issuer, sandbox):
    kids = ["a"]
    first, second, third = (issuer.token(kid) for kid in "abc")
    with served(lambda path: Reply(issuer.key_set(*kids))) as site:
        guarded = Guarded(tmp_path, start, site.url + "/keys?p=1", f"--sandbox={sandbox}")
        until(lambda: guarded.status(first) == 200)
        assert site.asked == ["/keys?p=1"]
        kids[:] = ["b"]
        refused = guarded.ask(second)  # does not wait
        assert refused.status == 401 and "no key of its issuer" in refused.text
        until(lambda: guarded.status(second) == 200)
        assert len(site.asked) == 2
        # The old key is gone, also for tokens that were verified with it.
        until(lambda: guarded.status(first) == 401)
        # Whoever names keys that there are not, has no more fetched: one in 30 seconds.
        for _ in range(20):
            assert guarded.status(third) == 401
        time.sleep(0.3)
        assert len(site.asked) == 2
        assert guarded.fetches(second, "ok") == 2


def test_until_there_are_keys_tokens_are_refused_with_a_time_to_come_back(start, tmp_path, issuer):
    reply = Reply(b"not now", status=500)
    token = issuer.token("a")
    with served(lambda path: reply) as site:
        guarded = Guarded(tmp_path, start, site.url + "/keys")
        got = guarded.ask(token)
        assert got.status == 503 and got.headers.get_all("Retry-After") == ["1"]
        assert json.loads(got.text)["error"] == \
            'the token cannot be verified: the keys of its issuer "corp" have not been fetched yet'
        guarded.server.wait_for("until they are its tokens are refused with 503: ")
        assert "HTTP status 500" in guarded.server.log
        assert guarded.server.ask("GET", "/readyz").status == 200
        reply = Reply(issuer.key_set("a"))
        until(lambda: guarded.status(token) == 200)


BAD = {
    "missing": (Reply(status=404), "HTTP status 404"),
    "garbage": (Reply(b"<html>maintenance</html>"), "not a JSON Web Key Set"),
    "empty": (Reply(b'{"keys": []}'), "no key that can be used"),
    "large": (Reply(b" " * (1 << 20) + b"{}"), "more than 1048576 bytes"),
    "elsewhere": (Reply(status=302, headers={"Location": "http://localhost:1/keys"}), "redirected to another host"),
    "loop": (Reply(status=302, headers={"Location": "/loop"}), "redirected too often"),
}


def test_what_cannot_be_used_leaves_the_last_good_set_in_use(start, tmp_path, issuer):
    """An issuer for each way of going wrong; their keys lie at /NAME."""
    bad, good = False, Reply(issuer.key_set("a"))
    tokens = {name: issuer.token("a", iss=f"https://{name}/") for name in BAD}
    with served(lambda path: BAD[path[1:]][0] if bad else good) as site:
        issuers = "\n".join(f"""jwt {{ name: "{name}" issuer: "https://{name}/" audience: "sluice" jwks_url: "{site.url}/{name}"
                                jwks_refresh_seconds: 1 }}""" for name in BAD)
        file = tmp_path / "auth.pbtxt"
        file.write_text(issuers + 'rule { principal: "jwt:*" allow: [PREDICT, METRICS] }')
        server = start(f"--auth_config_file={file}", config=MODELS)

        def status(name):
            return server.ask("POST", PATH, ROW, bearer(tokens[name])).status

        def failures():
            page = server.ask("GET", "/metrics", headers=bearer(tokens["loop"])).text
            return {re.search('issuer="(.*?)"', line)[1]: int(line.rsplit(" ", 1)[1]) for line in page.splitlines()
                    if line.startswith(":sluice:auth:key_fetches{") and 'result="failed"' in line}
        until(lambda: all(status(name) == 200 for name in BAD))
        bad = True
        until(lambda: all(failures().get(name, 0) >= 2 for name in BAD))
        for name, (_, why) in BAD.items():
            lines = [line for line in server.log.splitlines() if f'jwt "{name}": its keys cannot be fetched' in line]
            assert len(lines) == 1 and "the last ones that could be stay in use" in lines[0] and why in lines[0], lines
            assert status(name) == 200


def test_a_slow_issuer_is_given_ten_seconds_and_keeps_nobody_waiting(start, tmp_path, issuer):
    reply = Reply(b"{", endless=True)
    token = issuer.token("a")
    with served(lambda path: reply) as site:
        guarded = Guarded(tmp_path, start, site.url + "/keys", more="jwks_refresh_seconds: 1")
        begun = time.monotonic()
        until(lambda: site.asked)
        assert guarded.status(token) == 503
        assert guarded.server.ask("GET", "/healthz").status == 200
        assert time.monotonic() - begun < 5
        guarded.server.wait_for("cannot be fetched")
        assert time.monotonic() - begun < 20


def helpers(server):
    """Processes of sluice-fetch that are this server's: children of it, or of its launcher."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            lines = (process / "status").read_text()
            parent = int(re.search(r"^PPid:\t(\d+)", lines, re.M)[1])
            above = int(re.search(r"^PPid:\t(\d+)", pathlib.Path(f"/proc/{parent}/status").read_text(), re.M)[1])
            if "Name:\tsluice-fetch\n" in lines and server.process.pid in (parent, above):
                found.append(int(process.name))
        except (OSError, TypeError):
            pass
    return found


def test_a_helper_that_ends_too_early_is_a_failure_like_others_and_none_is_left(start, tmp_path, issuer):
    reply = Reply(issuer.key_set("a"), wait_s=30)
    token = issuer.token("a")
    with served(lambda path: reply) as site:
        guarded = Guarded(tmp_path, start, site.url + "/keys")
        until(lambda: site.asked)
        reply = Reply(issuer.key_set("a"))
        [helper] = helpers(guarded.server)
        os.kill(helper, signal.SIGKILL)
        guarded.server.wait_for("sluice-fetch ended unexpectedly")
        until(lambda: guarded.status(token) == 200)
        until(lambda: not helpers(guarded.server))


def test_an_end_does_not_wait_for_an_issuer(start, tmp_path, issuer):
    with served(lambda path: Reply(wait_s=30)) as site:
        guarded = Guarded(tmp_path, start, site.url + "/keys")
        until(lambda: site.asked)
        begun = time.monotonic()
        assert guarded.server.stop() == 0
        assert time.monotonic() - begun < 5


def test_none_waits_for_a_slow_one(start, tmp_path, issuer):
    slow, quick = Reply(wait_s=30), Reply(issuer.key_set("a"))
    with served(lambda path: slow if path == "/slow" else quick) as site:
        file = tmp_path / "auth.pbtxt"
        file.write_text("\n".join(f"""jwt {{ name: "{name}" issuer: "https://{name}/" audience: "sluice"
                                      jwks_url: "{site.url}/{name}" }}""" for name in ("slow", "quick")) +
                        'rule { principal: "jwt:*" allow: PREDICT }')
        server = start(f"--auth_config_file={file}", config=MODELS)
        token = issuer.token("a", iss="https://quick/")
        begun = time.monotonic()
        until(lambda: server.ask("POST", PATH, ROW, bearer(token)).status == 200)
        assert time.monotonic() - begun < 8


def test_an_answer_says_how_long_it_stays_fresh_within_bounds(start, tmp_path, issuer):
    token = issuer.token("a")
    with served(lambda path: Reply(issuer.key_set("a"), headers={"Cache-Control": "public, max-age=3000"})) as site:
        guarded = Guarded(tmp_path, start, site.url + "/keys", more="jwks_refresh_seconds: 1")
        until(lambda: guarded.status(token) == 200)
        time.sleep(1.5)
        assert len(site.asked) == 1
        guarded.server.process.send_signal(signal.SIGHUP)
        until(lambda: len(site.asked) == 2)


def test_https_with_an_authority_of_its_own_and_nobody_elses(start, tmp_path, issuer):
    (tmp_path / "ca").mkdir()
    ca = Authority(tmp_path / "ca")
    cert, key = ca.issue("issuer", san="IP:127.0.0.1")
    token = issuer.token("a")
    with served(lambda path: Reply(issuer.key_set("a")) if path == "/keys" else
                Reply(status=307, headers={"Location": "/keys"}), cert, key) as site:
        stranger = Guarded(tmp_path, start, site.url + "/keys")
        stranger.server.wait_for("cannot be fetched")
        assert "certificate" in stranger.server.log and stranger.status(token) == 503
        guarded = Guarded(tmp_path, start, site.url + "/moved", more='jwks_ca_file: "ca/ca.pem"')
        until(lambda: guarded.status(token) == 200)
        assert site.asked == ["/moved", "/keys"]


def test_a_file_beside_the_url_serves_until_it_is_fetched(start, tmp_path, issuer):
    (tmp_path / "jwks.json").write_bytes(issuer.key_set("a"))
    reply = Reply(status=500)
    old, new = issuer.token("a"), issuer.token("b")
    with served(lambda path: reply) as site:
        guarded = Guarded(tmp_path, start, site.url + "/keys", more='jwks_file: "jwks.json"')
        assert guarded.status(old) == 200
        guarded.server.wait_for("those of jwks_file are used")
        reply = Reply(issuer.key_set("b"))
        until(lambda: guarded.status(new) == 200)
        assert guarded.status(old) == 401


def test_a_reload_of_the_file_keeps_what_was_fetched(start, tmp_path, issuer):
    token = issuer.token("a")
    reply = Reply(issuer.key_set("a"))
    with served(lambda path: reply) as site:
        guarded = Guarded(tmp_path, start, site.url + "/keys")
        until(lambda: guarded.status(token) == 200)
        reply = Reply(status=500)
        text = guarded.file.read_text()
        (tmp_path / "new").write_text(text + 'rule { principal: "anonymous" allow: PREDICT }')
        (tmp_path / "new").rename(guarded.file)
        until(lambda: guarded.server.ask("POST", PATH, ROW).status == 200)
        assert guarded.status(token) == 200
        # One that may not be changes nothing.
        (tmp_path / "new").write_text(text.replace("http://127.0.0.1", "http://issuer.example"))
        (tmp_path / "new").rename(guarded.file)
        guarded.server.wait_for("permissions stay as they were")
        assert "jwks_plain_http" in guarded.server.log
        assert guarded.status(token) == 200


def run(*args, **kw):
    return subprocess.run([SLUICE, *map(str, args)], capture_output=True, text=True, timeout=60, **kw)


def test_check_and_can_fetch_the_keys_or_say_that_they_cannot(tmp_path, issuer):
    file = tmp_path / "auth.pbtxt"
    token = issuer.token("a", sub="bob") + "\n"
    model = f"--model_base_path={ROOT}/examples/models/my_model"

    def write(url):
        file.write_text(f"""
            jwt {{ name: "corp" issuer: "https://issuer.example/" audience: "sluice" jwks_url: "{url}" }}
            rule {{ principal: "jwt:corp/*" allow: PREDICT }}""")

    flag = f"--auth_config_file={file}"
    with served(lambda path: Reply(issuer.key_set("a"))) as site:
        write(site.url + "/keys")
        done = run("check", flag, *PORTS, model)
        assert done.returncode == 0 and f"jwt corp: keys fetched from {site.url}/keys\n" in done.stdout, done
        done = run("can", "-", "predict", "my_model", flag, input=token)
        assert done.stdout == "yes: jwt:corp/bob may, by rule 1\n", done
        asked = len(site.asked)
        assert run("can", "jwt:corp/bob", "predict", "my_model", flag).returncode == 0
        assert len(site.asked) == asked  # for a name nothing has to be verified
    done = run("check", flag, *PORTS, model)
    assert done.returncode == 0 and "cannot be fetched from here" in done.stdout, done
    done = run("can", "-", "predict", "my_model", flag, input=token)
    assert done.returncode == 1 and "have not been fetched yet" in done.stdout and "cannot be fetched" in done.stderr
    write("http://issuer.example/keys")
    done = run("check", flag, *PORTS, model)
    assert done.returncode == 1 and "jwks_plain_http" in done.stderr


def test_without_the_helper_the_start_says_so(tmp_path):
    file = tmp_path / "auth.pbtxt"
    file.write_text("""jwt { name: "corp" issuer: "i" audience: "a" jwks_url: "https://issuer.example/keys" }
                       rule { principal: "*" allow: PREDICT }""")
    done = run("serve", f"--auth_config_file={file}", "--remote_helper=/nonexistent/sluice-fetch", "--port=0",
               "--rest_address=127.0.0.1:0", f"--model_base_path={ROOT}/examples/models/my_model")
    assert done.returncode == 1 and "/nonexistent/sluice-fetch" in done.stderr
