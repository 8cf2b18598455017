"""Classify, Regress, MultiInference, GetModelMetadata and ModelService, with TensorFlow Serving's own client."""
import json
import shutil
import subprocess
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import (classification_pb2, get_model_metadata_pb2, get_model_status_pb2, inference_pb2,
                                     model_management_pb2, regression_pb2)
from tensorflow_serving.config import model_server_config_pb2

from conftest import ROOT, SLUICE, Server, free_port, model_config
from grpc_client import MODEL, PREDICTION, Client, fails, grpc_server, predict_request

MODELS, COMPAT = ROOT / "tests/models", ROOT / "tests/compat/models"
C = grpc.StatusCode
HALF = COMPAT / "half_plus_two"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    broken = tmp_path_factory.mktemp("broken")
    (broken / "1").mkdir()
    (broken / "1" / "saved_model.pb").write_bytes(b"\xff\xff")
    s = grpc_server("--max_num_load_retries=0", "--incomplete_version_timeout_s=1", "--access_log=all", config=model_config(
        ("half_plus_two", HALF, "model_version_policy { specific { versions: 123 } }"),
        ("classifier", COMPAT / "classifier"), ("linear", MODELS / "linear"), ("broken", broken)))
    yield s
    s.grpc.close()
    assert s.stop() == 0


def example(**features):
    e = tf.train.Example()
    for name, value in features.items():
        e.features.feature[name].float_list.value.append(value)
    return e


def fill(request, examples, model="half_plus_two", signature="", context=None):
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if context is None:
        request.input.example_list.examples.extend(examples)
    else:
        request.input.example_list_with_context.examples.extend(examples)
        request.input.example_list_with_context.context.CopyFrom(context)
    return request


def classify(*a, **kw):
    return fill(classification_pb2.ClassificationRequest(), *a, **kw)


def regress(*a, **kw):
    return fill(regression_pb2.RegressionRequest(), *a, **kw)


# ---- Classify and Regress ----

def test_regress(server):
    reply = server.grpc.prediction.Regress(regress([example(x=2), example(x=6)], signature="regress_x_to_y"), timeout=20)
    assert [r.value for r in reply.result.regressions] == [3, 5]
    assert (reply.model_spec.name, reply.model_spec.version.value, reply.model_spec.signature_name) == (
        "half_plus_two", 123, "regress_x_to_y")


def test_classify(server):
    reply = server.grpc.prediction.Classify(classify([example(x=2)], signature="classify_x_to_y"), timeout=20)
    assert [[c.score for c in r.classes] for r in reply.result.classifications] == [[3]]


def test_a_context_is_merged_into_every_example(server):
    request = regress([example(), example(x=8)], signature="regress_x_to_y", context=example(x=2))
    reply = server.grpc.prediction.Regress(request, timeout=20)
    assert [r.value for r in reply.result.regressions] == [3, 6]


@pytest.mark.parametrize("method, request_, code, text", [
    ("Regress", regress([]), C.INVALID_ARGUMENT, None),
    ("Regress", regress([], signature="regress_x_to_y"), C.INVALID_ARGUMENT, "Input is empty."),
    ("Classify", classify([], signature="classify_x_to_y"), C.INVALID_ARGUMENT, "Input is empty."),
    ("Regress", regress([example(x=1)], signature="nope"), C.INVALID_ARGUMENT,
     "No signature was found with the name: nope"),
    ("Classify", classify([example(x=1)], signature="nope"), C.INVALID_ARGUMENT,
     "No signature was found with the name: nope"),
    ("Regress", regress([example(x=1)], model="nobody"), C.NOT_FOUND, "Servable not found for request: Latest(nobody)"),
    ("Regress", regress([example(x=1)], model=""), C.INVALID_ARGUMENT, "ModelSpec has no name specified."),
    ("Regress", regression_pb2.RegressionRequest(), C.INVALID_ARGUMENT, "Missing ModelSpec"),
    ("Classify", classification_pb2.ClassificationRequest(), C.INVALID_ARGUMENT, "Missing ModelSpec"),
    ("Regress", regress([example()], signature="regress_x_to_y"), C.INVALID_ARGUMENT,
     lambda t: t.startswith("Name: <unknown>, Feature: x (data type: float) is required but could not be found.")),
])
def test_errors(server, method, request_, code, text):
    with fails(code, text):
        getattr(server.grpc.prediction, method)(request_, timeout=20)


