"""The conformance table: request by request, what TensorFlow Serving answers.

tests/compat/cases.jsonl holds the requests and the answers, tests/compat/make_models.py makes the models.
"""
import base64
import json
import pathlib
import re

import pytest

from conftest import ROOT, model_config

MODELS = ROOT / "tests/compat/models"
CASES = [json.loads(line) for line in (ROOT / "tests/compat/cases.jsonl").read_text().splitlines()]


def config():
    names = sorted(p.name for p in MODELS.iterdir())
    models = [(n, MODELS / n) for n in names if n != "half_plus_two"]
    models.append(("half_plus_two", MODELS / "half_plus_two",
                   'model_version_policy { specific { versions: 123 } }', 'version_labels { key: "stable" value: 123 }'))
    models.append(("two_versions", MODELS / "half_plus_two", "model_version_policy { all {} }"))
    return model_config(*models)


def server_for(servers, case, tmp_path_factory, engine):
    wanted = case.get("server", {})
    flags = [f"--engine={engine}", *wanted.get("flags", [])]
    if "monitoring" in wanted:
        path = pathlib.Path("/tmp") / "sluice-test-monitoring.pbtxt"
        path.write_text(wanted["monitoring"])
        flags.append(f"--monitoring_config_file={path}")
    return servers(*flags, config=config())


@pytest.mark.parametrize("engine", ["native", "tensorflow"])
@pytest.mark.parametrize("case", CASES, ids=[re.sub(r"[^\w ,./:-]", "_", c["case"]) for c in CASES])
def test_case(case, engine, servers, tmp_path_factory):
    server = server_for(servers, case, tmp_path_factory, engine)
    send, expect = case["send"], case["expect"]
    body = base64.b64decode(send["body_base64"]) if "body_base64" in send else send.get("body")
    got = server.ask(send["method"], send["path"], body, send.get("headers"))
    assert got.status == expect["status"], got.text
    if "content_type" in expect:
        assert got.headers["Content-Type"] == expect["content_type"]
    for name, value in expect.get("headers", {}).items():
        assert got.headers[name] == value
    for name in expect.get("no_headers", []):
        assert name not in got.headers
    if "error" in expect:
        assert json.loads(got.text)["error"] == expect["error"]
        assert got.text.startswith('{\n    "error": "') and got.text.endswith('"\n}')
    if "error_has" in expect:
        assert expect["error_has"] in json.loads(got.text)["error"]
    if "body" in expect:
        assert got.text == expect["body"]
    if "json" in expect:
        assert json.loads(got.text) == expect["json"]
