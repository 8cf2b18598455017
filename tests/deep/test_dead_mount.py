"""A mount whose server does not answer any more: models elsewhere come and go, what serves goes on serving."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from deep import ROOT
from served import model_config

MODEL = ROOT / "examples/models/my_model"
BODY = '{"instances": [[1.0, 2.0, 3.0]]}'
RIGHT = {"predictions": [[4.75]]}


class Mount:
    def __init__(self, tmp_path):
        self.behind, self.place = tmp_path / "behind", tmp_path / "mount"
        self.behind.mkdir()
        self.place.mkdir()
        self.process = subprocess.Popen([sys.executable, pathlib.Path(__file__).with_name("slow_fs.py"), self.behind,
                                         self.place])
        until(lambda: os.path.ismount(self.place))

    def die(self):
        self.process.send_signal(signal.SIGSTOP)
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")  # what is remembered of it, and of the models

    def revive(self):
        self.process.send_signal(signal.SIGCONT)

    def unmount(self):
        self.revive()
        subprocess.run(["umount", "-l", self.place], check=False)
        self.process.wait(30)


@pytest.fixture
def mount(tmp_path):
    assert os.geteuid() == 0, "mounting a file system needs root"
    m = Mount(tmp_path)
    yield m
    m.unmount()


def until(condition, seconds=40):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


def answers(server, model, version=None):
    at = f"/versions/{version}" if version else ""
    got = server.ask("POST", f"/v1/models/{model}{at}:predict", BODY)
    return got.status == 200 and json.loads(got.text) == RIGHT


def test_a_mount_that_dies_and_comes_back(start, mount, tmp_path):
    fine = tmp_path / "fine"
    shutil.copytree(MODEL, fine)
    for name in ("here", "there"):
        shutil.copytree(MODEL, mount.behind / name)
    config = tmp_path / "models.config"
    config.write_text(model_config(("fine", fine), ("here", mount.place / "here"), ("there", mount.place / "there")))
    server = start("--file_system_poll_wait_seconds=1", f"--model_config_file={config}")
    assert all(answers(server, m) for m in ("fine", "here", "there"))

    mount.die()
    until(lambda: "does not answer" in server.log or "has not answered" in server.log)
    assert server.log.count("has not answered") == 1 and f"all others on the mount {mount.place}" in server.log
    assert all(answers(server, m) for m in ("fine", "here", "there"))
    shutil.copytree(MODEL / "1", fine / "2")
    until(lambda: answers(server, "fine", 2), 20)

    # A reload that has nothing to do with the mount goes through, and one that names it says what is wrong.
    config.write_text(model_config(("fine", fine), ("more", MODEL), ("here", mount.place / "here")))
    server.process.send_signal(signal.SIGHUP)
    until(lambda: answers(server, "more"), 20)
    config.write_text(model_config(("fine", fine), ("here", mount.place / "here"), ("new", mount.place / "there")))
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.ask("POST", "/v1/models/more:predict", BODY).status == 404, 20)
    assert answers(server, "here")
    got = server.ask("GET", "/v1/models/new")
    assert got.status == 404 and "does not answer" in got.text, got.text

    for name in ("here", "there"):
        shutil.copytree(MODEL / "1", mount.behind / name / "3")
    mount.revive()
    until(lambda: answers(server, "here", 3) and answers(server, "new", 3), 30)
    assert "answers again" in server.log


def test_a_mount_that_is_dead_from_the_beginning(start, mount, tmp_path):
    shutil.copytree(MODEL, mount.behind / "there")
    config = model_config(("fine", MODEL), ("there", mount.place / "there", 'version_labels { key: "stable" value: 1 }'))
    mount.die()
    begun = time.monotonic()
    server = start("--file_system_poll_wait_seconds=1", config=config)
    assert 9 < time.monotonic() - begun < 25
    assert answers(server, "fine")
    got = server.ask("GET", "/v1/models/there")
    assert got.status == 404 and "does not answer" in got.text, got.text
    mount.revive()
    until(lambda: server.ask("POST", "/v1/models/there/labels/stable:predict", BODY).status == 200, 30)


def test_what_is_mounted_there_afresh_is_looked_at(start, mount, tmp_path):
    shutil.copytree(MODEL, mount.behind / "there")
    server = start("--file_system_poll_wait_seconds=1", config=model_config(("there", mount.place / "there")))
    assert answers(server, "there")
    mount.die()
    until(lambda: "has not answered" in server.log)
    subprocess.run(["umount", "-l", mount.place], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mount.place], check=True)
    try:
        shutil.copytree(MODEL / "1", mount.place / "there" / "5")
        until(lambda: answers(server, "there", 5), 20)
    finally:
        subprocess.run(["umount", "-l", mount.place], check=True)


def test_the_end_does_not_wait_for_a_mount(start, mount, tmp_path):
    shutil.copytree(MODEL, mount.behind / "there")
    server = start("--file_system_poll_wait_seconds=1", config=model_config(("fine", MODEL), ("there", mount.place / "there")))
    mount.die()
    until(lambda: "has not answered" in server.log)
    begun = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    assert time.monotonic() - begun < 3
