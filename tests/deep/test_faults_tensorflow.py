"""The n-th allocation, read, write or thread fails in the host of TensorFlow, in the processes that it forks, or in the
server while it has to do with them.

As in test_faults.py; a forked process goes on with the count of the host (base/fault.h), so that n befalls both, each
once. Allocations are also pieces of shared memory and their mappings, threads also processes that are forked.

Beside what is promised there: the host itself never ends over one failure, since that would cost all models; a process
that does is started again, and each request is answered within its time.
"""
import base64
import json
import pathlib
import re
import select
import shutil
import signal
import socket
import time

import pytest
from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import model_management_pb2, predict_pb2

import test_faults
from deep import ROOT, Closed, Connection
from deep import request as http_request
from secured import H2
from served import Server, free_port, model_config
from test_faults import KINDS, UNABLE, child_of, libc, status_of

KINDS_OF_HOST = ["alloc", "read", "write", "thread"]
X = ("x", ROOT / "tests/models/image_bytes") # strings there and back
X_OF_FILES = ("x", ROOT / "tests/models/vocabulary_v1") # the same with variables and an asset, which are read
WORDS = ["red", "0123456789" * 25_600] # the second one is more than a region has at first
MOST_AT_END = {"alloc": 0, "read": 6, "write": 0, "thread": 0} # when a process ends, which cannot be asked then
FAILED = "Loading servable: {name: x version: 1} failed"
SAID = re.compile(r'(?:tensorflow host|model "\w+" version 1): faults: (\w+) (\d+)$')
REPEATED = re.compile(r"last line repeated (\d+) time") # the log leaves out what it has just said


def wait_for(what, seconds, said):
    end = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < end, said()
        select.select([], [], [], 0.005)
    return value


def arm(server, pid, kind, n):
    """test_faults.arm for a process of the server's. None: it has ended."""
    if pid == server.process.pid:
        return test_faults.arm(server, kind, n)

    def counts():
        found, last = [], None
        for line in server.log.splitlines():
            if (again := REPEATED.search(line)) is None:
                last = SAID.search(line)
            if last is not None and last[1] == kind:
                found += [int(last[2])] * (int(again[1]) if again else 1)
        return found

    before = len(counts())
    if libc.sigqueue(pid, signal.SIGRTMIN + KINDS.index(kind), n) != 0:
        return None
    wait_for(lambda: len(counts()) > before or not is_there(pid), 30, lambda: server.log[-5000:])
    return counts()[-1] if len(counts()) > before else None


def stat(pid):
    """Its name, its state and its parent; None if it is gone."""
    try:
        name, rest = pathlib.Path(f"/proc/{pid}/stat").read_text().split(" (", 1)[1].rsplit(") ", 1)
    except OSError:
        return None
    return name, rest.split()[0], int(rest.split()[1])


def is_there(pid):
    return (s := stat(pid)) is not None and s[1] not in "ZX"


def host_of(server):
    """Not what it forks to ask the library, which has its name."""
    pid = child_of(server, "tensorflow-host)")
    while pid is not None and (s := stat(pid)) is not None and (above := stat(s[2])) and above[0] == s[0]:
        pid = s[2]
    return pid


def model_of(server):
    """The process that runs it."""
    return child_of(server, "tensorflow)")


def predict(server, word):
    """The status; None if the connection was lost. Wrong answers and errors that say nothing are found here."""
    if server.x == X:
        word = base64.b64encode(word.encode()).decode()
    body = json.dumps({"instances": [{"b64": word} if server.x == X else word]}).encode()
    try:
        with Connection(server.port, timeout=60) as c:
            status, text = c.ask(http_request("POST", "/v1/models/x:predict", body))
    except (Closed, ConnectionError):
        return None
    if status == 200:
        got = json.loads(text)["predictions"][0]
        assert got["image_bytes"]["b64"] == word if server.x == X else got["texts"] == "hello, " + word
    else:
        assert status in UNABLE | {404}, (status, text)
        assert text == b"" or json.loads(text)["error"], text # there may be no memory for a text
    return status


