"""Holes that servers of this kind have had, each tried here by its name.

Those whose test stands elsewhere: nested JSON (CVE-2025-0649), many tiny chunks (CVE-2025-23310, CVE-2025-23311),
oversized payloads (CVE-2025-33201) and request smuggling in test_hostile.py; rapid reset (CVE-2023-44487), the
CONTINUATION flood (CVE-2024-27316) and their like in test_http2.py; remote paths in test_remote.py.
"""
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import time

import pytest

from conftest import ROOT, model_config
from test_hostile import read_reply, status_of
from test_sandbox import host_of, status
from test_server import until

MY_MODEL, COMPAT = ROOT / "examples/models/my_model", ROOT / "tests/compat/models"
PATH = "/v1/models/my_model:predict"
ROW = '{"instances": [[1.0, 2.0, 3.0]]}'


@pytest.fixture(scope="module")
def server(servers):
    return servers(config=model_config(("my_model", MY_MODEL)))


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
def test_a_body_where_none_belongs_is_read_over(server, method):
    """The body of a GET must not be taken for the next request (smuggling behind a proxy that does read it)."""
    inner = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nevil"
    outer = f"{method} /v1/models/my_model HTTP/1.1\r\nHost: x\r\nContent-Length: {len(inner)}\r\n\r\n{inner}"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
        s.sendall(outer.encode() + f"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        got = b""
        while piece := s.recv(65536):
            got += piece
    answers = re.findall(rb"HTTP/1\.1 (\d+) ", got)
    assert len(answers) == 2 and answers[1] == b"200", got
    assert b"evil" not in got


LEAKS = [r"0x[0-9a-f]{6,}", r"/root/", r"/tmp/", r"\.c:\d+", r"\bshm\b", r"/dev/shm", r"libtensorflow", r"\bpid\b", r"\.(so|cc|py)\b",
         r"@\s+0x|\*\*\* ", str(ROOT)]


@pytest.mark.parametrize("method, path, body", [
    ("POST", PATH, "{"),
    ("POST", PATH, '{"instances": [["a"]]}'),
    ("POST", PATH, '{"instances": [[1, 2]]}'),
    ("POST", PATH, '{"inputs": {"nothing": 1}}'),
    ("POST", PATH, '{"signature_name": "nothing", "instances": [1]}'),
    ("POST", "/v1/models/../../etc/passwd:predict", ROW),
    ("POST", "/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd:predict", ROW),
    ("POST", "/v1/models/nothing:predict", ROW),
    ("POST", "/v1/models/my_model/versions/99:predict", ROW),
    ("GET", "/v1/models/nothing", None),
    ("GET", "/%2e%2e/%2e%2e/etc/passwd", None),
    ("GET", "/v1/../../../etc/passwd", None),
    ("POST", "/v1/models/my_model:classify", '{"examples": [{"x": 1}]}'),
    ("POST", "/v1/models/half:classify", '{"signature_name": "classify_x_to_y", "examples": [{}]}'),
    ("POST", "/v1/models/half:regress", '{"signature_name": "regress_x_to_y", "examples": [{"x": "a"}]}'),
    ("POST", "/v1/models/uneven:predict", '{"instances": [1]}'),
    ("POST", "/v2/models/my_model/infer", '{"inputs": [{"name": "nothing", "shape": [1], "datatype": "FP32", "data": [1]}]}'),
    ("POST", "/v2/models/my_model/infer", '{"inputs": [{"name": "input_example", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}'),
])
@pytest.mark.parametrize("engine", ["native", "tensorflow"])
def test_an_error_tells_nothing_about_the_inside(engines, engine, method, path, body):
    """CVE-2025-23319: a name in an error message that opened the rest. No addresses, files, names of memory."""
    got = engines(engine).ask(method, path, body)
    assert 400 <= got.status < 500, got.text
    says_nothing(got)


def says_nothing(got):
    for pattern in LEAKS:
        assert not re.search(pattern, got.text + str(got.headers)), (pattern, got.text)
    assert "Server" not in got.headers


@pytest.fixture(scope="module")
def engines(servers):
    def get(engine):
        s = servers(f"--engine={engine}", config=model_config(("my_model", MY_MODEL), ("half", COMPAT / "half_plus_two"),
                                                              ("uneven", COMPAT / "batch_mismatch_out")))
        until(lambda: s.ask("POST", PATH, ROW).status == 200)
        return s
    return get


def children(parent):
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, KeyError):
            if status(process.name)["PPid"] == str(parent):
                found.append(int(process.name))
    return found


