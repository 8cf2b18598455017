"""The server under valgrind: no invalid read, no use of what was never written, nothing lost at SIGTERM.

VALGRIND_SLUICE names the binary: one without sanitizers, with debug information (build/dev).
"""
import os
import pathlib
import re
import shutil

import pytest

from deep import CONFIG, HONEST, ROOT, Connection, Mix
from served import Server

DEV = pathlib.Path(os.environ.get("VALGRIND_SLUICE", ROOT / "build/dev/sluice"))


@pytest.mark.parametrize("engine", ["native", "tensorflow"])
def test_memcheck_finds_nothing(engine, tmp_path):
    assert shutil.which("valgrind"), "valgrind is not installed (tools/deps deep installs it)"
    report = tmp_path / "valgrind"
    # The TensorFlow host is a program of its own, and TensorFlow is not ours to check.
    server = Server(f"--engine={engine}", "--log_level=info", config=CONFIG, command=[
        "valgrind", "--tool=memcheck", "--leak-check=full", "--show-leak-kinds=definite,indirect",
        "--errors-for-leak-kinds=definite,indirect", "--error-exitcode=99", "--trace-children=no",
        "--child-silent-after-fork=yes", f"--log-file={report}", str(DEV), "serve"])
    with Connection(server.port) as c:
        for data, wanted in HONEST * 2:
            status, _ = c.ask(data)
            assert wanted is None or status == wanted
    mix = Mix(server.port, seed=1)
    for what in ("large", "left_before_the_answer", "reader_that_stops", "pipelined", "slow"):
        getattr(mix, what)()
    for _ in range(60):
        mix.malformed()
        mix.cut_off()
    with Connection(server.port) as c:
        assert c.ask(HONEST[0][0])[0] == 200
    code = server.stop(timeout=300)
    text = report.read_text("utf-8", "replace")
    assert code == 0 and "ERROR SUMMARY: 0 errors" in text, text
    lost = re.search(r"definitely lost: ([\d,]+) bytes", text)
    assert (lost is None and "no leaks are possible" in text) or lost.group(1) == "0", text