def reload(port, models):
    """Is it done? The rest of the answer is in the log."""
    m = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(model_config(*models), m.config)
    try:
        c = H2(socket.create_connection(("127.0.0.1", port), timeout=120)) # who loads has the smallest share there is
    except ConnectionError:
        return False
    try:
        return c.call(test_faults.RELOAD, m.SerializeToString())[0] == "grpc 0"
    except (Closed, ConnectionError):
        return False
    finally:
        c.close()


@pytest.fixture
def tensorflow(start, kind):
    port, x = free_port(), X_OF_FILES if kind == "read" else X
    server = start("--engine=tensorflow", "--file_system_poll_wait_seconds=0", "--max_num_load_retries=0",
                   f"--grpc_address=127.0.0.1:{port}", config=model_config(x))
    server.grpc, server.x = port, x
    wait_for(lambda: status_of(server, "GET", "/startupz") == 200, 120, lambda: server.log)
    assert [predict(server, word) for word in WORDS] == [200, 200]
    yield server
    assert server.stop() == 0


def wait_for_the_end(server):
    """Of the process that runs the model. Nobody asks anything meanwhile, or it would take its time."""
    wait_for(lambda: model_of(server) is None, 60, lambda: server.log[-3000:])


def unload(server):
    assert reload(server.grpc, []), server.log[-3000:]
    wait_for_the_end(server)
    assert predict(server, WORDS[0]) == 404


def serves_again(server):
    """Whatever is started again, is."""
    wait_for(lambda: [predict(server, word) for word in WORDS] == [200, 200], 60, lambda: server.log[-5000:])


def why_not_loaded(server):
    """What the status of the model says: a code that lets it be tried again, and a text."""
    status = json.loads(server.ask("GET", "/v1/models/x").text)["model_version_status"][0]["status"]
    assert status["error_code"] not in ("OK", "INVALID_ARGUMENT") and len(status["error_message"]) > 10, status
    return f'{status["error_code"]}: {status["error_message"]}'


def one_life(server, who, kind, n):
    """x is loaded, asked and unloaded, with the n-th failing. Whether it was loaded, what the requests got, and whether
    nobody came as far as n; and why it was not loaded."""
    server_pid, host = server.process.pid, host_of(server)
    armed = host if who == "host" else server_pid
    calls = ending = 0
    arm(server, armed, kind, n)
    done = reload(server.grpc, [server.x])
    got = [predict(server, word) for word in WORDS]
    child = model_of(server) if who == "host" else None
    if child is not None:
        calls = arm(server, child, kind, 0) or 0
        ending = MOST_AT_END[kind]
    if done:
        serves_again(server)
    if child is not None and 0 < n - calls <= ending:
        arm(server, child, kind, n - calls)
    why = why_not_loaded(server) if who == "host" and not done else ""
    if removed := reload(server.grpc, []):
        wait_for_the_end(server)
    calls = max(calls + ending, arm(server, armed, kind, 0) or 0)
    if who == "host":
        assert removed, server.log[-3000:]
        assert host_of(server) == host, server.log[-3000:]
    return done, got, done and calls < n, why


def steps(most):
    n = 1
    while n < 4000:
        yield n
        n += 1 if n < most else n // 3
    pytest.fail("the scenario never ends")


@pytest.mark.parametrize("kind", KINDS_OF_HOST)
@pytest.mark.parametrize("who", ["host", "server"])
def test_each_failure_in_the_life_of_a_model_of_tensorflow(who, kind, tensorflow):
    unloaded = refused = 0
    unload(tensorflow)
    for n in steps(30 if who == "host" else 10):
        done, got, over, why = one_life(tensorflow, who, kind, n)
        print(f"{time.monotonic():.3f}", n, done, got, why)
        unload(tensorflow)
        unloaded += not done
        refused += done and got != [200, 200]
        if not done:
            assert reload(tensorflow.grpc, [tensorflow.x]), (n, tensorflow.log[-3000:])
            serves_again(tensorflow)
            unload(tensorflow)
        elif who == "host":
            assert 404 not in got and None not in got, (n, got)
        if over:
            assert got == [200, 200]
            break
    print(f"{who}, {kind}: up to the {n}-th; {unloaded} times it was not loaded, {refused} times not answered")


