"""Load generators: a short load, and not one error."""
import re

import pytest

from clients import PATH, ROW, run


@pytest.fixture
def body(tmp_path):
    (tmp_path / "body").write_bytes(ROW)
    return tmp_path / "body"


def test_h2load_over_http_1(server, body):
    done = run("h2load", "--h1", "-n", "40000", "-c", "16", "-d", body, f"http://127.0.0.1:{server.port}{PATH}")
    out = done.stdout.decode()
    assert done.returncode == 0, out
    assert "40000 total, 40000 started, 40000 done, 40000 succeeded, 0 failed, 0 errored, 0 timeout" in out, out
    assert "status codes: 40000 2xx, 0 3xx, 0 4xx, 0 5xx" in out, out


def test_h2load_with_pipelined_requests(server, body):
    done = run("h2load", "--h1", "-n", "20000", "-c", "8", "-m", "16", "-d", body,
               f"http://127.0.0.1:{server.port}{PATH}")
    out = done.stdout.decode()
    assert "20000 succeeded, 0 failed, 0 errored, 0 timeout" in out and "20000 2xx" in out, out


def test_wrk(server, tmp_path):
    script = tmp_path / "post.lua"
    script.write_text(f"wrk.method = 'POST'\nwrk.body = '{ROW.decode()}'\n")
    done = run("wrk", "-t2", "-c64", "-d5s", "-s", script, f"http://127.0.0.1:{server.port}{PATH}")
    out = done.stdout.decode()
    assert done.returncode == 0 and "Socket errors" not in out and "Non-2xx" not in out, out
    assert int(re.search(r"(\d+) requests in", out).group(1)) > 1000


def test_ab_with_and_without_keep_alive(server, body):
    for flags, wanted in [(["-k"], 20000), ([], 5000)]:
        done = run("ab", "-q", *flags, "-n", wanted, "-c", "16", "-p", body, "-T", "application/json",
                   f"http://127.0.0.1:{server.port}{PATH}")
        out = done.stdout.decode()
        assert done.returncode == 0, done.stderr.decode()
        assert re.search(rf"Complete requests:\s+{wanted}\n", out), out
        assert re.search(r"Failed requests:\s+0\n", out) and "Non-2xx" not in out, out
        if flags:
            assert re.search(rf"Keep-Alive requests:\s+{wanted}\n", out), out
