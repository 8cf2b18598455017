"""tritonclient (http and grpc) or kserve's clients before a server; run by test_oip.py in a Python of their own,
and each in a process of its own: both bring the protocol's messages along, under the same names.

    oip_client.py tritonclient|kserve HTTP_PORT GRPC_PORT < oracle.json

The oracle: for each model a list of cases {inputs: {name: [datatype, shape, values]}, outputs: {name: values}},
which TensorFlow has computed.
"""
import asyncio
import json
import sys

import numpy as np

HTTP, GRPC = (f"127.0.0.1:{port}" for port in sys.argv[2:4])
ORACLE = json.load(sys.stdin)
DTYPES = {"FP32": np.float32, "FP64": np.float64, "INT32": np.int32, "INT64": np.int64, "UINT8": np.uint8,
          "INT8": np.int8, "BOOL": np.bool_, "FP16": np.float16, "BYTES": np.object_}


def array(datatype, shape, values):
    if datatype == "BYTES":
        values = [v.encode() for v in values]
    return np.array(values, dtype=DTYPES[datatype]).reshape(shape)


def same(got, expected, what):
    expected = np.array(expected)
    if got.dtype == np.object_:
        got = np.array([v.decode() if isinstance(v, bytes) else v for v in got.flatten()])
    else:
        got = got.flatten()
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(got, expected, rtol=1e-5, err_msg=what)
    else:
        assert (got == expected).all(), (what, got, expected)


def triton(module, client, **forms):
    """All that a client can ask; forms: how inputs and outputs are sent, over HTTP."""
    is_grpc = module.__name__.endswith("grpc")
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("linear") and client.is_model_ready("linear", "1")
    assert not client.is_model_ready("linear", "7") and not client.is_model_ready("nothing")
    server = client.get_server_metadata()
    metadata = client.get_model_metadata("linear")
    if is_grpc:
        assert server.name == "sluice" and "model_repository" in server.extensions
        assert metadata.inputs[0].name == "input_example" and list(metadata.inputs[0].shape) == [-1, 3]
    else:
        assert server["name"] == "sluice" and "binary_tensor_data" in server["extensions"]
        assert metadata["inputs"][0] == {"name": "input_example", "datatype": "FP32", "shape": [-1, 3]}
    for case in ORACLE:
        inputs = []
        for name, (datatype, shape, values) in case["inputs"].items():
            inputs.append(module.InferInput(name, shape, datatype))
            if datatype == "FP16" and not forms.get("binary_data", True):
                break
            inputs[-1].set_data_from_numpy(array(datatype, shape, values), **forms)
        else:
            outputs = [module.InferRequestedOutput(name, **forms) for name in case["outputs"]]
            result = client.infer(case["model"], inputs, outputs=outputs, request_id="id 7",
                                  parameters={"signature_name": case["signature"]})
            for name, expected in case["outputs"].items():
                same(result.as_numpy(name), expected, f"{module.__name__} {case['model']} {name}")
            answer = result.get_response()
            assert (answer.id if is_grpc else answer["id"]) == "id 7"
            result = client.infer(case["model"], inputs, parameters={"signature_name": case["signature"]})
            for name, expected in case["outputs"].items():
                if not (datatype == "FP16" and not is_grpc):
                    same(result.as_numpy(name), expected, f"{case['model']} {name}, all outputs")
    try:
        client.infer("linear", [])
        raise AssertionError("an inference without inputs succeeded")
    except tritonclient.utils.InferenceServerException as e:
        assert 'missing inference input "input_example"' in e.message(), e
    client.unload_model("multiply_add")
    names = [m.name for m in client.get_model_repository_index().models] if is_grpc else [
        m["name"] for m in client.get_model_repository_index()]
    assert "linear" in names
    client.load_model("multiply_add")
    assert client.is_model_ready("multiply_add")


async def kserve_clients():
    from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
    rest = InferenceRESTClient(config=RESTConfig(protocol="v2"))
    base = f"http://{HTTP}"
    assert await rest.is_server_live(base) and await rest.is_server_ready(base)
    assert await rest.is_model_ready(base, "linear")
    grpc = InferenceGRPCClient(url=GRPC)
    assert await grpc.is_server_live() and await grpc.is_server_ready() and await grpc.is_model_ready("linear")
    for case in ORACLE:
        for binary in (False, True):
            inputs = []
            for name, (datatype, shape, values) in case["inputs"].items():
                one = InferInput(name, shape, datatype)
                one.set_data_from_numpy(array(datatype, shape, values), binary_data=binary)
                inputs.append(one)
            if datatype == "FP16" and not binary:
                continue
            parameters = {"signature_name": case["signature"]}
            request = InferRequest(case["model"], inputs, request_id="1", parameters=parameters)
            if datatype != "FP16":
                result = await rest.infer(base, request, model_name=case["model"])
                for output in result.outputs:
                    same(output.as_numpy(), case["outputs"][output.name], f"kserve rest {case['model']}")
            result = await grpc.infer(request)
            for output in result.outputs:
                same(output.as_numpy(), case["outputs"][output.name], f"kserve grpc {case['model']}")
    await rest.close()
    await grpc.close()


if sys.argv[1] == "tritonclient":
    import tritonclient.grpc
    import tritonclient.http
    import tritonclient.utils
    with tritonclient.http.InferenceServerClient(HTTP) as c:
        triton(tritonclient.http, c, binary_data=True)
        triton(tritonclient.http, c, binary_data=False)
    with tritonclient.grpc.InferenceServerClient(GRPC) as c:
        triton(tritonclient.grpc, c)
else:
    asyncio.run(kserve_clients())
print("ok")