SHORT = {"alloc": (1, 2, 5, 8, 13, 16), "write": (1, 2, 4), "thread": (1, 2)}


@pytest.mark.parametrize("kind", SHORT)
def test_when_all_fail_from_the_nth_on_it_is_over_with_the_shortage(kind, tensorflow):
    """The host may end, too, when it cannot say what has become of a model."""
    ended = 0
    unload(tensorflow)
    for n in SHORT[kind]:
        host = host_of(tensorflow)
        arm(tensorflow, host, kind, -n)
        done = reload(tensorflow.grpc, [tensorflow.x])
        got = [predict(tensorflow, word) for word in WORDS]
        over = host_of(tensorflow) != host # the next host has more memory: the load may go on there
        assert n > 1 or over or got != [200, 200]
        for pid in (host_of(tensorflow), model_of(tensorflow)):
            if pid is not None:
                arm(tensorflow, pid, kind, 0)
        print(n, done, got)
        ended += over
        if not done:
            unload(tensorflow)
            assert reload(tensorflow.grpc, [tensorflow.x]), (n, tensorflow.log[-3000:])
        serves_again(tensorflow)
        unload(tensorflow)
    print(f"{kind}: the host ended {ended} times")


@pytest.mark.parametrize("kind", KINDS_OF_HOST)
def test_each_failure_while_the_host_of_tensorflow_starts(kind):
    """It starts, and serves; a load that failed is tried again."""
    failed = 0
    for n in steps(6):
        server = Server("--engine=tensorflow", "--file_system_poll_wait_seconds=0", "--max_num_load_retries=1000",
                        "--load_retry_interval_micros=100000", config=model_config(X),
                        env={"SLUICE_FAULT_HOST": f"{kind} {n}"}, wait=False)
        try:
            server.x = X
            wait_for(lambda: status_of(server, "GET", "/startupz") == 200 or FAILED in server.log, 120,
                     lambda: server.log)
            calls = arm(server, host_of(server), kind, 0) # what is left of n would befall each process that it forks
            wait_for(lambda: status_of(server, "GET", "/startupz") == 200, 120, lambda: server.log)
            serves_again(server)
            served_at_once = FAILED not in server.log
            assert server.stop() == 0
        finally:
            if server.process.poll() is None:
                server.process.kill()
        failed += not served_at_once
        if served_at_once and calls < n:
            break
    print(f"{kind}: up to the {n}-th; {failed} loads failed at first")


def test_each_allocation_of_a_request_with_many_tensors(start, tmp_path):
    """More than there is room for on the stack of who serves it."""
    shutil.copytree(ROOT / "tests/models/variables/1", tmp_path / "many/1")
    file = tmp_path / "many/1/saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    outputs = model.meta_graphs[0].signature_def["serving_default"].outputs
    for name in list(outputs):
        outputs[name + "_again"].CopyFrom(outputs[name])
    file.write_bytes(model.SerializeToString())

    port = free_port()
    server = start("--engine=tensorflow", f"--grpc_address=127.0.0.1:{port}",
                   config=model_config(("many", tmp_path / "many")))
    wait_for(lambda: status_of(server, "GET", "/startupz") == 200, 120, lambda: server.log)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "many"
    c = H2(socket.create_connection(("127.0.0.1", port), timeout=60))

    def ask():
        status, text = c.call("/tensorflow.serving.PredictionService/Predict", request.SerializeToString())
        return status, dict(predict_pb2.PredictResponse.FromString(text[5:]).outputs) if status == "grpc 0" else None

    right = ask()
    assert right[0] == "grpc 0" and len(right[1]) == 32
    for n in range(1, 30):
        arm(server, model_of(server), "alloc", n)
        got = ask()
        calls = arm(server, model_of(server), "alloc", 0)
        assert got == right or got[0] == "grpc 8", (n, got)
        assert ask() == right
        if calls < n:
            break
    assert got == right and n > 3
    c.close()
