"""Remote base paths whose stores fail in all the ways in which stores fail."""
import base64
import hashlib
import http.client
import json
import os
import pathlib
import signal
import threading
import time
import urllib.request
from urllib.parse import quote

import pytest

import served
import stores

until = stores.until

HALF = served.ROOT / "tests/models/half_plus_two/1"
ROW = '{"instances": [1.0, 2.0]}'
ANSWER = {"predictions": [2.5, 3.0]}
SECRETS = ("testing-secret", "hush", "WRONG-SECRET")


def state(server, model="half"):
    return json.loads(server.ask("GET", f"/v1/models/{model}").text)


def available(server, model="half"):
    return sorted(int(v["version"]) for v in state(server, model).get("model_version_status", [])
                  if v["state"] == "AVAILABLE")


def predict(server, model="half"):
    reply = server.ask("POST", f"/v1/models/{model}:predict", ROW)
    return json.loads(reply.text) if reply.status == 200 else reply.status


@pytest.fixture
def serve(start, tmp_path):
    """A server with remote models; afterwards no log holds a secret and no helper is left."""
    running = []

    def get(*flags, models, env, cache="cache", **kw):
        config = served.model_config(*models.items())
        server = start("--engine=native", "--remote_poll_wait_seconds=1", f"--remote_cache_dir={tmp_path}/{cache}", *flags,
                       config=config, env={**stores.NO_CREDENTIALS, **env}, **kw)
        running.append(server)
        return server

    yield get
    for server in running:
        if server.log_path.exists():
            assert not any(secret in server.log for secret in SECRETS)
        if server.process.poll() is None:
            helper = children(server)
            server.stop()
            until(lambda: not any(pathlib.Path(f"/proc/{p}").exists() for p in helper), 10)


def children(server):
    """The helpers that run for the server: its launcher's children, or its own where it has none."""
    found = [server.process.pid]
    for pid in found:
        for of_thread in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
            found += [int(child) for child in of_thread.read_text().split()]
    return [pid for pid in found[1:] if "sluice-fetch" in pathlib.Path(f"/proc/{pid}/cmdline").read_text()]


