"""An issuer of JSON Web Tokens: keys by openssl, and a server that has its key set at a URL.

    issuer = Issuer(directory)
    token = issuer.token("key-1", sub="ann")
    with served(lambda path: Reply(issuer.key_set("key-1"))) as site: site.url + "/jwks.json", site.asked
"""
import base64
import contextlib
import dataclasses
import http.server
import json
import ssl
import threading
import time

from certificates import openssl


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    def __init__(self, directory, name="https://issuer.example/"):
        self.directory, self.name = directory, name

    def key(self, kid):
        path = self.directory / f"{kid}.key"
        if not path.exists():
            path.write_bytes(openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"))
        return path

    def key_set(self, *kids):
        keys = []
        for kid in kids:
            text = openssl("rsa", "-in", self.key(kid), "-modulus", "-noout").decode()
            modulus = bytes.fromhex(text.strip().split("=")[1])
            keys.append({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": b64(modulus), "e": "AQAB"})
        return json.dumps({"keys": keys}).encode()

    def token(self, kid, named=True, **claims):
        now = int(time.time())
        header = {"alg": "RS256", "typ": "JWT", **({"kid": kid} if named else {})}
        claims = {"iss": self.name, "aud": "sluice", "sub": "ann", "iat": now, "exp": now + 3600, **claims}
        signed = b64(json.dumps(header).encode()) + "." + b64(json.dumps(claims).encode())
        return signed + "." + b64(openssl("dgst", "-sha256", "-sign", self.key(kid), data=signed.encode()))


@dataclasses.dataclass
class Reply:
    body: bytes = b""
    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)
    wait_s: float = 0  # before the answer
    endless: bool = False  # a byte now and then, for as long as the client likes


@contextlib.contextmanager
def served(answer, cert=None, key=None, port=0):
    """`answer` makes a Reply of a path; the returned object counts what was asked for."""
    ended = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            site.asked.append(self.path)
            reply = answer(self.path)
            ended.wait(reply.wait_s)
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if not reply.endless:
                    self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)
                while reply.endless and not ended.wait(0.2):
                    self.wfile.write(b" ")
            except OSError:
                pass  # the client has had enough

        def log_message(self, *args):
            pass

    class Site(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            pass  # a handshake that the client broke off

    site = Site(("127.0.0.1", port), Handler)
    site.asked = []
    site.url = f"{'https' if cert else 'http'}://127.0.0.1:{site.server_port}"
    if cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        site.socket = context.wrap_socket(site.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        ended.set()
        site.shutdown()
        thread.join()
        site.server_close()
