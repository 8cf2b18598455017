"""A hostile request costs at most so much more than an honest one of its size.

The rule: to decode, check, queue and answer (or refuse) 10 KB takes at most 1 MB of memory, and at most 100
times the processor time that an honest request of that size takes. (What the model itself needs is known from its
plan; what gzip and short lists expand to is bounded, and charged before it is made.)
"""
import json
import pathlib
import socket
import time

import pytest

from conftest import ROOT, model_config

PATH = "/v1/models/my_model:predict"
SIZE = 10 * 1024
ROUNDS = 40


def fill(begin, piece, end):
    """begin, as many pieces as fit, end: SIZE bytes or a little less."""
    n = (SIZE - len(begin) - len(end)) // len(piece)
    return begin + piece * n + end


HONEST = fill('{"instances": [[1.0, 2.0, 3.0]', ", [0.25, 1.5, -3.125]", "]}")
HOSTILE = {
    "open_brackets": "[" * SIZE,
    "open_objects": fill("", '{"a":', ""),
    "nested_instances": fill('{"instances": ', "[", ""),
    "nested_and_closed": '{"instances": ' + "[" * 5000 + "]" * 5000 + "}",
    "empty_rows": fill('{"instances": [[]', ",[]", "]}"),
    "empty_objects": fill('{"instances": [{}', ",{}", "]}"),
    "ragged": fill('{"instances": [[1]', ",[1,2],[1]", "]}"),
    "many_inputs": '{"inputs": {' + ",".join(f'"i{k}": 1' for k in range(900)) + "}}",
    "one_name_again_and_again": fill('{"inputs": {"input_example": [[1,2,3]]', ',"input_example": [[1,2,3]]', "}}"),
    "many_keys": "{" + ",".join(f'"k{k}": 1' for k in range(900)) + "}",
    "instances_again_and_again": fill('{"instances": [[1,2,3]]', ',"instances": [[1,2,3]]', "}"),
    "long_number": '{"instances": [[' + "1" * (SIZE - 40) + ", 2, 3]]}",
    "long_fraction": '{"instances": [[0.' + "3" * (SIZE - 40) + ", 2, 3]]}",
    "long_exponent": '{"instances": [[1e' + "0" * (SIZE - 40) + "1, 2, 3]]}",
    "hard_numbers": fill('{"instances": [[1.0,2.0,3.0]', ",[2.2250738585072011e-308,1.7976931348623157e308,9007199254740993.0]", "]}"),
    "long_name": '{"inputs": {"' + "a" * (SIZE - 30) + '": 1}}',
    "long_signature": '{"signature_name": "' + "s" * (SIZE - 60) + '", "instances": [[1,2,3]]}',
    "escapes": fill('{"inputs": {"', "\\u0041", '": 1}}'),
    "surrogates": fill('{"inputs": {"', "\\ud83d\\ude00", '": 1}}'),
    "b64": fill('{"instances": [{"b64": "', "QUJD", '"}]}'),
    "many_b64": fill('{"instances": [{"b64": "QQ=="}', ',{"b64": "QQ=="}', "]}"),
    "blanks": fill('{"instances": [[1,2,3', " ", "]]}"),
    "strings_for_numbers": fill('{"instances": [["a"', ',"a"', "]]}"),
    "no_json": "\xff" * 5000,
}


def cpu(server):
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


class Client:
    """One connection that is opened again whenever the server has closed it."""

    def __init__(self, server):
        self.server, self.socket = server, None

    def send(self, body):
        data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.server.port), timeout=60)
            self.file = self.socket.makefile("rb")
        self.socket.sendall(head + data)
        status = int(self.file.readline().split()[1])
        headers = {}
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, value = line.decode("latin1").split(":", 1)
            headers[name.lower()] = value.strip()
        self.file.read(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            self.close()
        return status

    def close(self):
        if self.socket is not None:
            self.file.close()
            self.socket.close()
        self.socket = None


def seconds_of(server, client, body):
    """Processor seconds of the server for one such request: as many as take a measurable time."""
    n, begin = 0, cpu(server)
    end = time.monotonic() + 20
    while True:
        for _ in range(ROUNDS):
            client.send(body)
        n += ROUNDS
        ticks = cpu(server) - begin
        if ticks >= 3 or time.monotonic() > end or n >= 4000:
            return max(ticks, 1) / 100 / n


@pytest.fixture(scope="module")
def server(servers):
    return servers("--max_queue=64", config=model_config(("my_model", ROOT / "examples/models/my_model")))


@pytest.fixture(scope="module")
def honest(server):
    client = Client(server)
    assert client.send(HONEST) == 200
    seconds = seconds_of(server, client, HONEST)
    client.close()
    return seconds


@pytest.mark.parametrize("name", HOSTILE)
def test_ten_kilobytes_cost_little(server, honest, name):
    body = HOSTILE[name]
    assert len(body.encode("utf-8", "surrogatepass")) <= SIZE + 64
    client = Client(server)
    client.send(HONEST)
    pathlib.Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")  # the peak begins anew
    before = server.memory("VmRSS")
    status = client.send(body)
    assert status in (200, 400), status
    grown = server.memory("VmHWM") - before
    seconds = seconds_of(server, client, body)
    client.close()
    assert grown <= 1 << 20, f"{grown} bytes"
    assert seconds <= 100 * honest, f"{seconds * 1e6:.0f} us, an honest one {honest * 1e6:.0f} us"
    assert server.ask("POST", PATH, HONEST).status == 200