class Proxy(stores.Web):
    """Stands before a store. `fault(handler, reply, body)` may answer itself and return True."""

    def __init__(self, target):
        super().__init__()
        self.target, self.fault, self.lock = target, None, threading.Lock()
        self.page, self.sign_in = None, False
        self.files = self

    def get(self, path):
        return self.forward

    def forward(self, handler):
        host = self.target.split("//")[1]
        c = http.client.HTTPConnection(host, timeout=30)
        headers = {k: v for k, v in handler.headers.items() if k.lower() != "host"}
        path = handler.path + (f"&max-keys={self.page}" if self.page and "list-type" in handler.path else "")
        if self.sign_in:
            headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request"
        c.request(handler.command, path, headers={**headers, "Host": handler.headers["Host"]})
        reply = c.getresponse()
        body = reply.read()
        if self.fault is not None and self.fault(handler, reply, body):
            return
        handler.send_response(reply.status)
        for key, value in reply.headers.items():
            if key.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                handler.send_header(key, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@pytest.fixture(scope="module")
def bucket():
    with stores.s3() as store:
        yield store


@pytest.fixture
def s3(bucket, request):
    """The bucket, through a proxy, with a prefix of the test's own."""
    proxy = Proxy(bucket.url)
    proxy.prefix = request.node.name
    proxy.path = f"s3://models/{proxy.prefix}"
    proxy.env = {**bucket.env, "AWS_ENDPOINT_URL": proxy.url}
    bucket.put_version(f"{proxy.prefix}/1", HALF)
    yield proxy
    proxy.close()


def is_object(handler):
    return "list-type" not in handler.path


def test_errors_that_pass_are_tried_again(s3, serve):
    seen = {}

    def fault(handler, reply, body):
        with s3.lock:
            seen[handler.path] = seen.get(handler.path, 0) + 1
        if seen[handler.path] <= 2:
            handler.answer((500, 503)[seen[handler.path] - 1], b"<Error><Code>SlowDown</Code></Error>")
            return True

    s3.fault = fault
    server = serve(models={"half": s3.path}, env=s3.env)
    assert predict(server) == ANSWER
    assert min(seen.values()) == 3 or max(seen.values()) >= 3


def test_half_a_file_is_gone_on_with(s3, serve):
    cut = set()

    def fault(handler, reply, body):
        if is_object(handler) and handler.path not in cut and len(body) > 1000:
            cut.add(handler.path)
            handler.send_response(200)
            for key in ("ETag", "Last-Modified"):
                handler.send_header(key, reply.headers[key])
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body[:len(body) // 2])
            handler.close_connection = True
            return True

    s3.fault = fault
    server = serve(models={"half": s3.path}, env=s3.env)
    assert predict(server) == ANSWER
    assert cut
    ranges = [headers["Range"] for path, headers in s3.asked if "Range" in headers and path in cut]
    assert len(ranges) == len(cut) and all(r != "bytes=0-" for r in ranges)


def test_wrong_bytes_are_never_served(s3, serve):
    broken = [True]

    def fault(handler, reply, body):
        if broken[0] and handler.path.endswith("saved_model.pb"):
            handler.answer(200, bytes([body[0] ^ 1]) + body[1:], ETag=reply.headers["ETag"])
            return True

    s3.fault = fault
    server = serve(models={"half": s3.path}, env=s3.env)
    assert state(server)["error"].startswith("Could not find any versions of model half: DATA_LOSS: version 1: ")
    assert "MD5" in server.log and predict(server) == 404
    broken[0] = False
    until(lambda: predict(server) == ANSWER)


def test_another_part_than_was_asked_for_is_not_taken(s3, serve):
    seen = set()

    def fault(handler, reply, body):
        if not is_object(handler) or len(body) < 1000 or handler.path + "!" in seen:
            return False
        status, sent = (206, body[10:]) if "Range" in handler.headers else (200, body)
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(sent)))
        if status == 206:
            seen.add(handler.path + "!")
            handler.send_header("Content-Range", f"bytes 10-{len(body) - 1}/{len(body)}")
        handler.end_headers()
        handler.wfile.write(sent[:len(sent) // 2])
        handler.close_connection = True
        return True

    s3.fault = fault
    server = serve(models={"half": s3.path}, env=s3.env)
    assert "another part came than was asked for" in state(server)["error"]
    until(lambda: predict(server) == ANSWER)


def test_certificates_are_verified(serve, tmp_path):
    import datetime
    import ipaddress
    import ssl
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
            .not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
            .add_extension(address, False).add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256()))
    pem = tmp_path / "cert.pem"
    pem.write_bytes(cert.public_bytes(serialization.Encoding.PEM) +
                    key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    with stores.web() as site:
        site.files["/half.tar.gz"] = stores.tar(("1", HALF))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        site.server.socket = context.wrap_socket(site.server.socket, server_side=True)
        models = {"half": site.url.replace("http://", "https://") + "/half.tar.gz"}
        server = serve(models=models, env={})
        assert "FAILED_PRECONDITION" in state(server)["error"] and "certificate" in state(server)["error"]
        server = serve(models=models, env={"AWS_CA_BUNDLE": "", "SSL_CERT_FILE": str(pem)}, cache="other")
        assert predict(server) == ANSWER, server.log


def test_a_file_that_changes_while_it_is_fetched_is_not_mixed(s3, bucket, serve):
    once = []

    def fault(handler, reply, body):
        if is_object(handler) and not once:
            once.append(handler.path)
            handler.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            return True

    s3.fault = fault
    server = serve(models={"half": s3.path}, env=s3.env)
    until(lambda: predict(server) == ANSWER)
    assert all("If-Match" in headers for path, headers in s3.asked if "list-type" not in path)
    assert "PreconditionFailed" in server.log


def test_a_listing_that_is_cut_or_empty_or_an_error_unloads_nothing(s3, serve):
    server = serve(models={"half": s3.path}, env=s3.env)
    assert predict(server) == ANSWER
    how = []

    def fault(handler, reply, body):
        if is_object(handler) or not how:
            return False
        if how[0] == "cut":
            handler.answer(200, body[:len(body) // 2])
        elif how[0] == "page":
            handler.answer(200, body.replace(b"<IsTruncated>false", b"<IsTruncated>true"))
        elif how[0] == "html":
            handler.answer(200, b"<html><body>maintenance</body></html>")
        elif how[0] == "empty":
            handler.answer(200, b"<ListBucketResult></ListBucketResult>")
        else:
            handler.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        return True

    s3.fault = fault
    for kind in ("cut", "page", "html", "empty", "denied"):
        how[:] = [kind]
        before = len(s3.asked)
        until(lambda: len(s3.asked) > before + 1)
        assert available(server) == [1] and predict(server) == ANSWER
    assert "AccessDenied" in server.log or "again" in server.log or "not an answer" in server.log


def test_one_store_that_hangs_holds_up_no_other(s3, serve):
    release = threading.Event()

    def fault(handler, reply, body):
        release.wait(60)

    s3.fault = fault
    with stores.web() as site:
        site.files["/half.tar.gz"] = stores.tar(("1", HALF))
        slow = {f"slow{i}": f"{s3.path}/{i}" for i in range(20)}
        server = serve("--remote_timeout_s=2", models={**slow, "quick": f"{site.url}/half.tar.gz"}, env=s3.env, wait=False)
        until(lambda: "fetched" in server.log and "/half.tar.gz" in server.log, 10)
        release.set()
        server.wait_for(served.READY)
        assert predict(server, "quick") == ANSWER


def test_a_transfer_that_stands_still_is_an_error_with_a_reason(s3, serve):
    def fault(handler, reply, body):
        if is_object(handler):
            time.sleep(4)

    s3.fault = fault
    server = serve("--remote_timeout_s=1", models={"half": s3.path}, env=s3.env)
    assert "DEADLINE_EXCEEDED" in state(server)["error"] or "UNAVAILABLE" in state(server)["error"]
    s3.fault = None
    until(lambda: predict(server) == ANSWER)


def test_a_listing_of_many_pages(s3, bucket, serve):
    for i in range(60):
        bucket.put(f"{s3.prefix}/1/assets/{i:04}", b"%d" % i)
    s3.page = 7
    server = serve(models={"half": s3.path}, env=s3.env)
    assert predict(server) == ANSWER
    assert sum("continuation-token" in path for path, _ in s3.asked) >= 8
    assert sum("/assets/00" in path for path, _ in s3.asked) == 60


def test_credentials_that_expired_are_fetched_anew(s3, serve, tmp_path):
    issued = []

    def sts(handler):
        assert "AssumeRoleWithWebIdentity" in handler.rfile.read(int(handler.headers["Content-Length"])).decode()
        issued.append(f"KEY{len(issued)}")
        body = f"""<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
            <AccessKeyId>{issued[-1]}</AccessKeyId><SecretAccessKey>hush</SecretAccessKey><SessionToken>hush-token</SessionToken>
            <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
            </AssumeRoleWithWebIdentityResponse>"""
        handler.answer(200, body.encode())

    def fault(handler, reply, body):
        if "Credential=KEY0/" in handler.headers["Authorization"]:
            handler.answer(400, b"<Error><Code>ExpiredToken</Code></Error>")
            return True

    token = tmp_path / "token"
    token.write_text("hush")
    s3.fault = fault
    with stores.web() as site:
        site.files["/"] = sts
        env = {**s3.env, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
               "AWS_ENDPOINT_URL_STS": site.url, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        server = serve(models={"half": s3.path}, env=env)
        assert predict(server) == ANSWER
    assert issued == ["KEY0", "KEY1"]
    assert all(h["x-amz-security-token"] == "hush-token" for _, h in s3.asked if "x-amz-security-token" in h)


def test_credentials_of_the_instances_metadata(s3, serve):
    document = {"Code": "Success", "AccessKeyId": "IMDS", "SecretAccessKey": "hush", "Token": "t",
                "Expiration": "2999-01-01T00:00:00Z"}

    def guarded(body):
        def give(handler):
            assert handler.headers["X-aws-ec2-metadata-token"] == "hush"
            handler.answer(200, body)
        return give

    with stores.web() as site:
        site.files["/latest/api/token"] = lambda h: h.answer(200 if h.command == "PUT" else 405, b"hush")
        roles = "/latest/meta-data/iam/security-credentials/"
        site.files[roles] = guarded(b"role")
        site.files[roles + "role"] = guarded(json.dumps(document).encode())
        env = {**s3.env, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "",
               "AWS_EC2_METADATA_SERVICE_ENDPOINT": site.url}
        server = serve(models={"half": s3.path}, env=env)
        assert predict(server) == ANSWER
    assert all("Credential=IMDS/" in headers["Authorization"] for _, headers in s3.asked)


def test_without_credentials_requests_are_anonymous(s3, serve):
    s3.sign_in = True  # the proxy does: this bucket is not public
    env = {**s3.env, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    server = serve(models={"half": s3.path}, env=env)
    assert predict(server) == ANSWER
    assert not any("Authorization" in headers for _, headers in s3.asked)


def signature_of(handler, key, secret):
    """What botocore makes of the request as it came: each header that it says is signed, and no other."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    signed = handler.headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    request = AWSRequest("GET", f"http://{handler.headers['Host']}{handler.path}",
                         headers={k: v for k, v in handler.headers.items() if k.lower() in signed})
    request.context.update(timestamp=handler.headers["x-amz-date"], client_config=None)
    assert all(h.lower() in signed for h in handler.headers if h.lower().startswith("x-amz-") or h.lower() == "host")
    auth = S3SigV4Auth(Credentials(key, secret), "s3", "us-east-1")
    return auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)


def test_signatures_are_what_the_store_expects(s3, bucket, serve):
    def fault(handler, reply, body):
        if not handler.headers["Authorization"].endswith("Signature=" + signature_of(handler, "testing", "testing-secret")):
            handler.answer(403, b"<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>testing</AWSAccessKeyId></Error>")
            return True

    bucket.put_version("a b+c/\u00fc=1/1", HALF)  # names that need encoding
    bucket.put("a b+c/\u00fc=1/1/assets/x y&z~'().txt", b"x")
    s3.fault, s3.page = fault, 2
    models = {"half": "s3://models/a b+c/\u00fc=1"}
    for token in ("", "to/ken+=="):
        server = serve(models=models, env={**s3.env, "AWS_SESSION_TOKEN": token}, cache="cache" + token[:2])
        assert predict(server) == ANSWER, server.log
    wrong = serve(models=models, env={**s3.env, "AWS_SECRET_ACCESS_KEY": "WRONG-SECRET"}, cache="other")
    assert "PERMISSION_DENIED" in state(wrong)["error"] and "SignatureDoesNotMatch" in state(wrong)["error"]


def test_a_version_replaced_in_place_is_served_after_it_was_loaded_anew(s3, bucket, serve):
    server = serve(models={"half": s3.path}, env=s3.env)
    assert predict(server) == ANSWER
    bucket.put(f"{s3.prefix}/1/assets/new", b"new")
    until(lambda: server.log.count("fetched s3://") == 2)
    assert predict(server) == ANSWER  # goes on with what it has
    assert server.stop() == 0
    again = serve(models={"half": s3.path}, env=s3.env)
    assert predict(again) == ANSWER and "fetched s3://" not in again.log


def test_the_tensorflow_engine_loads_from_the_cache(s3, serve):
    server = serve("--engine=tensorflow", models={"half": s3.path}, env=s3.env)
    assert predict(server) == ANSWER


def test_a_model_that_comes_by_reload_tells_how_far_it_is(s3, bucket, serve):
    release = threading.Event()

    def fault(handler, reply, body):
        if "/more/" in handler.path and is_object(handler):
            release.wait(60)

    bucket.put_version(f"{s3.prefix}/more/1", HALF)
    s3.fault = fault
    server = serve(f"--remote_root={s3.path}", "--reload_timeout_s=1", models={"half": s3.path}, env=s3.env)
    config = pathlib.Path(server.command[-1].split("=", 1)[1])
    config.write_text(served.model_config(("half", s3.path), ("more", f"{s3.path}/more")))
    server.process.send_signal(signal.SIGHUP)
    until(lambda: "it is being fetched" in state(server, "more").get("error", ""))
    # One that nobody wants any more is given up, and does not come.
    config.write_text(served.model_config(("half", s3.path)))
    server.process.send_signal(signal.SIGHUP)
    until(lambda: state(server, "more").get("error", "") == "Could not find any versions of model more")
    release.set()
    assert predict(server) == ANSWER and predict(server, "more") == 404


def test_the_helper_may_die(s3, serve):
    server = serve(models={"half": s3.path}, env=s3.env)
    first = children(server)
    assert len(first) == 1
    os.kill(first[0], signal.SIGKILL)
    server.wait_for("sluice-fetch has gone")
    until(lambda: len(children(server)) == 1 and children(server) != first)
    assert predict(server) == ANSWER


def test_the_helper_ends_with_a_server_that_is_killed(s3, serve):
    server = serve(models={"half": s3.path}, env=s3.env)
    helper = children(server)
    server.process.kill()
    server.process.wait()
    until(lambda: not pathlib.Path(f"/proc/{helper[0]}").exists(), 10)


def test_a_reload_may_name_only_what_remote_root_allows(s3, bucket, serve):
    bucket.put_version("allowed/half/1", HALF)
    server = serve("--remote_root=s3://models/allowed", models={"half": s3.path}, env=s3.env)
    config = pathlib.Path(server.command[-1].split("=", 1)[1])
    for path in ("s3://models/other/half", "http://169.254.169.254/x.tar.gz", "s3://models/allowed-not/half",
                 "https://user:hush@host/x.tar.gz"):
        config.write_text(served.model_config(("half", s3.path), ("new", path)))
        before = server.log.count("failed to ReloadConfig") + server.log.count("refused")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: server.log.count("failed to ReloadConfig") + server.log.count("refused") > before)
        assert predict(server) == ANSWER
    config.write_text(served.model_config(("half", s3.path), ("new", "s3://models/allowed/half")))
    server.process.send_signal(signal.SIGHUP)
    until(lambda: predict(server, "new") == ANSWER)


def test_redirects_of_archives(serve):
    with stores.web() as site, stores.web() as other:
        other.files["/half.tar.gz"] = stores.tar(("1", HALF))
        site.files["/half.tar.gz"] = lambda h: h.answer(302, Location=other.url + "/half.tar.gz")
        site.files["/same.tar.gz"] = lambda h: h.answer(302, Location="/real/x.tar.gz")
        site.files["/real/x.tar.gz"] = stores.tar(("1", HALF))
        site.files["/round.tar.gz"] = lambda h: h.answer(302, Location="/round.tar.gz")
        site.files["/file.tar.gz"] = lambda h: h.answer(302, Location="file:///etc/passwd")
        names = ("half", "same", "round", "file")
        models = {n: f"{site.url}/{n}.tar.gz" for n in names}
        server = serve(models=models, env={})
        assert predict(server, "same") == ANSWER
        assert "not the host that was configured" in state(server, "half")["error"]
        assert "once too often" in state(server, "round")["error"]
        assert "FAILED_PRECONDITION" in state(server, "file")["error"]
        assert not other.asked
        server = serve(f"--remote_root={other.url}", models=models, env={}, cache="second")
        assert predict(server, "half") == ANSWER


def test_archives_of_all_shapes(serve):
    with stores.web() as site:
        site.files["/plain.tar.gz"] = lambda h: h.serve(stores.tar((".", HALF)), Last_Modified="Wed, 21 Oct 2015 07:28:00 GMT")
        site.files["/deep.tar"] = stores.tar(("export/Servo/3", HALF), suffix="")
        site.files["/xz.tar.xz"] = stores.tar(("m/1", HALF), ("m/2", HALF), suffix="xz")
        site.files["/empty.tar.gz"] = stores.tar()
        site.files["/none.tar.gz"] = b"<html>not found</html>"
        models = {n.split(".")[0].strip("/"): site.url + n for n in site.files}
        server = serve(models=models, env={})
        assert available(server, "plain") == [1445412480]
        assert available(server, "deep") == [3]
        assert available(server, "xz") == [2]
        assert "neither a saved_model.pb nor version directories" in state(server, "empty")["error"]
        assert "archive" in state(server, "none")["error"]


def test_google_storage_that_sends_wrong_bytes(serve):
    files = {f"m/1/{f.relative_to(HALF)}": f.read_bytes() for f in HALF.rglob("*") if f.is_file()}
    with stores.web() as site:
        good = [False]

        def listing(handler):
            if "delimiter" in handler.path:
                return handler.answer(200, json.dumps({"prefixes": ["m/1/"]}).encode())
            items = [{"name": n, "size": str(len(d)), "generation": "5",
                      "md5Hash": base64.b64encode(hashlib.md5(d if good[0] else d + b"!").digest()).decode()}
                     for n, d in files.items()]
            handler.answer(200, json.dumps({"items": items}).encode())

        site.files["/storage/v1/b/models/o"] = listing
        for n, d in files.items():
            site.files["/storage/v1/b/models/o/" + quote(n, safe="")] = d
        server = serve(models={"half": "gs://models/m"}, env={"STORAGE_EMULATOR_HOST": site.url})
        assert "DATA_LOSS" in state(server)["error"]
        good[0] = True
        until(lambda: predict(server) == ANSWER)
        assert any("generation=5" in path for path, _ in site.asked)


def test_a_disk_that_fills_up(tmp_path):
    """A cache directory on a small file system, in a mount namespace of the server's own."""
    cache = tmp_path / "cache"
    cache.mkdir()
    big = tmp_path / "big/1/assets"
    big.mkdir(parents=True)
    (big / "data").write_bytes(os.urandom(1 << 20) * 30)
    for f in HALF.rglob("*"):
        if f.is_file():
            to = tmp_path / "big/1" / f.relative_to(HALF)
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(f.read_bytes())
    with stores.web() as site:
        site.files["/big.tar.gz"] = stores.tar(("1", tmp_path / "big/1"))
        site.files["/half.tar.gz"] = stores.tar(("1", HALF))
        command = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size=40m,mode=755 none {cache} && exec "$@"', "sh", str(served.SLUICE), "serve"]
        if os.geteuid() != 0:
            command[1:2] = ["-rm"]
        config = served.model_config(("big", site.url + "/big.tar.gz"), ("half", site.url + "/half.tar.gz"))
        server = served.Server("--engine=native", "--remote_poll_wait_seconds=1", f"--remote_cache_dir={cache}", config=config,
                               env=stores.NO_CREDENTIALS, command=command)
        try:
            assert predict(server, "half") == ANSWER
            assert "RESOURCE_EXHAUSTED" in state(server, "big")["error"], server.log
            assert "No space left" in server.log or "free space" in server.log
            # What was fetched in vain is gone.
            pid = server.process.pid
            inside = pathlib.Path(f"/proc/{pid}/root{cache}")
            until(lambda: not any(p.is_file() and p.stat().st_size > 1 << 20 for p in inside.rglob("*")), 20)
        finally:
            assert server.stop() == 0


def test_the_log_says_how_far_a_long_fetch_is(serve):
    with stores.web() as site:
        data = stores.tar(("1", HALF)) + b"\0" * 3_000_000

        def slowly(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            for at in range(0, len(data), 500_000):
                handler.wfile.write(data[at:at + 500_000])
                time.sleep(0.25)

        site.files["/half.tar.gz"] = slowly
        server = serve(models={"half": f"{site.url}/half.tar.gz"}, env={})
        assert predict(server) == ANSWER
        assert f"fetching {site.url}/half.tar.gz: " in server.log and " of 3 MB" in server.log
