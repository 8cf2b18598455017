"""The n-th allocation, read, write, accept or thread fails in the real server.

While it serves, for every n there is. Starting, ending and changing the configuration, and the helper that fetches, are
tried for each of the first forty and for more and more distant ones after that: each n is a process, or some seconds.

Needs a server built with SLUICE_FAULTS (build/asan): base/fault.h says how it is armed. What is promised: each
reply is the right one or says that the server could not; a connection may be closed; nothing crashes, nothing
leaks (AddressSanitizer looks at the end), and the next request is served.
"""
import ctypes
import http.client
import json
import pathlib
import re
import select
import signal
import socket
import subprocess
import time

import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2

import stores
from deep import ANSWER, CONFIG, HONEST, PATH, ROOT, ROW, Closed, Connection
from deep import request as http_request
from secured import H2, Caller, Secured
from served import SLUICE, Server, free_port

KINDS = ["alloc", "read", "write", "accept", "thread", "arena"]
UNABLE = {429, 500, 503, 507}
UNABLE_GRPC = {"grpc 8", "grpc 13", "grpc 14"}
libc = ctypes.CDLL(None, use_errno=True)
libc.sigqueue.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p]


def arm(server, kind, n):
    """Lets the n-th call from now fail (0: none). Returns how many there were since the last time."""
    before = server.log.count(f"faults: {kind} ")
    assert libc.sigqueue(server.process.pid, signal.SIGRTMIN + KINDS.index(kind), n) == 0
    end = time.monotonic() + 30
    while True:
        got = re.findall(rf"faults: {kind} (\d+)\n", server.log)
        if len(got) > before:
            return int(got[-1])
        assert server.process.poll() is None, server.log[-5000:]
        assert time.monotonic() < end, "not built with SLUICE_FAULTS?"
        select.select([], [], [], 0.002)


def status_of(server, *what):
    """The failure may befall this very request: None then."""
    try:
        return server.ask(*what).status
    except (ConnectionError, http.client.HTTPException):
        return None


def scenario(server, right):
    """Every honest request on one connection, a new one when the server closed it. How many were right?"""
    good = 0
    c = Connection(server.port, timeout=30)
    for i, (data, _) in enumerate(HONEST[:-1]): # the metrics are different each time
        try:
            status, body = c.ask(data)
        except Closed:
            c.close()
            c = Connection(server.port, timeout=30)
            continue
        if status in UNABLE:
            assert body == b"" or json.loads(body)["error"], body # there may be no memory for a text
        else:
            assert (status, body) == right[i], (data[:100], status, body[:300])
            good += 1
        if c.socket.fileno() < 0:
            c = Connection(server.port, timeout=30)
    c.close()
    return good


@pytest.fixture(params=["native", "tensorflow"])
def server(start, request):
    server = start(f"--engine={request.param}", "--file_system_poll_wait_seconds=0", config=CONFIG)
    yield server
    assert server.stop() == 0 # and no word of a sanitizer: stop() looks


@pytest.mark.parametrize("kind", ["alloc", "read", "write", "accept", "arena"])
def test_each_failure_while_serving(server, kind):
    while status_of(server, "GET", "/startupz") != 200:
        select.select([], [], [], 0.01)
    with Connection(server.port) as c:
        right = [c.ask(data) for data, _ in HONEST[:-1]]
    assert scenario(server, right) == len(right)
    refused = 0
    for n in range(1, 2000):
        arm(server, kind, n)
        good = scenario(server, right)
        refused += good < len(right)
        calls = arm(server, kind, 0)
        with Connection(server.port, timeout=30) as c:
            status, body = c.ask(http_request("POST", PATH, ROW))
            assert status == 200 and json.loads(body) == ANSWER
        if calls < n:
            assert good == len(right)
            break
    else:
        pytest.fail("the scenario never ends")
    print(f"{kind}: {n - 1} places failed, {refused} of them seen by the client")
    assert n > 1


def secured_scenario(c, right):
    """The same over TLS, with tokens, in REST, HTTP/2 and gRPC. How many were right?"""
    good = 0
    for name, wanted, step in c.steps:
        try:
            status, body = step()
        except Closed:
            continue
        if status in UNABLE or status in UNABLE_GRPC and status != wanted:
            continue
        assert (status, body) == (wanted, right[name]), (name, status, body[:300])
        good += 1
    c.hang_up()
    return good


