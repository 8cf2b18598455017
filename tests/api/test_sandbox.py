"""The server has locked itself up, and goes on doing what it is there for."""
import json
import os
import pathlib
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile

import pytest

from certificates import Authority
from conftest import PLAIN, ROOT, SLUICE, Server, model_config
from issuer import Issuer
from test_server import until, write_config

MY_MODEL = ROOT / "examples/models/my_model"
DIGITS = ROOT / "examples/models/digits"
PATH = "/v1/models/my_model:predict"
ROW = '{"instances": [[1.0, 2.0, 3.0]]}'
RIGHT = {"predictions": [[4.75]]}


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def copy(source, to):
    shutil.copytree(source, to)
    return to


def predicts(server):
    got = server.ask("POST", PATH, ROW)
    return got.status == 200 and json.loads(got.text) == RIGHT


@pytest.mark.parametrize("mode", ["default", "strict"])
def test_it_serves_reloads_and_takes_new_versions_locked_up(start, tmp_path, mode):
    base = copy(MY_MODEL, tmp_path / "models/my_model")
    copy(DIGITS, tmp_path / "models/digits")
    server = start(f"--sandbox={mode}", "--file_system_poll_wait_seconds=1", config=model_config(("my_model", base)))
    until(lambda: predicts(server))
    seen = status(server.process.pid)
    assert seen["Seccomp"] == "2" and seen["NoNewPrivs"] == "1"
    # A new version.
    shutil.copytree(base / "1", base / "7")
    until(lambda: '"version": "7"' in server.ask("GET", "/v1/models/my_model").text)
    # The base path moves away and comes back.
    base.rename(tmp_path / "away")
    copy(tmp_path / "away", base)
    shutil.copytree(base / "1", base / "9")
    until(lambda: '"version": "9"' in server.ask("GET", "/v1/models/my_model").text)
    assert predicts(server)
    # A model added by a reload, below the same parent.
    write_config(server, model_config(("my_model", base), ("digits", tmp_path / "models/digits")))
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.ask("GET", "/v1/models/digits/metadata").status == 200)


def test_strict_refuses_a_reload_that_leaves_its_roots(start, tmp_path):
    base = copy(MY_MODEL, tmp_path / "models/my_model")
    server = start("--sandbox=strict", config=model_config(("my_model", base)))
    until(lambda: predicts(server))
    write_config(server, model_config(("my_model", base), ("digits", DIGITS)))
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("--sandbox_root")
    assert str(DIGITS) in server.log
    assert predicts(server)


def test_a_root_that_is_named_may_be_read(start, tmp_path):
    base = copy(MY_MODEL, tmp_path / "models/my_model")
    server = start("--sandbox=strict", f"--sandbox_root={tmp_path}/models,{DIGITS.parent}",
                   config=model_config(("my_model", base)))
    until(lambda: predicts(server))
    write_config(server, model_config(("my_model", base), ("digits", DIGITS)))
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.ask("GET", "/v1/models/digits/metadata").status == 200)


def test_a_root_may_be_reached_by_a_link(start, tmp_path):
    copy(MY_MODEL, tmp_path / "disk/my_model")
    copy(DIGITS, tmp_path / "disk/digits")
    models = tmp_path / "models"
    models.symlink_to("disk")
    server = start("--sandbox=strict", f"--sandbox_root={models}", config=model_config(("my_model", models / "my_model")))
    until(lambda: predicts(server))
    write_config(server, model_config(("my_model", models / "my_model"), ("digits", models / "digits")))
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.ask("GET", "/v1/models/digits/metadata").status == 200)