def test_signatures_of_another_form(server):
    with fails(C.INVALID_ARGUMENT, lambda t: t.startswith("No regression inputs found in SignatureDef: ")):
        server.grpc.prediction.Regress(regress([example(x=1)]), timeout=20)
    with fails(C.INVALID_ARGUMENT, lambda t: t.startswith("No classification inputs found in SignatureDef: ")):
        server.grpc.prediction.Classify(classify([example(x=1)]), timeout=20)


def test_an_example_that_does_not_decode_is_internal(server):
    body = regress([], signature="regress_x_to_y").SerializeToString() + b"\x12\x06\x0a\x04\x0a\x02\xff\xff"
    with fails(C.INTERNAL, ""):
        server.grpc.raw(PREDICTION + "Regress", body)


# ---- MultiInference ----

def multi(*tasks, examples=(example(x=2), example(x=6)), model="half_plus_two"):
    request = inference_pb2.MultiInferenceRequest()
    for signature, method, *name in tasks:
        t = request.tasks.add(method_name="tensorflow/serving/" + method)
        t.model_spec.name = name[0] if name else model
        t.model_spec.signature_name = signature
    request.input.example_list.examples.extend(examples)
    return request


def test_multi_inference_answers_task_by_task(server):
    reply = server.grpc.prediction.MultiInference(
        multi(("regress_x_to_y", "regress"), ("classify_x_to_y", "classify"), ("regress_x_to_y2", "regress")), timeout=20)
    a, b, c = reply.results
    assert [r.value for r in a.regression_result.regressions] == [3, 5]
    assert [r.classes[0].score for r in b.classification_result.classifications] == [3, 5]
    assert [r.value for r in c.regression_result.regressions] == [4, 6]
    assert [r.model_spec.signature_name for r in reply.results] == ["regress_x_to_y", "classify_x_to_y", "regress_x_to_y2"]
    assert all(r.model_spec.version.value == 123 and r.model_spec.name == "half_plus_two" for r in reply.results)
    page = server.ask("GET", "/metrics").text
    assert ':tensorflow:serving:request_example_count_total{model="half_plus_two"} 2' in page


@pytest.mark.parametrize("engine", ["native", "tensorflow"])
def test_multi_inference_is_one_run(tmp_path, engine):
    params = tmp_path / "batching.pbtxt"
    params.write_text("max_batch_size { value: 8 } batch_timeout_micros { value: 1000 }")
    s = grpc_server(f"--engine={engine}", config=model_config(("heads", MODELS / "heads")))
    batched = grpc_server(f"--engine={engine}", "--enable_batching", f"--batching_parameters_file={params}",
                          config=model_config(("heads", MODELS / "heads")))

    def ask(server, *tasks):
        call = server.grpc.prediction.MultiInference(multi(*tasks, model="heads"), timeout=20)
        return [[v.value for v in r.regression_result.regressions] or
                [c.classes[0].score for c in r.classification_result.classifications] for r in call.results]

    for server in s, batched:
        assert ask(server, ("seen", "regress"), ("seen_again", "classify")) == [[1, 1], [1.5, 1.5]]
        assert ask(server, ("seen_again", "classify"), ("seen", "regress"), ("double", "regress")) == [
            [2.5, 2.5], [2, 2], [4, 12]]
        assert ask(server, ("seen", "regress")) == [[3, 3]]
        # Signatures that feed another tensor are fed the same Examples.
        assert ask(server, ("negative", "regress"), ("double", "regress")) == [[-2, -6], [4, 12]]
        assert ask(server, ("double", "regress")) == [[4, 12]]
        server.grpc.prediction.Regress(regress([example(x=2)], model="heads", signature="seen"), timeout=20)
        server.grpc.close()
        page = server.ask("GET", "/metrics").text
        assert ':tensorflow:serving:runtime_latency_count{model_name="heads",API="Regress",runtime="TF1"} 1\n' in page
        assert 'API="Classify"' not in page
    assert ":batching_session:wrapped_run_count{} 6" in page
    assert s.stop() == 0 and batched.stop() == 0


