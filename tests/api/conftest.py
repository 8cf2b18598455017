"""The real server, started for tests.

SLUICE names the binary (build/release/sluice by default). A test asks for a server by the configuration
and the flags it wants; servers with the same are shared within a module run.
"""
import http.client
import os
import pathlib
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SLUICE = pathlib.Path(os.environ.get("SLUICE", ROOT / "build/release/sluice")).resolve()
PLAIN = not any(word in str(SLUICE) for word in ("asan", "tsan"))  # sanitizers keep what is freed: memory is not measured
sys.path.append(str(ROOT / "tests/support"))  # stores.py; clients and deep get here, too
READY = "Exporting HTTP/REST API at"


def free_port():
    """On all interfaces, as the server binds it, and out of the range from which connections get theirs."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket(socket.AF_INET6) as s:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            try:
                s.bind(("::", port))
            except OSError:
                continue
            return port


class Answer:
    def __init__(self, reply, body):
        self.status, self.reason, self.headers, self.body = reply.status, reply.reason, reply.headers, body

    @property
    def text(self):
        return self.body.decode("utf-8", "surrogateescape")


class Server:
    def __init__(self, *flags, config=None, env=None, wait=True, command=None):
        self.port = free_port()
        self.directory = tempfile.TemporaryDirectory()
        command = command or [str(SLUICE), "serve"]
        # A build that measures coverage writes its counts when it ends: SLUICE_TEST_FLAGS=--sandbox=off.
        more = os.environ.get("SLUICE_TEST_FLAGS", "").split()
        command += [f"--rest_api_port={self.port}", "--port=0", *more, *flags]
        if config is not None:
            path = pathlib.Path(self.directory.name) / "config.pbtxt"
            path.write_text(config)
            command.append(f"--model_config_file={path}")
        self.log_path = pathlib.Path(self.directory.name) / "log"
        self.command = command
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env={**os.environ, **(env or {})})
        if wait:
            self.wait_for(READY)

    @property
    def log(self):
        return self.log_path.read_text("utf-8", "replace")

    def wait_for(self, text, seconds=60):
        end = time.monotonic() + seconds
        while text not in self.log:
            if self.process.poll() is not None:
                pytest.fail(f"server ended with {self.process.returncode}:\n{self.log}")
            if time.monotonic() > end:
                pytest.fail(f"no {text!r} within {seconds} s:\n{self.log}")
            select.select([], [], [], 0.01)

    def ask(self, method, path, body=None, headers=None, timeout=60):
        """One request on a connection of its own."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            if isinstance(body, str):
                body = body.encode("utf-8", "surrogateescape")
            headers = dict(headers or {})
            c.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
            chunked = headers.get("Transfer-Encoding") == "chunked"
            for key, value in headers.items():
                c.putheader(key, value)
            if body is not None and not chunked:
                c.putheader("Content-Length", str(len(body)))
            c.endheaders()
            if chunked:
                for i in range(0, len(body), 7):
                    piece = body[i:i + 7]
                    c.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                c.send(b"0\r\n\r\n")
            elif body is not None:
                c.send(body)
            reply = c.getresponse()
            return Answer(reply, reply.read())
        finally:
            c.close()

    def raw(self, data, timeout=10, half_close=False):
        """Sends bytes as they are; returns all that comes until the server closes or is silent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as s:
            s.sendall(data)
            if half_close:
                s.shutdown(socket.SHUT_WR)
            got = b""
            s.settimeout(timeout)
            try:
                while piece := s.recv(65536):
                    got += piece
            except (TimeoutError, ConnectionResetError):
                pass
            return got

    def memory(self, key="VmRSS"):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
        return 0

    def stop(self, timeout=60):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail(f"server did not end on SIGTERM:\n{self.log}")
        log = self.log
        self.directory.cleanup()
        assert "ERROR: AddressSanitizer" not in log and "runtime error:" not in log, log
        assert "ThreadSanitizer" not in log and "LeakSanitizer" not in log, log
        return code


def model_config(*models):
    """models: (name, base_path) or (name, base_path, more)."""
    lines = []
    for name, path, *more in models:
        lines.append(f'  config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" {" ".join(more)} }}')
    return "model_config_list {\n" + "\n".join(lines) + "\n}\n"


@pytest.fixture(scope="session")
def servers():
    running = {}

    def get(*flags, config=None, **kw):
        key = (flags, config)
        if key not in running:
            running[key] = Server(*flags, config=config, **kw)
        return running[key]

    yield get
    for server in running.values():
        assert server.stop() == 0


@pytest.fixture
def start():
    """A server of a test's own."""
    running = []

    def get(*flags, **kw):
        running.append(Server(*flags, **kw))
        return running[-1]

    yield get
    try:
        for server in running:
            if server.process.poll() is None:
                server.stop()
    finally: # also those behind one that did not end well
        for server in running:
            if server.process.poll() is None:
                server.process.kill()
