"""Warm-up: a version's recorded requests are run before it is available."""
import json
import re
import shutil
import subprocess
import time

import pytest

import warmup_records as wr
from conftest import ROOT, SLUICE, model_config

HALF = ROOT / "tests/models/half_plus_two"
STATEFUL = ROOT / "tests/models/stateful"
X = wr.predict({"x": wr.floats(1, 2, 5)}, model="recorded")
EXAMPLES = wr.examples(wr.example(x=1.0), wr.example(x=2.0))
RETRY_NEVER = ("--max_num_load_retries=0", "--load_retry_interval_micros=0")


@pytest.fixture
def with_warmup(tmp_path):
    def make(model, content):
        copy = tmp_path / model.name
        shutil.copytree(model, copy)
        (copy / "1/assets.extra").mkdir()
        path = copy / "1/assets.extra/tf_serving_warmup_requests"
        path.write_bytes(content)
        return copy, path
    return make


def ready(server, model):
    state = json.loads(server.ask("GET", f"/v1/models/{model}").text)["model_version_status"][0]
    return state["state"] == "AVAILABLE", state["status"]["error_code"], state["status"]["error_message"]


def half(server, model="m"):
    answer = server.ask("POST", f"/v1/models/{model}:predict", '{"instances": [1.0, 2.0, 5.0]}')
    return answer.status, answer.text


def wait(server):
    """Until the first configuration has been loaded, or has failed."""
    end = time.monotonic() + 60
    while server.ask("GET", "/startupz").status != 200:
        assert time.monotonic() < end, server.log


def test_every_kind_of_record_is_run_and_logged_and_counted(start, with_warmup):
    copy, path = with_warmup(HALF, wr.tfrecords(
        X, wr.classify(EXAMPLES, "classify_x_to_y"), wr.regress(EXAMPLES, "regress_x_to_y"),
        wr.regress(wr.examples(wr.example(), context=wr.example(x=3.0)), "regress_x_to_y"),
        wr.multi(EXAMPLES, ("classify_x_to_y", "classify"), ("regress_x_to_y", "regress")),
        b""))
    server = start(config=model_config(("m", copy)))
    wait(server)
    assert ready(server, "m") == (True, "OK", "")
    log = server.log
    begin = log.index(f"Starting to read warmup data for model at {path} with model-warmup-options ")
    end = re.search(re.escape(f"Finished reading warmup data for model at {path}. ") +
                    r"Number of warmup records read: 6\. Elapsed time \(microseconds\): \d+\.", log)
    assert log.index("Status: success: OK") < begin < end.start()
    assert end.start() < log.index("Successfully loaded servable version {name: m version: 1}")
    page = server.ask("GET", "/metrics").text
    labels = f'{{model_path="{copy}/1",status="OK"}}'
    assert f":tensorflow:serving:model_warmup_records_read{labels} 6" in page
    assert f":tensorflow:serving:model_warmup_latency_count{labels} 1" in page
    # under the name in the record; no request was counted
    assert ':tensorflow:serving:runtime_latency_count{model_name="recorded",API="Predict",runtime="TF1"} 1' in page
    assert ':runtime_latency_count{model_name="m",API="Classify",runtime="TF1"} 1' in page
    assert ':runtime_latency_count{model_name="m",API="Regress",runtime="TF1"} 2' in page  # MultiInference has none
    assert ':request_count{model_name="recorded"' not in page
    assert half(server)[0] == 200


@pytest.mark.parametrize("flag, runs", [(None, 1), (-2, 1), (3, 3)])
def test_each_record_is_run_as_often_as_the_flag_says(start, with_warmup, flag, runs):
    step = wr.predict({"step": wr.int64(10)})
    copy, _ = with_warmup(STATEFUL, wr.tfrecords(step, step))
    flags = [] if flag is None else [f"--num_request_iterations_for_warmup={flag}"]
    server = start(*flags, config=model_config(("m", copy)))
    wait(server)
    answer = server.ask("POST", "/v1/models/m:predict", '{"inputs": {"step": 1}}')
    assert json.loads(answer.text)["outputs"] == 2 * runs * 10 + 1


def test_without_a_file_the_log_says_so(start):
    server = start(config=model_config(("m", HALF)))
    wait(server)
    assert f"No warmup data file found at {HALF}/1/assets.extra/tf_serving_warmup_requests" in server.log
    assert "model_warmup_latency_count" not in server.ask("GET", "/metrics").text
    assert ready(server, "m")[0]


