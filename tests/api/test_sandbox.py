"""The server has locked itself up, and goes on doing what it is there for."""
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import tempfile

import pytest

from conftest import ROOT, SLUICE, model_config
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
    until(lambda: server.ask("POST", other, ROW).status == 200)
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
        server = start("--run_as=nobody", config=model_config(("my_model", pathlib.Path(place) / "m")))
        until(lambda: predicts(server))
    seen = status(server.process.pid)
    assert seen["Uid"].split()[0] != "0" and seen["Uid"].split() == [seen["Uid"].split()[0]] * 4
    assert int(seen["CapEff"], 16) & ~(1 << 10) == 0