@pytest.fixture
def guarded_from_elsewhere(tmp_path):
    """An auth configuration whose tokens and keys each lie in a directory of their own, reached by a link, too."""
    for name in ("auth", "tokens", "keys", "further", "models"):
        (tmp_path / name).mkdir()
    copy(MY_MODEL, tmp_path / "models/my_model")
    issuer = Issuer(tmp_path)
    (tmp_path / "keys/real.json").write_bytes(issuer.key_set("a"))
    (tmp_path / "auth/keys.json").symlink_to(tmp_path / "keys/real.json")
    done = subprocess.run([SLUICE, "token", "ci", f"--file={tmp_path}/tokens/list"], capture_output=True, text=True, timeout=60)
    rules = (f'token_file: "../tokens/list" jwt {{ name: "corp" issuer: "{issuer.name}" audience: "sluice" jwks_file: "keys.json" }}\n'
             'rule { principal: "*" allow: [PREDICT, METADATA] }\n')
    (tmp_path / "auth/auth.pbtxt").write_text(rules)
    return tmp_path, done.stdout.strip(), issuer, rules


def test_what_the_auth_configuration_names_elsewhere_can_be_read_in_strict(start, guarded_from_elsewhere):
    place, token, issuer, rules = guarded_from_elsewhere
    server = start("--sandbox=strict", f"--auth_config_file={place}/auth/auth.pbtxt",
                   config=model_config(("my_model", place / "models/my_model")))
    for shown in (token, issuer.token("a")):
        until(lambda: server.ask("POST", PATH, ROW, {"Authorization": f"Bearer {shown}"}).status == 200)
    assert server.ask("POST", PATH, ROW).status == 401
    # The keys are changed where they really are.
    (place / "keys/new").write_bytes(issuer.key_set("b"))
    (place / "keys/new").rename(place / "keys/real.json")
    until(lambda: server.ask("POST", PATH, ROW, {"Authorization": f"Bearer {issuer.token('b')}"}).status == 200)
    # A file that is named only now, and lies where nobody said so: the rules stay, and the log says what to do.
    (place / "further/list").write_text((place / "tokens/list").read_text())
    (place / "auth/new").write_text(rules + 'token_file: "../further/list"\n')
    (place / "auth/new").rename(place / "auth/auth.pbtxt")
    server.wait_for("permissions stay as they were")
    line = next(line for line in server.log.splitlines() if "permissions stay as they were" in line)
    assert "further/list" in line and "--sandbox_root" in line
    assert server.ask("POST", PATH, ROW, {"Authorization": f"Bearer {token}"}).status == 200


def test_off_closes_nothing(start):
    server = start("--sandbox=off", config=model_config(("my_model", MY_MODEL)))
    until(lambda: predicts(server))
    assert status(server.process.pid)["Seccomp"] == "0"


