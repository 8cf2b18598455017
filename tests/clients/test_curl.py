"""curl: every version of HTTP/1, HTTP/2, Expect: 100-continue, compression, connections that are kept."""
import gzip
import json
import os

from clients import ANSWER, CONFIG, PATH, ROW, run
from certificates import Authority


def curl(server, *args, path=PATH):
    """Status, head and body of the last reply, and what curl says of its connections."""
    done = run("curl", "-sS", "-v", *args, f"http://127.0.0.1:{server.port}{path}")
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout, done.stderr.decode()


def test_a_post_as_in_the_readme(server):
    out, log = curl(server, "-d", ROW.decode())
    assert json.loads(out) == ANSWER and "< HTTP/1.1 200 OK" in log


def test_http_1_0_is_answered_and_closed(server):
    out, log = curl(server, "--http1.0", "-d", ROW.decode())
    assert json.loads(out) == ANSWER
    assert "Closing connection" in log


def test_http_1_0_may_ask_to_keep_the_connection(server):
    u = f"http://127.0.0.1:{server.port}{PATH}"
    out, log = curl(server, "--http1.0", "-H", "Connection: keep-alive", "-d", ROW.decode(), u)
    assert json.loads(out[:len(out) // 2]) == ANSWER and json.loads(out[len(out) // 2:]) == ANSWER
    assert "Re-using existing connection" in log


def test_two_requests_share_a_connection(server):
    u = f"http://127.0.0.1:{server.port}{PATH}"
    out, log = curl(server, "-d", ROW.decode(), u)
    assert out == out[:len(out) // 2] * 2 and json.loads(out[:len(out) // 2]) == ANSWER
    assert "Re-using existing connection" in log


def test_expect_100_continue_with_two_megabytes(server, tmp_path):
    rows = [[1.0, 2.0, 3.0]] * 120_000
    body = json.dumps({"instances": rows})
    assert len(body) > 2_000_000
    (tmp_path / "body").write_text(body)
    out, log = curl(server, "-H", "Expect: 100-continue", "--expect100-timeout", "30", "-d", f"@{tmp_path}/body")
    assert "HTTP/1.1 100 Continue" in log and "Done waiting for 100-continue" not in log
    assert log.index("HTTP/1.1 100 Continue") < log.index("HTTP/1.1 200 OK")
    assert json.loads(out)["predictions"] == [[4.75]] * 120_000


def test_expect_100_continue_of_a_body_that_is_too_big_is_refused_before_it_is_sent(servers, tmp_path):
    server = servers("--max_body_bytes=100000", config=CONFIG)
    (tmp_path / "body").write_bytes(b" " * 200_000)
    out, log = curl(server, "-H", "Expect: 100-continue", "--expect100-timeout", "30", "-d", f"@{tmp_path}/body")
    assert "HTTP/1.1 413" in log and "100 Continue" not in log
    assert "100000" in json.loads(out)["error"]


def test_compressed_replies(servers, tmp_path):
    server = servers("--rest_api_compress_min_bytes=1000", config=CONFIG)
    (tmp_path / "body").write_text(json.dumps({"instances": [[float(i), 1.0, 2.0] for i in range(1000)]}))
    packed, log = curl(server, "--compressed", "-d", f"@{tmp_path}/body")
    assert "content-encoding: gzip" in log.lower()
    plain, log = curl(server, "-d", f"@{tmp_path}/body")
    assert "content-encoding" not in log.lower()
    assert packed == plain and len(json.loads(plain)["predictions"]) == 1000


def test_a_compressed_request(server, tmp_path):
    (tmp_path / "body").write_bytes(gzip.compress(ROW))
    out, _ = curl(server, "-H", "Content-Encoding: gzip", "--data-binary", f"@{tmp_path}/body")
    assert json.loads(out) == ANSWER


def test_a_chunked_upload_from_a_pipe(server):
    done = run("curl", "-sS", "-T", "-", "-X", "POST", f"http://127.0.0.1:{server.port}{PATH}", input=ROW)
    assert done.returncode == 0 and json.loads(done.stdout) == ANSWER


def test_head_has_no_body(server):
    out, log = curl(server, "-I", path="/healthz")
    assert "HTTP/1.1 " in log and not out.split(b"\r\n\r\n", 1)[1]


def test_ipv6(server):
    done = run("curl", "-sS", "-g", "-d", ROW.decode(), f"http://[::1]:{server.port}{PATH}")
    if done.returncode and not os.path.exists("/proc/net/if_inet6"):
        return # a machine without IPv6
    assert json.loads(done.stdout) == ANSWER


def test_http_2_by_prior_knowledge_and_by_upgrade(server):
    out, log = curl(server, "--http2-prior-knowledge", "-d", ROW.decode())
    assert json.loads(out) == ANSWER and "< HTTP/2 200" in log
    # Upgrade: h2c is gone from HTTP/2 (RFC 9113): the answer comes in HTTP/1.
    out, log = curl(server, "--http2", "-d", ROW.decode())
    assert json.loads(out) == ANSWER and "< HTTP/1.1 200" in log


def test_http_2_by_alpn(start, tmp_path):
    cert, key = Authority(tmp_path).issue("server")
    server = start(f"--tls_cert_file={cert}", f"--tls_key_file={key}", config=CONFIG)
    done = run("curl", "-sS", "-v", "--http2", "--cacert", tmp_path / "ca.pem", "-d", ROW.decode(),
               f"https://localhost:{server.port}{PATH}")
    assert json.loads(done.stdout) == ANSWER and b"< HTTP/2 200" in done.stderr, done.stderr