def test_a_broken_file_is_ignored_when_warmup_is_off(start, with_warmup):
    copy, _ = with_warmup(HALF, b"this is not a TFRecord file")
    server = start("--enable_model_warmup=false", config=model_config(("m", copy)))
    wait(server)
    assert ready(server, "m")[0]
    assert "warmup data" not in server.log
    assert half(server)[0] == 200


def test_requests_of_a_batched_model_are_warmed_up_in_batches(start, with_warmup, tmp_path):
    params = tmp_path / "batching.pbtxt"
    params.write_text("max_batch_size { value: 4 } batch_timeout_micros { value: 1000 }")
    copy, _ = with_warmup(HALF, wr.tfrecords(X))
    server = start("--enable_batching", f"--batching_parameters_file={params}", config=model_config(("m", copy)))
    wait(server)
    assert ready(server, "m")[0]
    assert ":batching_session:wrapped_run_count{} 1" in server.ask("GET", "/metrics").text


BROKEN = {
    "not a TFRecord file": (
        b"this is not a TFRecord file", "DATA_LOSS",
        "corrupted record at 0 (Is this even a TFRecord file?). Please verify your warmup data is in TFRecord format."),
    "cut": (
        wr.tfrecords(X)[:-1], "DATA_LOSS",
        "truncated record at 0' failed with Read less bytes than requested. "
        "Please verify your warmup data is in TFRecord format."),
    "no PredictionLog": (
        wr.tfrecords(b"\x32\x7fnothing"), "INVALID_ARGUMENT", "Failed to parse warmup record: 2\\177nothing from {path}"),
    "session run": (
        wr.tfrecords(wr.field(5, b"")), "UNIMPLEMENTED", "Unsupported log_type for warmup: 5"),
    "streamed": (
        wr.tfrecords(wr.field(7, b"")), "UNIMPLEMENTED", "Unsupported log_type for warmup: 7"),
    "no such signature": (
        wr.tfrecords(wr.predict({"x": wr.floats(1)}, signature="s")), "FAILED_PRECONDITION",
        'Serving signature key "s" not found.'),
    "wrong input": (
        wr.tfrecords(wr.predict({"x": wr.floats(1), "z": wr.floats(1)})), "INVALID_ARGUMENT",
        "input size does not match signature: 2!=1 len({{x,z}}) != len({{x}}). Sent extra: {{z}}. "
        "Missing but required: {{}}."),
    "no examples": (
        wr.tfrecords(wr.classify(b"", "classify_x_to_y")), "INVALID_ARGUMENT", "Input is empty."),
    "too many": (
        wr.tfrecords(*[b""] * 1001), "INVALID_ARGUMENT", "Number of warmup records exceeds the maximum (1000) at {path}"),
}