def test_multi_inference_goes_to_the_shadow_too(tmp_path):
    for n in "12":
        shutil.copytree(MODELS / "heads" / "1", tmp_path / "m" / n)
    s = grpc_server(config=model_config(("heads", tmp_path / "m", "model_version_policy { all {} }",
                                         "traffic { split { version: 1 weight: 1 } } shadow { version: 2 }")))

    def shadowed(result, n):
        end = time.monotonic() + 30
        line = f':sluice:shadow:count{{model_name="heads",version="2",result="{result}"}} {n}\n'
        while line not in s.ask("GET", "/metrics").text:
            assert time.monotonic() < end, s.log
            time.sleep(0.02)

    for n in 1, 2:
        s.grpc.prediction.MultiInference(multi(("negative", "regress"), ("double", "regress"), model="heads"), timeout=20)
        shadowed("matched", n)
    s.grpc.prediction.MultiInference(multi(("double", "regress"), ("seen", "regress"), model="heads"), timeout=20)
    shadowed("impure", 1)
    s.grpc.close()
    assert s.stop() == 0


@pytest.mark.parametrize("engine", ["native", "tensorflow"])
def test_multi_inference_feeds_all_tasks_in_one_run(engine):
    # One of them takes numbers: refused in the words of a run that is fed both.
    s = grpc_server(f"--engine={engine}", config=model_config(("half_plus_two", MODELS / "half_plus_two")))
    with fails(C.INVALID_ARGUMENT, lambda t: t.startswith("Expects arg[1] to be float but string is provided")):
        s.grpc.prediction.MultiInference(multi(("regress_x2_to_y3", "regress"), ("regress_x_to_y", "regress")), timeout=20)
    s.grpc.close()
    assert s.stop() == 0


REGRESS = ("regress_x_to_y", "regress")


@pytest.mark.parametrize("request_, code, text", [
    (multi(), C.INVALID_ARGUMENT, "ModelSpec has no name specified."),
    (multi(("a", "regress", "")), C.INVALID_ARGUMENT, "ModelSpec has no name specified."),
    (multi(REGRESS, ("a", "regress", "")), C.INVALID_ARGUMENT, "Found ModelSpec with an empty model name."),
    (multi(REGRESS, ("regress_x_to_y2", "regress", "linear")), C.INVALID_ARGUMENT,
     "All ModelSpecs in a MultiInferenceRequest must access the same model name."),
    (multi(REGRESS, REGRESS), C.INVALID_ARGUMENT, "Duplicate evaluation of signature: regress_x_to_y"),
    (multi(REGRESS, ("nope", "regress")), C.INVALID_ARGUMENT, "Requested signature not found in model graph: nope"),
    (multi(REGRESS, ("classify_x_to_y", "predict")), C.UNIMPLEMENTED,
     "Unsupported signature method_name: tensorflow/serving/predict"),
    (multi(REGRESS, model="nobody"), C.NOT_FOUND, "Servable not found for request: Latest(nobody)"),
    (multi(REGRESS, examples=()), C.INVALID_ARGUMENT, "Input is empty."),
    (multi(REGRESS, examples=(example(),)), C.INVALID_ARGUMENT, None),
])
def test_multi_inference_errors(server, request_, code, text):
    with fails(code, text):
        server.grpc.prediction.MultiInference(request_, timeout=20)


# ---- GetModelMetadata ----

def metadata(model, *fields):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = model
    return request


def test_metadata_is_all_signatures_in_an_any(server):
    reply = server.grpc.prediction.GetModelMetadata(metadata("linear", "signature_def"), timeout=20)
    assert (reply.model_spec.name, reply.model_spec.version.value, reply.model_spec.signature_name) == ("linear", 1, "")
    packed = reply.metadata["signature_def"]
    assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert packed.Unpack(signatures)
    assert "serving_default" in signatures.signature_def and "__saved_model_init_op" in signatures.signature_def
    assert "input_example" in signatures.signature_def["serving_default"].inputs
    rest = json.loads(server.ask("GET", "/v1/models/linear/metadata").text)
    assert set(rest["metadata"]["signature_def"]["signature_def"]) == set(signatures.signature_def)


@pytest.mark.parametrize("request_, code, text", [
    (get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"]), C.INVALID_ARGUMENT,
     "Missing ModelSpec"),
    (metadata("linear"), C.INVALID_ARGUMENT, "GetModelMetadataRequest must specify at least one metadata_field"),
    (metadata("linear", "signature_def", "x"), C.INVALID_ARGUMENT, "Metadata field x is not supported"),
    (metadata("", "signature_def"), C.INVALID_ARGUMENT, "ModelSpec has no name specified."),
    (metadata("nobody", "signature_def"), C.NOT_FOUND, "Servable not found for request: Latest(nobody)"),
])
def test_metadata_errors(server, request_, code, text):
    with fails(code, text):
        server.grpc.prediction.GetModelMetadata(request_, timeout=20)


# ---- GetModelStatus ----

