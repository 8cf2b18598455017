"""Stores for tests of remote base paths: moto's S3 server, the GCS emulator, a small web server."""
import contextlib
import http.server
import io
import os
import pathlib
import socket
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MODELS = ROOT / "tests/models"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


def answers(url):
    try:
        urllib.request.urlopen(url, timeout=2).close()
        return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@contextlib.contextmanager
def program(*command, ready, env=None):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **(env or {})})
    try:
        until(lambda: process.poll() is not None or answers(ready))
        assert process.poll() is None, f"{command[0]} ended"
        yield process
    finally:
        process.terminate()
        process.wait(20)


KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing-secret", "AWS_REGION": "us-east-1"}
NO_CREDENTIALS = {"AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_CONFIG_FILE": "/nonexistent",
                  "AWS_EC2_METADATA_DISABLED": "true", "NO_GCE_CHECK": "true", "NETRC": "/nonexistent"}


class S3:
    """A bucket of a running moto server."""

    def __init__(self, url, bucket):
        import boto3
        self.url, self.bucket = url, bucket
        self.client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="testing",
                                   aws_secret_access_key="testing-secret")
        self.client.create_bucket(Bucket=bucket)
        self.env = {**NO_CREDENTIALS, **KEYS, "AWS_ENDPOINT_URL": url}

    def put(self, key, data, **more):
        self.client.put_object(Bucket=self.bucket, Key=key, Body=data, **more)

    def put_version(self, prefix, directory):
        """The files of a version directory, saved_model.pb last, as a careful uploader does it."""
        directory = pathlib.Path(directory)
        files = sorted((f for f in directory.rglob("*") if f.is_file()), key=lambda f: f.name.startswith("saved_model"))
        for f in files:
            self.put(f"{prefix}/{f.relative_to(directory)}", f.read_bytes())

    def delete(self, prefix):
        for o in self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", []):
            self.client.delete_object(Bucket=self.bucket, Key=o["Key"])


@contextlib.contextmanager
def s3(bucket="models", env=None):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with program(sys.executable, "-m", "moto.server", "-p", str(port), ready=url + "/moto-api/", env=env):
        yield S3(url, bucket)


def tar(*members, suffix="gz"):
    """An archive of (name, directory) pairs: what is in the directory, below that name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{suffix}") as t:
        for name, directory in members:
            for f in sorted(pathlib.Path(directory).rglob("*")):
                if f.is_file():
                    t.add(f, arcname=str(pathlib.PurePosixPath(name) / f.relative_to(directory)))
    return out.getvalue()


class Web:
    """A web server whose answers a test chooses: files[path] = bytes, or a function of the handler."""

    def __init__(self):
        self.files, self.asked = {}, []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                web.asked.append((self.path, dict(self.headers)))
                found = web.files.get(self.path.split("?")[0])
                if callable(found):
                    found(self)
                elif found is None:
                    self.answer(404, b"no")
                else:
                    self.serve(found)

            do_POST = do_PUT = do_GET

            def answer(self, status, body=b"", **headers):
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def serve(self, data, **headers):
                import hashlib
                etag = '"' + hashlib.sha256(data).hexdigest()[:20] + '"'
                if self.headers.get("If-None-Match") == etag:
                    return self.answer(304, ETag=etag)
                span = self.headers.get("Range")
                if span and self.headers.get("If-Range", etag) == etag:
                    begin = int(span.split("=")[1].rstrip("-"))
                    return self.answer(206, data[begin:], ETag=etag,
                                       Content_Range=f"bytes {begin}-{len(data) - 1}/{len(data)}", **headers)
                self.answer(200, data, ETag=etag, **headers)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def web():
    w = Web()
    try:
        yield w
    finally:
        w.close()


def gs_put(url, bucket, name, data):
    from urllib.parse import quote
    request = urllib.request.Request(f"{url}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(name, safe='')}",
                                     data=data, method="POST", headers={"Content-Type": "application/octet-stream"})
    urllib.request.urlopen(request, timeout=20).close()
