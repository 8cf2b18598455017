"""The Open Inference Protocol over gRPC; its messages are learned from the server's reflection."""
import time

import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from conftest import ROOT, model_config
from grpc_client import fails, grpc_server

MODELS = ROOT / "tests/models"
SERVICE = "inference.GRPCInferenceService"


class Stub:
    def __init__(self, server):
        self.channel = server.grpc.channel
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))
        self.methods = pool.FindServiceByName(SERVICE).methods_by_name

    def message(self, method, **fields):
        return message_factory.GetMessageClass(self.methods[method].input_type)(**fields)

    def __getattr__(self, method):
        answer = message_factory.GetMessageClass(self.methods[method].output_type)

        def call(request=None, **fields):
            request = request if request is not None else self.message(method, **fields)
            raw = request if isinstance(request, bytes) else request.SerializeToString()
            unary = self.channel.unary_unary(f"/{SERVICE}/{method}")
            return answer.FromString(unary(raw, timeout=20))
        return call


@pytest.fixture(scope="module")
def server():
    s = grpc_server(config=model_config(*((m, MODELS / m) for m in ("linear", "identity", "multiply_add"))))
    yield s
    s.grpc.close()
    assert s.stop() == 0


@pytest.fixture(scope="module")
def stub(server):
    return Stub(server)


def test_the_server_says_what_it_is_and_that_it_lives(stub):
    assert stub.ServerLive().live and stub.ServerReady().ready
    m = stub.ServerMetadata()
    assert (m.name, list(m.extensions)) == ("sluice", ["binary_tensor_data", "model_repository"])