@pytest.fixture
def secured(tmp_path):
    s = Secured(tmp_path, "--engine=native", "--file_system_poll_wait_seconds=0")
    yield s
    assert s.server.stop() == 0


@pytest.mark.parametrize("kind", ["alloc", "read", "write", "accept", "arena"])
def test_each_failure_while_serving_over_tls_with_tokens(kind, secured):
    s, c = secured, Caller(secured)
    right = {name: step()[1] for name, _, step in c.steps}
    c.hang_up()
    assert secured_scenario(c, right) == len(right)
    refused, n = 0, 1
    while n < 4000:
        arm(s.server, kind, n)
        good = secured_scenario(c, right)
        refused += good < len(right)
        calls = arm(s.server, kind, 0)
        assert secured_scenario(c, right) == len(right)
        if calls < n:
            assert good == len(right)
            break
        n += 1
    else:
        pytest.fail("the scenario never ends")
    print(f"{kind}: {n - 1} places failed, {refused} of them seen by the client")
    assert n > 1


@pytest.mark.parametrize("kind", ["alloc", "read", "write", "thread"])
def test_each_failure_while_starting(kind):
    """It starts and serves, or says why not and ends with 1. Steps grow, so that this ends."""
    n, served = 1, 0
    while n < 4000:
        server = Server("--engine=native", "--file_system_poll_wait_seconds=0", "--max_num_load_retries=0",
                        config=CONFIG, env={"SLUICE_FAULT": f"{kind} {n}"}, wait=False)
        end = time.monotonic() + 60
        # Loading goes on while it listens, and it may still find then that a thread cannot be had.
        while server.process.poll() is None and status_of(server, "GET", "/startupz") != 200:
            assert time.monotonic() < end, server.log # which may lack a line: writing it may have failed
            select.select([], [], [], 0.005)
        if server.process.poll() is None:
            calls = arm(server, kind, 0)
            status = status_of(server, "POST", PATH, ROW)
            assert status in (200, 404, 503), (n, status)
            served += status == 200
            assert server.stop() == 0
            if calls < n:
                assert status == 200
                break
        else:
            assert server.process.returncode == 1 and server.log.strip(), (n, server.log)
            assert "Sanitizer" not in server.log and "runtime error" not in server.log, server.log
            server.directory.cleanup()
        n += 1 if n < 40 else n // 8
    else:
        pytest.fail("starting never ends")
    print(f"{kind}: up to the {n}-th; served all the same {served} times")


RELOAD = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
TEXT_OF_X = f'config {{ name: "x" base_path: "{ROOT}/tests/models/half_plus_two" model_platform: "tensorflow" }}\n'
PREDICT_X = ("POST", "/v1/models/x:predict", '{"instances": [1.0]}')


def reload_message(with_x):
    text = CONFIG.replace("model_config_list {\n", "model_config_list {\n" + (TEXT_OF_X if with_x else ""))
    m = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(text, m.config)
    return m.SerializeToString()


def reload(port, with_x):
    """The call's status; None if its connection was lost."""
    c = None
    try:
        c = H2(socket.create_connection(("127.0.0.1", port), timeout=60))
        return c.call(RELOAD, reload_message(with_x))[0]
    except (Closed, ConnectionError):
        return None
    finally:
        if c is not None:
            c.close()