def status(model=None, version=None, label=None):
    request = get_model_status_pb2.GetModelStatusRequest()
    if model is not None:
        request.model_spec.name = model
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    return request


def test_status(server):
    for request in (status("half_plus_two"), status("half_plus_two", version=123), status("half_plus_two", label="x")):
        (v,) = server.grpc.model.GetModelStatus(request, timeout=20).model_version_status
        assert (v.version, v.state, v.status.error_code, v.status.error_message) == (123, 30, 0, "")
        assert v.HasField("status")
    end = time.monotonic() + 30
    while True:  # a directory that has just been written is looked at twice
        (v,) = server.grpc.model.GetModelStatus(status("broken"), timeout=20).model_version_status
        if v.state == 50 or time.monotonic() > end:
            break
        time.sleep(0.05)
    assert (v.state, v.status.error_code) == (50, 15) and "saved_model.pb" in v.status.error_message


@pytest.mark.parametrize("request_, code, text", [
    (status(), C.INVALID_ARGUMENT, "Missing ModelSpec"),
    (status(""), C.NOT_FOUND, "Could not find any versions of model "),
    (status("nobody"), C.NOT_FOUND, "Could not find any versions of model nobody"),
    (status("half_plus_two", version=7), C.NOT_FOUND, "Could not find version 7 of model half_plus_two"),
])
def test_status_errors(server, request_, code, text):
    with fails(code, text):
        server.grpc.model.GetModelStatus(request_, timeout=20)


# ---- HandleReloadConfigRequest ----

def reload(text, *metrics):
    request = model_management_pb2.ReloadConfigRequest(metric_names=metrics)
    text_format.Parse(text, request.config)
    return request


@pytest.fixture
def own():
    s = grpc_server(config=model_config(("a", HALF, "model_version_policy { all {} }")))
    yield s
    s.grpc.close()
    assert s.stop() == 0


def test_a_reload_changes_what_is_served_and_measures_itself(own):
    x = {"x": tf.make_tensor_proto(np.float32([1]))}
    reply = own.grpc.model.HandleReloadConfigRequest(
        reload(model_config(("b", HALF), ("c", MODELS / "linear")), "/tensorflow/serving/request_count", "/nothing"),
        timeout=60)
    assert (reply.status.error_code, reply.status.error_message) == (0, "")
    assert [(m.name, m.int64_value_increase) for m in reply.metric] == [
        ("/tensorflow/serving/request_count", 0), ("/nothing", 0)]
    assert own.grpc.prediction.Predict(predict_request("b", x), timeout=20)
    for _ in range(100):
        try:
            own.grpc.prediction.Predict(predict_request("a", x), timeout=20)
        except grpc.RpcError as e:
            assert e.code() == C.NOT_FOUND
            break


@pytest.mark.parametrize("text, code, message", [
    ("", C.INVALID_ARGUMENT, "ServerModelConfig type not supported by HandleReloadConfigRequest. "
     "Only ModelConfigList is currently supported"),
    ('model_config_list { config { name: "x" base_path: "rel" model_platform: "tensorflow" } }', C.INVALID_ARGUMENT,
     "Expected model x to have an absolute path or URI; got base_path()=rel"),
    ('model_config_list { config { name: "x" base_path: "/a" } }', C.INVALID_ARGUMENT, None),
])
def test_a_reload_that_is_refused_changes_nothing(own, text, code, message):
    with fails(code, message):
        own.grpc.model.HandleReloadConfigRequest(reload(text), timeout=60)
    assert own.grpc.state("a") == 1


def test_a_reload_whose_model_does_not_load_says_so(own, tmp_path):
    with fails(C.UNKNOWN, lambda t: "1 model(s) did not become available" in t and "name: x" in t):
        own.grpc.model.HandleReloadConfigRequest(reload(model_config(("a", HALF), ("x", tmp_path))), timeout=60)


def test_reloads_at_the_same_time(own):
    for _ in range(100):  # what one takes away and another brings back is not late
        calls = [own.grpc.model.HandleReloadConfigRequest.future(reload(model_config((n, HALF))), timeout=60)
                 for n in "bcdbcd"]
        assert [c.result().status.error_code for c in calls] == [0] * 6
    assert own.grpc.state() == 1


# ---- versions on demand ----