def test_a_process_of_tensorflow_that_dies_takes_what_it_was_to_the_grave(start):
    """What was asked for meanwhile, and is asked for until it is back, gets an error without its inside."""
    server = start("--sandbox=default", "--engine=tensorflow", config=model_config(("my_model", MY_MODEL)))
    until(lambda: server.ask("POST", PATH, ROW).status == 200)
    host, seen = host_of(server), set()
    for pid in [*children(host), host]:
        os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        got = server.ask("POST", PATH, ROW)
        seen.add(got.status)
        if got.status == 200 and len(seen) > 1:
            break
        if got.status != 200:
            assert got.status == 503, got.text
            says_nothing(got)
    assert seen == {200, 503}


@pytest.mark.parametrize("path", ["/sluice/v1/config", "/sluice/v1/models", "/models", "/ping", "/v2/repository/models/x/load",
                                  "/v1/config", "/manage"])
def test_nobody_manages_models_over_the_open_port(server, path):
    """CVE-2023-43654: whoever reached the management port had the server load what lay at any URL."""
    body = f'model_config_list {{ config {{ name: "evil" base_path: "{MY_MODEL}" model_platform: "tensorflow" }} }}'
    for method in ("POST", "PUT"):
        got = server.ask(method, path, body, headers={"Content-Type": "text/plain"})
        if path.startswith("/v2/repository"):
            assert got.status in (400, 403, 404, 405), got.text  # from this machine: no such model
        else:
            assert got.status in (400, 403, 404, 405), got.text
    assert server.ask("GET", "/v1/models/evil").status == 404


@pytest.mark.parametrize("headers", [
    {"Origin": "http://evil.example", "Host": "evil.example:8501"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Host": "evil.example"},  # a name that its owner has let point to 127.0.0.1 (DNS rebinding)
])
@pytest.mark.parametrize("change", ["load", "unload"])
def test_a_web_page_does_not_administer(server, headers, change):
    """What a page can have a browser send without asking: it comes from this machine, and from a stranger."""
    for body in ("", "{}", " " * 3000000):  # the last one is judged by its head
        got = server.ask("POST", f"/v2/repository/models/my_model/{change}", body, headers={"Content-Type": "text/plain", **headers})
        assert got.status == 403, got.text
    assert server.ask("POST", PATH, ROW).status == 200
    assert server.ask("POST", "/v2/repository/models/my_model/load", "").status == 200  # who is no page


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "gopher://x", "s3://bucket/x"])
def test_no_input_makes_the_server_fetch_anything(server, url):
    """CVE-2025-54381: a URL in place of a file was fetched, wherever it led."""
    for body in ({"instances": [url]}, {"instances": [{"b64": url}]}, {"inputs": {"input_example": {"uri": url}}},
                 {"instances": [{"input_example": {"url": url}}]}):
        got = server.ask("POST", PATH, json.dumps(body))
        assert got.status == 400, got.text


def test_a_connection_that_is_upgraded_to_nothing_goes_on(server):
    """h2c upgrades smuggled past proxies: we do not upgrade, and answer in HTTP/1.1."""
    request = (f"POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
               f"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nContent-Length: {len(ROW)}\r\n\r\n{ROW}")
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
        for _ in range(2):
            s.sendall(request.encode())
            assert status_of(read_reply(s)) == 200
