"""The server around the models: reload, batching, probes, drain, access log, metrics."""
import json
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import ROOT, SLUICE, model_config

MY_MODEL, DIGITS = ROOT / "examples/models/my_model", ROOT / "examples/models/digits"
PATH = "/v1/models/my_model:predict"
ROW = '{"instances": [[1.0, 2.0, 3.0]]}'


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not within %s s" % seconds
        time.sleep(0.02)


def write_config(server, text):
    path = server.log_path.parent / "config.pbtxt"
    other = server.log_path.parent / "config.new"
    other.write_text(text)
    other.rename(path)


def test_the_configuration_file_is_read_again(start):
    server = start("--model_config_file_poll_wait_seconds=1", config=model_config(("my_model", MY_MODEL)))
    assert server.ask("GET", "/v1/models/digits").status == 404
    write_config(server, model_config(("my_model", MY_MODEL), ("digits", DIGITS)))
    until(lambda: server.ask("GET", "/v1/models/digits/metadata").status == 200)
    assert server.ask("POST", PATH, ROW).status == 200


def test_sighup_reads_it_too_and_a_broken_file_changes_nothing(start):
    server = start(config=model_config(("my_model", MY_MODEL)))
    write_config(server, "model_config_list { config { nme: 'x' } }")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("Failed to read ModelServerConfig file")
    assert server.ask("POST", PATH, ROW).status == 200
    write_config(server, model_config(("digits", DIGITS)))
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.ask("GET", "/v1/models/digits/metadata").status == 200)
    until(lambda: server.ask("POST", PATH, ROW).status == 404)


def test_batching_merges_requests_and_each_gets_its_rows(start, tmp_path):
    params = tmp_path / "batching.pbtxt"
    params.write_text("max_batch_size { value: 8 } batch_timeout_micros { value: 200000 }\n"
                      "num_batch_threads { value: 2 }")
    monitoring = tmp_path / "monitoring.pbtxt"
    monitoring.write_text("prometheus_config { enable: true }")
    server = start("--enable_batching", f"--batching_parameters_file={params}",
                   f"--monitoring_config_file={monitoring}", config=model_config(("my_model", MY_MODEL)))
    got = {}

    def ask(i):
        got[i] = server.ask("POST", PATH, json.dumps({"instances": [[i, 0, 0]]}))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for i in range(8):
        assert json.loads(got[i].text)["predictions"] == [[0.5 * i + 0.25]]
    page = server.ask("GET", "/monitoring/prometheus/metrics").text
    runs = int(re.search(r"batching_session:wrapped_run_count\{\} (\d+)", page).group(1))
    assert 1 <= runs < 8
    big = server.ask("POST", PATH, json.dumps({"instances": [[0, 0, 0]] * 9}))
    assert big.status == 400
    assert json.loads(big.text)["error"] == "Task size 9 is larger than maximum input batch size 8"


def test_a_model_can_choose_its_engine(start):
    server = start("--engine=native", config=model_config(("my_model", MY_MODEL), ("other", MY_MODEL, 'engine: "tensorflow"')))
    until(lambda: "Engine of {name: other version: 1}: tensorflow" in server.log)
    assert "Engine of {name: my_model version: 1}: native" in server.log
    assert server.ask("POST", "/v1/models/other:predict", ROW).status == 200


def test_probes(servers):
    server = servers(config=model_config(("my_model", MY_MODEL)))
    for path in ("/healthz", "/readyz", "/startupz", "/metrics"):
        assert server.ask("GET", path).status == 200
    without = servers("--extra_routes=false", config=model_config(("my_model", MY_MODEL)))
    for path in ("/healthz", "/readyz", "/startupz", "/metrics"):
        assert without.ask("GET", path).status == 404


def test_metrics_count_requests(start):
    server = start(config=model_config(("my_model", MY_MODEL)))
    for _ in range(3):
        server.ask("POST", PATH, ROW)
    server.ask("POST", PATH, "{")
    page = server.ask("GET", "/metrics").text
    assert ':tensorflow:serving:request_count{model_name="my_model",status="OK"} 3' in page
    assert ':tensorflow:serving:request_count{model_name="my_model",status="INVALID_ARGUMENT"} 1' in page
    assert ':tensorflow:serving:request_latency_count{model_name="my_model",API="predict",entrypoint="REST"} 3' in page
    assert ':tensorflow:serving:runtime_latency_count{model_name="my_model",API="Predict",runtime="TF1"} 3' in page


