"""grpc.health.v1.Health and server reflection, with grpcio's own clients."""
import random
import threading

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from conftest import ROOT, model_config
from grpc_client import Client, fails, grpc_server

MY_MODEL = ROOT / "examples/models/my_model"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    s = grpc_server(config=model_config(("my_model", MY_MODEL), ("absent", empty)))
    yield s
    s.grpc.close()
    assert s.stop() == 0


@pytest.mark.parametrize("name, state", [
    ("", SERVING), ("PredictionService", SERVING), ("ModelService", SERVING),
    ("tensorflow.serving.PredictionService", SERVING), ("tensorflow.serving.ModelService", SERVING),
    ("grpc.health.v1.Health", SERVING), ("my_model", SERVING), ("absent", NOT_SERVING)])
def test_check_knows_services_and_models(server, name, state):
    assert server.grpc.state(name) == state


def test_check_of_an_unknown_name(server):
    with fails(grpc.StatusCode.NOT_FOUND, "service name unknown"):
        server.grpc.state("nobody")


def test_watch_tells_the_state_at_once_and_when_it_changes(server):
    for name, state in [("", SERVING), ("absent", NOT_SERVING), ("nobody", SERVICE_UNKNOWN)]:
        call = server.grpc.health.Watch(health_pb2.HealthCheckRequest(service=name), timeout=20)
        assert next(call).status == state
        call.cancel()


@pytest.mark.parametrize("packed", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_name_that_is_too_long_to_be_watched_is_refused(server, packed):
    """Large messages are read by workers, which cannot watch: such a call once ended the server."""
    name = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz", k=70000))
    watch = lambda n: server.grpc.health.Watch(health_pb2.HealthCheckRequest(service=name[:n]), timeout=20,
                                               compression=packed)
    with fails(grpc.StatusCode.RESOURCE_EXHAUSTED):
        next(watch(70000))
    for n in 100, 1500, 60000:
        call = watch(n)
        assert next(call).status == SERVICE_UNKNOWN
        call.cancel()
    assert server.grpc.state() == SERVING


def test_a_watcher_sees_a_model_come_and_the_server_go(tmp_path):
    base = tmp_path / "m"
    base.mkdir()
    s = grpc_server(config=model_config(("m", base)))
    call = s.grpc.health.Watch(health_pb2.HealthCheckRequest(service="m"), timeout=60)
    assert next(call).status == NOT_SERVING
    assert s.grpc.state() == NOT_SERVING
    (base / "1").symlink_to(MY_MODEL / "1")
    assert next(call).status == SERVING
    assert s.grpc.state() == SERVING
    open_stream = s.grpc.channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")(
        iter(threading.Event().wait, None), timeout=60)  # asks for nothing and never ends
    ended = []
    threading.Thread(target=lambda: ended.append(s.stop())).start()
    with fails(grpc.StatusCode.UNAVAILABLE):
        for _ in call:
            pass
    assert open_stream.code() == grpc.StatusCode.UNAVAILABLE
    s.process.wait(30)
    s.grpc.close()


def test_health_can_be_left_out():
    s = grpc_server("--enable_grpc_healthcheck_service=false", config=model_config(("my_model", MY_MODEL)))
    with fails(grpc.StatusCode.UNIMPLEMENTED, ""):
        s.grpc.state()
    s.grpc.close()
    assert s.stop() == 0


# ---- reflection ----

SERVICES = {"tensorflow.serving.PredictionService", "tensorflow.serving.ModelService", "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection", "inference.GRPCInferenceService"}


def ask(server, version, *requests):
    """Raw reflection, since grpcio's client speaks only v1alpha; the messages are the same."""
    call = server.grpc.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString)
    return list(call(iter([reflection_pb2.ServerReflectionRequest(**r) for r in requests]), timeout=20))


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_services_are_listed(server, version):
    (answer,) = ask(server, version, dict(list_services="", host="here"))
    assert {s.name for s in answer.list_services_response.service} == SERVICES
    assert answer.valid_host == "here" and answer.original_request.host == "here"


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_a_file_comes_once_on_a_stream_with_what_it_imports(server, version):
    a, b, c = ask(server, version, dict(file_containing_symbol="tensorflow.serving.PredictionService"),
                  dict(file_by_filename="tensorflow_serving/apis/predict.proto"),
                  dict(file_containing_symbol="tensorflow.DT_HALF"))
    assert len(a.file_descriptor_response.file_descriptor_proto) > 20
    assert len(b.file_descriptor_response.file_descriptor_proto) == 1
    assert len(c.file_descriptor_response.file_descriptor_proto) == 1