@pytest.mark.parametrize("content, code, text", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_record_fails_the_load_and_the_server_lives_on(start, with_warmup, content, code, text):
    copy, path = with_warmup(HALF, content)
    server = start(*RETRY_NEVER, config=model_config(("broken", copy), ("m", HALF)))
    wait(server)
    assert ready(server, "broken") == (False, code, text.format(path=path))
    assert "Finished reading warmup data" not in server.log
    assert half(server, "broken")[0] == 404
    status, answer = half(server)
    assert status == 200 and json.loads(answer)["predictions"] == [2.5, 3.0, 4.5]
    page = server.ask("GET", "/metrics").text
    measured = f'model_warmup_latency_count{{model_path="{copy}/1",status="{code}: {text}"}} 1' in page
    assert measured == (code == "DATA_LOSS")


def test_a_thousand_records_are_not_too_many(start, with_warmup):
    copy, _ = with_warmup(HALF, wr.tfrecords(*[X] * 1000))
    server = start(config=model_config(("m", copy)))
    wait(server)
    assert ready(server, "m")[0]
    assert "Number of warmup records read: 1000." in server.log


# ---- versions that bring no requests ----

def test_without_recorded_requests_each_signature_is_run_with_zeros(start, tmp_path):
    shutil.copytree(HALF, tmp_path / "half")
    server = start(config=model_config(("m", tmp_path / "half")))
    # serving_default and regress_x2_to_y3; the others take strings.
    assert "Warmed up 2 signatures of {name: m version: 1} with requests of zeros." in server.log
    assert server.log.index("Warmed up 2 signatures") < server.log.index("Successfully loaded servable version {name: m")
    assert half(server)[0] == 200


def test_a_signature_that_counts_its_calls_is_left_alone(start):
    server = start(config=model_config(("m", STATEFUL)))
    assert "Warmed up" not in server.log
    first = json.loads(server.ask("POST", "/v1/models/m:predict", '{"inputs": {"step": 1}}').text)["outputs"]
    other = start("--synthetic_warmup=false", config=model_config(("m", STATEFUL)))
    assert json.loads(other.ask("POST", "/v1/models/m:predict", '{"inputs": {"step": 1}}').text)["outputs"] == first


@pytest.mark.parametrize("flag", ["--synthetic_warmup=false", "--enable_model_warmup=false"])
def test_flags_turn_it_off(start, flag):
    server = start(flag, config=model_config(("m", HALF)))
    assert "Warmed up" not in server.log


def test_tensorflow_models_are_warmed_up_too(start):
    server = start("--engine=tensorflow", config=model_config(("m", HALF)))
    assert "Warmed up 2 signatures of {name: m version: 1}" in server.log


# ---- sluice warmup ----

REQUESTS = """{"instances": [[1.0], [2.0]]}

[[3.0]]
{"signature_name": "classify_x_to_y", "examples": [{"x": 1.0}, {"x": 2.0}]}
{"signature_name": "regress_x_to_y", "context": {"x": 5.0}, "examples": [{}]}
{"signature_name": "regress_x2_to_y3", "inputs": [[7.0]]}
"""


def warmup(*args):
    ended = subprocess.run([SLUICE, "warmup", *map(str, args)], capture_output=True, text=True, timeout=120)
    return ended.returncode, ended.stdout, ended.stderr


def test_requests_in_json_become_a_file_that_tensorflow_reads_and_a_server_replays(start, tmp_path):
    copy, requests = tmp_path / "half", tmp_path / "requests.jsonl"
    shutil.copytree(HALF, copy)
    requests.write_text(REQUESTS)
    path = copy / "1/assets.extra/tf_serving_warmup_requests"
    assert warmup(copy, requests) == (0, f"5 requests written to {path}\n", "")
    assert warmup(copy, requests)[0] == 1 and "--force" in warmup(copy, requests)[2]

    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2
    logs = [prediction_log_pb2.PredictionLog.FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(path))]
    assert [log.WhichOneof("log_type") for log in logs] == [
        "predict_log", "predict_log", "classify_log", "regress_log", "predict_log"]
    first = logs[0].predict_log.request
    assert first.model_spec.name == "half" and first.model_spec.signature_name == "serving_default"
    assert tf.make_ndarray(first.inputs["x"]).tolist() == [[1.0], [2.0]]
    examples = logs[3].regress_log.request.input.example_list.examples
    assert [dict(e.features.feature)["x"].float_list.value[0] for e in examples] == [5.0]
    assert logs[4].predict_log.request.model_spec.signature_name == "regress_x2_to_y3"

    server = start(config=model_config(("m", copy)))
    assert "Number of warmup records read: 5." in server.log
    assert "Warmed up" not in server.log


@pytest.mark.parametrize("text, said", [
    ('[[1.0]]\n["a"]\n', ':2: Failed to process element: 0 of \'instances\' list'),
    ('\n\n{"instances": [[1.0]]', ":3: JSON Parse error"),
    ('{"signature_name": "nobody", "instances": [1.0]}', ':1: Serving signature name: "nobody" not found'),
    ('{"signature_name": "serving_default", "examples": [{"x": 1.0}]}', ":1: No classification inputs found"),
    ('{"inputs": {"z": 1.0}}', ":1: "),
    ("\n \n", "has no request"),
    ("[[1.0]]\n" * 1001, ":1001: more than 1000 requests"),
])
def test_what_is_wrong_is_told_with_its_line_and_nothing_is_written(tmp_path, text, said):
    copy, requests = tmp_path / "half", tmp_path / "requests.jsonl"
    shutil.copytree(HALF, copy)
    requests.write_text(text)
    code, out, err = warmup(copy, requests)
    assert code == 1 and out == "" and said in err
    assert not list(copy.rglob("tf_serving_warmup_requests*"))


def test_the_signature_and_the_output_can_be_given(tmp_path):
    requests, out = tmp_path / "requests.jsonl", tmp_path / "out"
    requests.write_text("[[1.0]]\n")
    assert warmup(HALF, requests, "--signature=regress_x2_to_y3", "--model_name=n", f"--output={out}")[0] == 0
    assert b"regress_x2_to_y3" in out.read_bytes() and b"\x0a\x01n" in out.read_bytes()
    assert warmup(HALF)[0] == 2