def test_models_are_ready_or_not_and_say_what_they_take(stub):
    assert stub.ModelReady(name="linear").ready and stub.ModelReady(name="linear", version="1").ready
    assert not stub.ModelReady(name="linear", version="7").ready
    assert not stub.ModelReady(name="nothing").ready
    with fails(grpc.StatusCode.INVALID_ARGUMENT, '"x" is no version: versions are numbers'):
        stub.ModelReady(name="linear", version="x")
    m = stub.ModelMetadata(name="linear")
    assert (m.name, list(m.versions), m.platform) == ("linear", ["1"], "tensorflow_savedmodel")
    assert [(t.name, t.datatype, list(t.shape)) for t in m.inputs] == [("input_example", "FP32", [-1, 3])]
    assert [(t.name, t.datatype, list(t.shape)) for t in m.outputs] == [("output", "FP32", [-1, 2])]
    with fails(grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(nothing)"):
        stub.ModelMetadata(name="nothing")


CONTENTS = {"BOOL": ("bool", "bool", "bool_contents"), "INT8": ("int8", "int8", "int_contents"),
            "INT32": ("int32", "int32", "int_contents"), "INT64": ("int64", "int64", "int64_contents"),
            "UINT8": ("uint8", "uint8", "uint_contents"), "FP32": ("float", "float32", "fp32_contents"),
            "FP64": ("double", "float64", "fp64_contents")}


@pytest.mark.parametrize("datatype", CONTENTS)
def test_every_datatype_comes_back_in_the_form_it_was_sent(stub, datatype):
    signature, dtype, field = CONTENTS[datatype]
    x = np.array([1, 0, 1, 1], dtype)
    r = stub.message("ModelInfer", model_name="identity", id="7")
    r.parameters["signature_name"].string_param = signature
    t = r.inputs.add(name="x", datatype=datatype, shape=[2, 2])
    getattr(t.contents, field).extend(x.tolist())
    a = stub.ModelInfer(r)
    assert (a.model_name, a.model_version, a.id) == ("identity", "1", "7")
    assert [(o.name, o.datatype, list(o.shape)) for o in a.outputs] == [("y", datatype, [2, 2])]
    assert list(getattr(a.outputs[0].contents, field)) == x.tolist() and not a.raw_output_contents
    t.ClearField("contents")
    r.raw_input_contents.append(x.tobytes())
    a = stub.ModelInfer(r)
    assert list(a.raw_output_contents) == [x.tobytes()] and not a.outputs[0].HasField("contents")


def test_bytes_and_16_bit_floats(stub):
    r = stub.message("ModelInfer", model_name="identity")
    r.parameters["signature_name"].string_param = "string"
    t = r.inputs.add(name="x", datatype="BYTES", shape=[2])
    t.contents.bytes_contents.extend([b"\xff\0", b""])
    assert list(stub.ModelInfer(r).outputs[0].contents.bytes_contents) == [b"\xff\0", b""]
    t.ClearField("contents")
    raw = b"\x02\0\0\0\xff\0\0\0\0\0"
    r.raw_input_contents.append(raw)
    assert list(stub.ModelInfer(r).raw_output_contents) == [raw]
    t.datatype = "FP16"
    r.parameters["signature_name"].string_param = "half"
    r.raw_input_contents[0] = np.float16([0.5, 2]).tobytes()
    assert stub.ModelInfer(r).raw_output_contents[0] == np.float16([0.5, 2]).tobytes()


def test_outputs_are_chosen_and_large_tensors_fit(stub):
    r = stub.message("ModelInfer", model_name="multiply_add", model_version="1")
    v = np.arange(300000, dtype=np.float32)
    for name in ("b", "a"):
        r.inputs.add(name=name, datatype="FP32", shape=[len(v)])
        r.raw_input_contents.append(v.tobytes())
    r.outputs.add(name="sum")
    a = stub.ModelInfer(r)
    assert [o.name for o in a.outputs] == ["sum"]
    np.testing.assert_array_equal(np.frombuffer(a.raw_output_contents[0], np.float32), 2 * v)


def test_what_is_wrong_is_said(stub):
    def request(**tensor):
        r = stub.message("ModelInfer", model_name="linear")
        t = r.inputs.add(**{"name": "input_example", "datatype": "FP32", "shape": [1, 3], **tensor})
        t.contents.fp32_contents.extend([1, 2, 3])
        return r
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    with fails(invalid, 'input "input_example": its contents have not the 6 elements of shape [2,3]'):
        stub.ModelInfer(request(shape=[2, 3]))
    with fails(invalid, 'input "input_example": its contents have not the 1099511627776 elements of shape '
                        '[1099511627776]'):
        stub.ModelInfer(request(shape=[1 << 40]))
    with fails(invalid, 'input "input_example": shape [?] is out of range'):
        stub.ModelInfer(request(shape=[-1]))
    with fails(invalid, 'input "input_example": unknown datatype "FP31"'):
        stub.ModelInfer(request(datatype="FP31"))
    with fails(invalid, 'unexpected inference input "q": signature "serving_default" has "input_example"'):
        stub.ModelInfer(request(name="q"))
    r = request()
    r.raw_input_contents.append(b"123")
    with fails(invalid, 'input "input_example" has contents although there are raw_input_contents'):
        stub.ModelInfer(r)
    r.inputs[0].ClearField("contents")
    with fails(invalid, 'input "input_example": 3 bytes are not a FP32 tensor of shape [1,3]'):
        stub.ModelInfer(r)
    r.raw_input_contents.append(b"")
    with fails(invalid, "2 raw_input_contents for 1 inputs: there must be one for each"):
        stub.ModelInfer(r)
    with fails(grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(nothing)"):
        stub.ModelInfer(model_name="nothing")
    with fails(grpc.StatusCode.INTERNAL, ""):
        stub.ModelInfer(b"\x0a\xff")


def test_models_are_unloaded_and_loaded(stub):
    assert sorted((m.name, m.version, m.state) for m in stub.RepositoryIndex().models) == [
        (n, "1", "READY") for n in ("identity", "linear", "multiply_add")]
    stub.RepositoryModelUnload(model_name="multiply_add")
    end = time.monotonic() + 20
    while stub.ModelReady(name="multiply_add").ready:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert sorted(m.name for m in stub.RepositoryIndex(ready=True).models) == ["identity", "linear"]
    stub.RepositoryModelLoad(model_name="multiply_add")
    assert stub.ModelReady(name="multiply_add").ready
    with fails(grpc.StatusCode.NOT_FOUND, 'no model "nothing" is configured'):
        stub.RepositoryModelLoad(model_name="nothing")


def test_a_model_on_demand_is_ready_and_loaded_by_the_first_call():
    more = "load: ON_DEMAND"
    server = grpc_server(config=model_config(("linear", MODELS / "linear", more),
                                             ("identity", MODELS / "identity", more)))
    stub = Stub(server)
    assert stub.ModelReady(name="linear").ready
    r = stub.message("ModelInfer", model_name="linear")
    r.inputs.add(name="input_example", datatype="FP32", shape=[1, 3]).contents.fp32_contents.extend([1, 2, 3])
    assert list(stub.ModelInfer(r).outputs[0].contents.fp32_contents) == [5.5, 8.5]
    assert list(stub.ModelMetadata(name="identity").versions) == ["1"]
    server.grpc.close()
    assert server.stop() == 0


def test_without_extra_routes_there_is_no_such_service():
    server = grpc_server("--extra_routes=false", config=model_config(("linear", MODELS / "linear")))
    with fails(grpc.StatusCode.UNIMPLEMENTED):
        server.grpc.raw(f"/{SERVICE}/ServerLive", b"")
    server.grpc.close()
    assert server.stop() == 0