def test_a_model_on_demand_is_loaded_by_its_first_call():
    more = "load: ON_DEMAND"
    s = grpc_server("--memory_budget=1000000", config=model_config(
        *[(n, HALF, more) for n in "abcd"], ("broken", MODELS, more)))
    assert s.grpc.state() == 1 and s.grpc.state("a") == 1
    x = predict_request("a", {"x": tf.make_tensor_proto(np.float32([1]))})
    calls = [s.grpc.prediction.Predict.future(x, timeout=20) for _ in range(20)]
    assert [c.result().outputs["y"].float_val for c in calls] == [[2.5]] * 20
    assert s.log.count("Loading servable version {name: a ") == 1
    reply = s.grpc.prediction.Regress(regress([example(x=2)], model="b", signature="regress_x_to_y"), timeout=20)
    assert reply.result.regressions[0].value == 3
    assert s.grpc.prediction.GetModelMetadata(metadata("c", "signature_def"), timeout=20).metadata
    reply = s.grpc.prediction.MultiInference(multi(("regress_x_to_y", "regress"), model="d"), timeout=20)
    assert reply.results[0].regression_result.regressions[0].value == 3
    with fails(C.INVALID_ARGUMENT):
        s.grpc.prediction.Regress(regress([], model="b", signature="regress_x_to_y"), timeout=20)
    with fails(C.NOT_FOUND):
        s.grpc.prediction.Predict(predict_request("broken"), timeout=20)
    s.grpc.close()
    assert s.stop() == 0


# ---- the guard ----

def test_the_guard_is_asked(tmp_path):
    def token(name):
        done = subprocess.run([SLUICE, "token", name, f"--file={tmp_path}/tokens"], capture_output=True, text=True)
        return [("authorization", "Bearer " + done.stdout.strip())]

    ci, boss = token("ci"), token("boss")
    (tmp_path / "auth.pbtxt").write_text("""
        token_file: "tokens"
        rule { principal: "token:ci" allow: [PREDICT] model: "half*" }
        rule { principal: "token:boss" allow: [PREDICT, METADATA, STATUS, ADMIN] }
        """)
    s = grpc_server(f"--auth_config_file={tmp_path}/auth.pbtxt", config=model_config(
        ("half_plus_two", HALF), ("linear", MODELS / "linear")))
    predict, model = s.grpc.prediction, s.grpc.model
    request = predict_request("half_plus_two", {"x": tf.make_tensor_proto(np.float32([1]))})
    assert predict.Predict(request, timeout=20, metadata=ci)
    with fails(C.UNAUTHENTICATED):
        predict.Predict(request, timeout=20)
    with fails(C.UNAUTHENTICATED):
        predict.Predict(request, timeout=20, metadata=[("authorization", "Bearer slt_" + "A" * 43)])
    calls = [(predict.Predict, predict_request("linear")), (predict.Regress, regress([], model="linear")),
             (predict.MultiInference, multi(("a", "regress"), model="linear")),
             (predict.GetModelMetadata, metadata("half_plus_two", "signature_def")),
             (model.GetModelStatus, status("half_plus_two")),
             (model.HandleReloadConfigRequest, reload(model_config(("half_plus_two", HALF))))]
    for call, request in calls:
        with fails(C.PERMISSION_DENIED):
            call(request, timeout=20, metadata=ci)
    for call, request in calls[3:]:
        assert call(request, timeout=60, metadata=boss)
    assert s.grpc.state() == 1  # for anybody
    s.grpc.close()
    assert s.stop() == 0


def test_reloads_come_from_this_machine_only():
    import socket as sockets

    try:  # an address of this machine that is no loopback address
        with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))
            address = probe.getsockname()[0]
    except OSError:
        address = "127.0.0.1"
    if address.startswith("127."):
        return  # it has none
    for flags, allowed in (([], False), (["--allow_remote_admin"], True)):
        port = free_port()
        s = Server(f"--grpc_address={address}:{port}", *flags, config=model_config(("half_plus_two", HALF)))
        client = Client(f"{address}:{port}")
        request = reload(model_config(("half_plus_two", HALF)))
        if allowed:
            assert client.model.HandleReloadConfigRequest(request, timeout=60)
        else:
            with fails(C.PERMISSION_DENIED, lambda t: "--allow_remote_admin" in t):
                client.model.HandleReloadConfigRequest(request, timeout=60)
        client.close()
        assert s.stop() == 0


def test_other_services_are_unimplemented(server):
    for method in ("/tensorflow.ProfilerService/Profile", "/tensorflow.serving.SessionService/SessionRun",
                   PREDICTION + "PredictStreamed", MODEL + "Nothing", "/x", "/x/y/z"):
        with fails(C.UNIMPLEMENTED, ""):
            server.grpc.raw(method, b"")