def host_of(server):
    """The process of the TensorFlow host: the launcher's child."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            name, parent = (process / "comm").read_text().strip(), status(process.name)["PPid"]
            if name == "tensorflow-host" and status(parent)["PPid"] == str(server.process.pid):
                return int(process.name)
        except (OSError, KeyError):
            pass
    return None


@pytest.mark.parametrize("mode", ["default", "strict"])
def test_tensorflow_is_first_needed_after_lock_down_and_comes_back_when_it_is_killed(start, tmp_path, mode):
    base = copy(MY_MODEL, tmp_path / "models/my_model")
    server = start(f"--sandbox={mode}", config=model_config(("my_model", base)))
    until(lambda: predicts(server))
    assert host_of(server) is None
    write_config(server, model_config(("my_model", base, 'engine: "tensorflow"'), ("other", base, 'engine: "tensorflow"')))
    server.process.send_signal(signal.SIGHUP)
    other = "/v1/models/other:predict"
    until(lambda: server.ask("POST", other, ROW).status == 200, 120)  # it begins with the smallest share of a busy machine
    host = host_of(server)
    os.kill(host, signal.SIGKILL)
    until(lambda: host_of(server) not in (None, host))
    until(lambda: server.ask("POST", other, ROW).status == 200)
    assert predicts(server)


def test_a_unix_socket_is_removed_at_the_end(start, tmp_path):
    path = tmp_path / "rest.sock"
    server = start(f"--rest_address=unix:{path},127.0.0.1:0", config=model_config(("my_model", MY_MODEL)))
    server.wait_for("Exporting HTTP/REST API at")
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    server.stop()
    assert not path.exists()


def test_started_as_root_it_becomes_the_user_it_is_told_to(start, tmp_path):
    if os.geteuid() != 0:
        done = subprocess.run([SLUICE, "serve", "--run_as=nobody", f"--model_base_path={MY_MODEL}"],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and "only root" in done.stderr
        return
    with tempfile.TemporaryDirectory() as place:  # the tests may lie in root's home, where nobody may look
        os.chmod(place, 0o755)
        shutil.copytree(MY_MODEL, pathlib.Path(place) / "m")
        server = start("--sandbox=default", "--run_as=nobody", config=model_config(("my_model", pathlib.Path(place) / "m")))
        until(lambda: predicts(server))
    seen, nobody = status(server.process.pid), pwd.getpwnam("nobody")
    assert seen["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert seen["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert seen["Groups"].split() == [str(nobody.pw_gid)]
    only_low_ports(seen)


LOW_PORTS, READING = 1 << 10, 1 << 2  # CAP_NET_BIND_SERVICE, CAP_DAC_READ_SEARCH


def only_low_ports(seen, besides=0):
    for which in ("CapEff", "CapPrm"):
        assert int(seen[which], 16) & ~(LOW_PORTS | besides) == 0, which
    for which in ("CapInh", "CapAmb"):
        assert int(seen[which], 16) == 0, which
    assert seen["NoNewPrivs"] == "1"


@pytest.mark.parametrize("mode", ["default", "strict"])
def test_whoever_starts_it_it_keeps_only_low_ports_and_reading(start, mode):
    """Root and without --run_as; for everybody else there is nothing to be kept. Each thread has what the first has."""
    server = start(f"--sandbox={mode}", config=model_config(("my_model", MY_MODEL)))
    until(lambda: predicts(server))
    only_low_ports(status(server.process.pid), READING)
    if os.geteuid() == 0:
        assert int(status(server.process.pid)["CapEff"], 16) & READING
    for task in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir():
        seen = status(f"{server.process.pid}/task/{task.name}")
        only_low_ports(seen, READING)
        assert seen["Seccomp"] == "2"


def core_limit(pid):
    line = next(line for line in pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith("Max core file size"))
    return line.split()[4:6]


def may_be_read_by_its_owner(pid):
    """By the same user, with no more capabilities than the process has: that is what PR_SET_DUMPABLE decides."""
    drop = ["setpriv", "--bounding-set=-all,+net_bind_service,+dac_read_search"] if os.geteuid() == 0 else []
    return subprocess.run([*drop, "cat", f"/proc/{pid}/environ"], capture_output=True, timeout=60).returncode == 0


@pytest.mark.parametrize("secret", ["a key", "tokens", "nothing"])
def test_no_core_file_where_keys_or_tokens_are_loaded(tmp_path, secret):
    """Though the limit that it is started with would allow one."""
    (tmp_path / "auth.pbtxt").write_text('client_certificates: true rule { principal: "anonymous" allow: [PREDICT, METADATA] }\n')
    cert, key = Authority(tmp_path).issue("server")
    flags = {"a key": [f"--tls_cert_file={cert}", f"--tls_key_file={key}"], "tokens": [f"--auth_config_file={tmp_path}/auth.pbtxt"],
             "nothing": []}
    server = Server("--sandbox=default", *flags[secret], config=model_config(("my_model", MY_MODEL)),
                    command=["sh", "-c", 'ulimit -c 4096; exec "$@"', "sh", str(SLUICE), "serve"])
    try:
        if secret == "nothing":
            assert core_limit(server.process.pid)[1] != "0"
        else:
            assert core_limit(server.process.pid) == ["0", "0"]
        if PLAIN:  # a sanitizer has to look into its own process
            assert may_be_read_by_its_owner(server.process.pid) == (secret == "nothing")
    finally:
        server.stop()
