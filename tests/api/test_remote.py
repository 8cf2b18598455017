"""Remote base paths against real stores: the way from a bucket to an answer, once for each scheme."""
import json
import pathlib
import subprocess
import sys

import pytest

import stores
from conftest import ROOT, SLUICE, model_config

until = stores.until

HALF = ROOT / "tests/models/half_plus_two/1"
ROW = '{"instances": [1.0, 2.0]}'
FAST = ("--engine=native", "--remote_poll_wait_seconds=1")


def versions(server, model):
    reply = json.loads(server.ask("GET", f"/v1/models/{model}").text)
    return {int(v["version"]): v["state"] for v in reply.get("model_version_status", [])}


def available(server, model):
    return sorted(v for v, state in versions(server, model).items() if state == "AVAILABLE")


def check(config, tmp_path):
    path = tmp_path / "check.pbtxt"
    path.write_text(config)
    ran = subprocess.run([SLUICE, "check", f"--model_config_file={path}"], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def s3():
    with stores.s3() as store:
        yield store


def test_s3_from_the_bucket_to_an_answer(s3, start, tmp_path):
    s3.put_version("a/half/1", HALF)
    s3.put("a/half/README", b"not a version")
    config = model_config(("half", "s3://models/a/half"))
    cache = f"--remote_cache_dir={tmp_path}/cache"
    assert "was not looked at" in check(config, tmp_path)
    server = start(*FAST, cache, config=config, env=s3.env)
    assert json.loads(server.ask("POST", "/v1/models/half:predict", ROW).text)["predictions"] == [2.5, 3.0]
    assert "fetched s3://models/a/half version 1" in server.log

    # A version that is still being uploaded does not count; when it is whole it is taken, and the old one goes.
    files = {f.relative_to(HALF): f.read_bytes() for f in HALF.rglob("*") if f.is_file()}
    s3.put("a/half/2/saved_model.pb", files.pop(pathlib.Path("saved_model.pb")))
    for path, data in files.items():
        assert available(server, "half") == [1] or not files
        s3.put(f"a/half/2/{path}", data)
    until(lambda: available(server, "half") == [2])

    page = server.ask("GET", "/metrics").text
    assert ':sluice:remote:rounds{base_path="s3://models/a/half"}' in page
    assert ':sluice:remote:failed_rounds{base_path="s3://models/a/half"} 0' in page

    # What is deleted in the bucket is no longer served, once there is something else to serve ...
    s3.put_version("a/half/1", HALF)
    s3.delete("a/half/2/")
    until(lambda: available(server, "half") == [1])
    # ... and an empty bucket unloads nothing.
    s3.delete("a/half/")
    server.wait_for("there is no version")
    assert available(server, "half") == [1]
    assert server.stop() == 0

    # The cache serves at once, when the store is away.
    env = {**s3.env, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    again = start(*FAST, cache, config=config, env=env)
    assert json.loads(again.ask("POST", "/v1/models/half:predict", ROW).text)["predictions"] == [2.5, 3.0]


def test_an_archive_is_fetched_again_only_when_it_is_new(start, tmp_path):
    with stores.web() as site:
        site.files["/m/half.tar.gz"] = stores.tar(("model/1", HALF))
        server = start(*FAST, f"--remote_cache_dir={tmp_path}/cache",
                       config=model_config(("half", site.url + "/m/half.tar.gz")), env=stores.NO_CREDENTIALS)
        assert json.loads(server.ask("POST", "/v1/models/half:predict", ROW).text)["predictions"] == [2.5, 3.0]
        until(lambda: any("If-None-Match" in headers for _, headers in site.asked))
        site.files["/m/half.tar.gz"] = stores.tar(("model/1", HALF), ("model/2", HALF))
        until(lambda: available(server, "half") == [2])
        assert server.log.count("fetched http") <= 2


def test_without_the_helper_the_start_says_so(tmp_path):
    ran = subprocess.run([SLUICE, "serve", "--remote_helper=/nonexistent/sluice-fetch", "--model_base_path=s3://b/m",
                          f"--remote_cache_dir={tmp_path}/cache", "--rest_api_port=0", "--rest_address=127.0.0.1:0"],
                         capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1 and "/nonexistent/sluice-fetch" in ran.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def gs():
    port = stores.free_port()
    url = f"http://127.0.0.1:{port}"
    with stores.program(sys.executable, "-m", "gcp_storage_emulator", "start", "--in-memory", f"--port={port}",
                        "--default-bucket=models", ready=url + "/"):
        yield url


def test_gs_from_the_bucket_to_an_answer(gs, start, tmp_path):
    for f in HALF.rglob("*"):
        if f.is_file():
            stores.gs_put(gs, "models", f"a/half/7/{f.relative_to(HALF)}", f.read_bytes())
    server = start(*FAST, f"--remote_cache_dir={tmp_path}/cache", config=model_config(("half", "gs://models/a/half")),
                   env={**stores.NO_CREDENTIALS, "STORAGE_EMULATOR_HOST": gs})
    assert json.loads(server.ask("POST", "/v1/models/half:predict", ROW).text)["predictions"] == [2.5, 3.0]
    assert available(server, "half") == [7]