@pytest.mark.parametrize("kind", ["alloc", "read", "write", "accept", "thread"])
def test_each_failure_while_the_configuration_changes(kind, start):
    """A model is added, and loads, or its status says why not; the others are served meanwhile, and when it is added
    again all is well."""
    port = free_port()
    server = start("--engine=native", "--file_system_poll_wait_seconds=0", "--max_num_load_retries=0",
                   f"--grpc_address=127.0.0.1:{port}", config=CONFIG)
    while status_of(server, "GET", "/startupz") != 200:
        select.select([], [], [], 0.01)
    assert reload(port, False) == "grpc 0"
    n, refused = 1, 0
    while n < 20000:
        arm(server, kind, n)
        status = reload(port, True)
        with_x = status_of(server, *PREDICT_X)
        mine = status_of(server, "POST", PATH, ROW)
        calls = arm(server, kind, 0)
        assert mine in (200, 503, None), (n, mine)
        assert with_x in (200, 404, 429, 503, None), (n, with_x)
        refused += status != "grpc 0"
        if status == "grpc 0" and calls < n:
            assert with_x == 200
        assert status_of(server, "POST", PATH, ROW) == 200
        assert reload(port, False) == "grpc 0"
        assert reload(port, True) == "grpc 0"
        assert status_of(server, *PREDICT_X) == 200, (n, server.log[-3000:])
        assert reload(port, False) == "grpc 0"
        assert status_of(server, *PREDICT_X) == 404
        if calls < n:
            break
        n += 1 if n < 40 else n // 8
    else:
        pytest.fail("reloading never ends")
    print(f"{kind}: up to the {n}-th; {refused} reloads refused")
    assert n > 1
    assert server.stop() == 0


@pytest.mark.parametrize("kind", ["alloc", "read", "write", "thread"])
def test_each_failure_while_ending(kind):
    """With requests in flight and connections that are kept it drains and ends with 0, whatever fails."""
    for n in (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 21, 34, 55):
        server = Server("--engine=native", "--file_system_poll_wait_seconds=0", config=CONFIG)
        try:
            while status_of(server, "GET", "/startupz") != 200:
                select.select([], [], [], 0.005)
            kept = [Connection(server.port) for _ in range(3)]
            assert kept[0].ask(http_request("POST", PATH, ROW))[0] == 200
            kept[1].socket.sendall(http_request("POST", PATH, ROW)[:-5])
            arm(server, kind, n)
            server.process.send_signal(signal.SIGTERM)
            try: # it may befall this very connection
                kept[1].socket.sendall(http_request("POST", PATH, ROW)[-5:])
                assert kept[1].reply()[0] in {200, *UNABLE}
            except (Closed, ConnectionError):
                pass
            for c in kept:
                c.close()
            assert server.stop() == 0
        finally:
            if server.process.poll() is None:
                server.process.kill()


def child_of(server, name):
    """The process of that name that the server has started; None if there is none."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
        except OSError:
            continue
        if stat.split(" (")[1].startswith(name) and ancestor(int(folder.name), server.process.pid):
            return int(folder.name)
    return None


def ancestor(pid, wanted):
    while pid > 1 and pid != wanted:
        try:
            pid = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
        except OSError:
            return False
    return pid == wanted


@pytest.mark.parametrize("kind", ["alloc", "read", "write", "thread"])
def test_each_failure_while_fetching(kind, start, tmp_path):
    """The helper that fetches may fail, or end: it is tried again, and what serves goes on serving."""
    half = ROOT / "tests/models/half_plus_two/1"
    with stores.web() as site:
        site.files["/half.tar.gz"] = stores.tar(("model/1", half))
        server = start("--engine=native", "--remote_poll_wait_seconds=1", f"--remote_cache_dir={tmp_path}/cache",
                       config=f'model_config_list {{ config {{ name: "half" base_path: "{site.url}/half.tar.gz" '
                              'model_platform: "tensorflow" } }', env=stores.NO_CREDENTIALS)
        n, version = 1, 1
        while n < 400:
            helper = child_of(server, "sluice-fetch")
            if helper is not None:
                libc.sigqueue(helper, signal.SIGRTMIN + KINDS.index(kind), n)
            version += 1
            site.files["/half.tar.gz"] = stores.tar((f"model/{version}", half))
            end = time.monotonic() + 60
            while True:
                reply = server.ask("POST", "/v1/models/half:predict", '{"instances": [1.0]}')
                assert reply.status == 200 and json.loads(reply.text)["predictions"] == [2.5]
                if reply.headers["x-sluice-version"] == str(version):
                    break
                assert time.monotonic() < end, server.log[-3000:]
                select.select([], [], [], 0.02)
            n += 1 if n < 10 else n // 3
        assert server.log.count(f"faults: {kind} ") > 5 # the helper was there, and heard of it
        assert server.stop() == 0