def test_sigterm_answers_what_is_in_flight_and_exits_0(start):
    server = start("--engine=tensorflow", config=model_config(("my_model", MY_MODEL)))
    rows = ",".join(["[1.0, 2.0, 3.0]"] * 300_000)
    body = ('{"instances": [' + rows + "]}").encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as s:
        s.sendall(b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (PATH.encode(), len(body)) + body[:-1])
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining")
        s.sendall(body[-1:])
        got = b""
        while piece := s.recv(1 << 20):
            got += piece
    assert got.startswith(b"HTTP/1.1 200 ") and b"Connection: close" in got[:500]
    assert got.count(b"4.75") == 300_000
    assert server.process.wait(30) == 0


def test_an_idle_server_ends_at_once(start):
    server = start(config=model_config(("my_model", MY_MODEL)))
    idle = socket.create_connection(("127.0.0.1", server.port))
    server.ask("POST", PATH, ROW)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    idle.close()


def test_the_access_log_has_a_line_a_request_and_no_values(start):
    server = start("--access_log=all", "--log_format=json", config=model_config(("my_model", MY_MODEL)))
    reply = server.ask("POST", PATH, '{"instances": [[12345.5, 2.0, 3.0]]}', {"x-request-id": "abc-1"})
    assert reply.headers["x-request-id"] == "abc-1"
    made = server.ask("POST", PATH, ROW, {"x-request-id": "bad id\t"}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{16}", made)
    until(lambda: made in server.log)
    lines = [json.loads(l) for l in server.log.splitlines() if '"access"' in l]
    assert [l["id"] for l in lines] == ["abc-1", made]
    assert lines[0]["model"] == "my_model" and lines[0]["status"] == 200 and lines[0]["version"] == 1
    assert lines[0]["bytes_in"] > 30 and lines[0]["bytes_out"] > 10
    assert "12345" not in server.log


def test_pipelined_requests_are_answered_in_order(servers):
    server = servers(config=model_config(("my_model", MY_MODEL)))
    request = b"".join(b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (PATH.encode(), len(b), b)
                       for b in (b'{"instances": [[%d, 0, 0]]}' % i for i in range(50)))
    got = server.raw(request + b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
    values = re.findall(rb'"predictions": \[\[([\d.]+)\]', got)
    assert [float(v) for v in values] == [0.5 * i + 0.25 for i in range(50)]


def test_it_listens_where_it_is_told(start, tmp_path):
    where = tmp_path / "sluice.sock"
    server = start(f"--rest_address=127.0.0.2:0,unix:{where}", config=model_config(("my_model", MY_MODEL)))
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(where))
        s.sendall(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert s.recv(4096).startswith(b"HTTP/1.1 200 ")
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", server.port), timeout=2)


def test_a_port_in_use_ends_the_start():
    with socket.socket(socket.AF_INET6) as s:
        s.bind(("::", 0))
        s.listen()
        ended = subprocess.run([SLUICE, "serve", f"--rest_api_port={s.getsockname()[1]}", "--model_name=m",
                                f"--model_base_path={MY_MODEL}"], capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1 and "in use" in ended.stderr


def test_the_tensorflow_process_comes_back(start):
    server = start("--engine=tensorflow", config=model_config(("my_model", MY_MODEL)))
    assert server.ask("POST", PATH, ROW).status == 200
    pid = int(re.search(r"Engine of .*pid (\d+)", server.log).group(1))
    subprocess.run(["kill", "-KILL", str(pid)], check=True)
    until(lambda: server.ask("POST", PATH, ROW).status in (200, 503))
    until(lambda: server.ask("POST", PATH, ROW).status == 200)
    assert json.loads(server.ask("POST", PATH, ROW).text) == {"predictions": [[4.75]]}
