"""The server under valgrind: no invalid read, no use of what was never written, nothing lost at SIGTERM.

VALGRIND_SLUICE names the binary: one without sanitizers, with debug information (build/dev).
"""
import os
import pathlib
import re
import shutil
import signal
import socket

import pytest

from deep import CONFIG, HONEST, ROOT, Connection, Mix
from secured import Caller, Secured
from served import Server

DEV = pathlib.Path(os.environ.get("VALGRIND_SLUICE", ROOT / "build/dev/sluice"))


def valgrind(report):
    # The TensorFlow host is a program of its own, and TensorFlow is not ours to check.
    return ["valgrind", "--tool=memcheck", "--leak-check=full", "--show-leak-kinds=definite,indirect",
            "--errors-for-leak-kinds=definite,indirect", "--error-exitcode=99", "--trace-children=no",
            "--child-silent-after-fork=yes", f"--log-file={report}", str(DEV), "serve"]


def check(server, report):
    code = server.stop(timeout=300)
    text = report.read_text("utf-8", "replace")
    assert code == 0 and "ERROR SUMMARY: 0 errors" in text, text
    lost = re.search(r"definitely lost: ([\d,]+) bytes", text)
    assert (lost is None and "no leaks are possible" in text) or lost.group(1) == "0", text


@pytest.mark.parametrize("engine", ["native", "tensorflow"])
def test_memcheck_finds_nothing(engine, tmp_path):
    assert shutil.which("valgrind"), "valgrind is not installed (tools/deps deep installs it)"
    report = tmp_path / "valgrind"
    server = Server(f"--engine={engine}", "--log_level=info", config=CONFIG, command=valgrind(report))
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
    check(server, report)


def test_memcheck_finds_nothing_behind_tls_and_tokens(tmp_path):
    report = tmp_path / "valgrind"
    s = Secured(tmp_path, "--engine=native", "--tls_handshake_timeout_s=60", command=valgrind(report))
    for _ in range(3):
        caller = Caller(s)
        for name, wanted, step in caller.steps:
            status, body = step()
            assert status == wanted, (name, status, body[:200])
        caller.hang_up()
    s.make_token("late")
    s.server.process.send_signal(signal.SIGHUP)
    for what in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x16\x03"):
        with socket.create_connection(("127.0.0.1", s.grpc_port), timeout=60) as plain:
            plain.sendall(what)
    caller = Caller(s)
    assert [step()[0] for _, _, step in caller.steps] == [wanted for _, wanted, _ in caller.steps]
    caller.hang_up()
    check(s.server, report)
