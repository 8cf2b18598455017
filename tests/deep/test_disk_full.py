"""A disk that fills up while a version is being copied: what serves goes on, and half a model is none."""
import os
import shutil
import subprocess
import time

import pytest

from deep import ROOT
from served import model_config

MODEL = ROOT / "examples/models/digits"
BODY = (ROOT / "examples/digits.json").read_text()


@pytest.fixture
def small_disk(tmp_path):
    """A file system that has room for one version and a half."""
    assert os.geteuid() == 0, "mounting a file system needs root"
    place = tmp_path / "disk"
    place.mkdir()
    size = sum(f.stat().st_size for f in (MODEL / "1").rglob("*") if f.is_file())
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size * 3 // 2 + 16384}", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not within %s s" % seconds
        time.sleep(0.05)


def copy_until_full(source, to):
    """As cp would: file by file, until there is no room. True: it filled up."""
    try:
        shutil.copytree(source, to)
    except (OSError, shutil.Error):
        return True
    return False


def test_a_disk_that_fills_up_while_a_version_is_copied(start, small_disk):
    base = small_disk / "digits"
    shutil.copytree(MODEL, base)
    server = start("--file_system_poll_wait_seconds=1", "--max_num_load_retries=0", config=model_config(("digits", base)))
    right = server.ask("POST", "/v1/models/digits:predict", BODY)
    assert right.status == 200
    assert copy_until_full(MODEL / "1", base / "2"), "the disk did not fill up"
    for _ in range(4):  # several looks at the directory
        time.sleep(1)
        got = server.ask("POST", "/v1/models/digits:predict", BODY)
        assert got.status == 200 and got.text == right.text
    status = server.ask("GET", "/v1/models/digits").text
    assert '"state": "END"' not in status, status
    # Somebody makes room and copies again.
    shutil.rmtree(base / "2")
    shutil.rmtree(base / "1")
    assert server.ask("POST", "/v1/models/digits:predict", BODY).text == right.text
    shutil.copytree(MODEL / "1", base / "2")
    until(lambda: server.ask("GET", "/v1/models/digits/versions/2").text.find("AVAILABLE") > 0)
    assert server.ask("POST", "/v1/models/digits:predict", BODY).text == right.text