def test_what_is_not_there_is_an_error_message_and_the_stream_goes_on(server):
    answers = ask(server, "v1", dict(file_by_filename="a.proto"), dict(file_containing_symbol="a.B"),
                  dict(all_extension_numbers_of_type="a.B"),
                  dict(file_containing_extension=dict(containing_type="a.B", extension_number=1)),
                  dict(all_extension_numbers_of_type="tensorflow.TensorProto"), dict())
    texts = [(r.error_response.error_code, r.error_response.error_message) for r in answers]
    assert texts[:4] == [(5, "File not found."), (5, "Symbol not found."), (5, "Type not found."),
                         (5, "Extension not found.")]
    assert answers[4].all_extension_numbers_response.base_type_name == "tensorflow.TensorProto"
    assert texts[5][0] == 12


def test_a_stream_that_does_not_decode_ends(server):
    call = server.grpc.channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    with fails(grpc.StatusCode.INTERNAL, ""):
        list(call(iter([b"\xff\xff"]), timeout=20))


def fields(message):
    out = {}
    for f in message.fields:
        kind = f.message_type.full_name if f.message_type else f.enum_type.full_name if f.enum_type else f.type
        repeated = f.is_repeated if isinstance(getattr(f, "is_repeated", None), bool) else f.label == 3
        oneof = f.containing_oneof.name if f.containing_oneof else None
        out[f.number] = (f.name, kind, repeated, oneof)
    return out


def test_the_messages_are_those_of_tensorflow_serving(server):
    """Every message that a client can get by reflection, field by field, against the Python packages."""
    from tensorflow.core.protobuf import fingerprint_pb2, tensor_bundle_pb2  # noqa: F401
    from tensorflow_serving.apis import model_service_pb2, prediction_log_pb2  # noqa: F401

    ours = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(server.grpc.channel))
    theirs = descriptor_pool.Default()
    missing = {"tensorflow.serving.SessionRunRequest": {5},
               "tensorflow.serving.SessionRunResponse": {2}}
    ours_only = {"tensorflow.serving.ModelConfig": {1000, 1001, 1002, 1010, 1011}}
    seen, todo = set(), ["tensorflow.serving." + n for n in (
        "PredictRequest", "PredictResponse", "ClassificationRequest", "ClassificationResponse", "RegressionRequest",
        "RegressionResponse", "MultiInferenceRequest", "MultiInferenceResponse", "GetModelMetadataRequest",
        "GetModelMetadataResponse", "GetModelStatusRequest", "GetModelStatusResponse", "ReloadConfigRequest",
        "ReloadConfigResponse", "SignatureDefMap", "PredictionLog")] + [
            "tensorflow.SavedModel", "tensorflow.SequenceExample", "tensorflow.BundleHeaderProto",
            "tensorflow.BundleEntryProto", "tensorflow.FingerprintDef"]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            theirs_message = theirs.FindMessageTypeByName(name)
        except KeyError:
            continue  # one that the packages do not bring
        mine, want = fields(ours.FindMessageTypeByName(name)), fields(theirs_message)
        for n in missing.get(name, ()):
            want.pop(n)
        for n in ours_only.get(name, ()):
            mine.pop(n)
        assert mine == want, name
        message = ours.FindMessageTypeByName(name)
        assert message.file.package == theirs_message.file.package
        for f in message.fields:
            if f.number in ours_only.get(name, ()):
                continue
            if f.message_type:
                todo.append(f.message_type.full_name)
            elif f.enum_type:
                e = theirs.FindEnumTypeByName(f.enum_type.full_name)
                assert {v.name: v.number for v in f.enum_type.values} == {v.name: v.number for v in e.values}
    assert len(seen) > 100
