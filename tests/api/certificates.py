"""Keys and certificates for tests, made by the openssl command: none is committed.

    ca = Authority(directory)
    cert, key = ca.issue("server", san="DNS:localhost,IP:127.0.0.1")
"""
import pathlib
import subprocess


def openssl(*args, data=None):
    done = subprocess.run(["openssl", *map(str, args)], input=data, capture_output=True)
    assert done.returncode == 0, f"openssl {args[0]}: {done.stderr.decode()}"
    return done.stdout


class Authority:
    def __init__(self, directory, name="ca"):
        self.directory = pathlib.Path(directory)
        self.cert, self.key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        new_key(self.key)
        openssl("req", "-x509", "-new", "-key", self.key, "-out", self.cert, "-days", 30, "-subj", f"/CN={name}",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name, san="DNS:localhost,IP:127.0.0.1", days=10, cn=None, rsa=False, to=None):
        """A certificate and its key: PEM files `name`.pem and `name`.key (or in the directory `to`)."""
        to = pathlib.Path(to or self.directory)
        cert, key = to / f"{name}.pem", to / f"{name}.key"
        new_key(key, rsa)
        request = openssl("req", "-new", "-key", key, "-subj", f"/CN={cn or name}")
        (to / f"{name}.ext").write_text(f"subjectAltName={san}\nbasicConstraints=CA:FALSE\n")
        openssl("x509", "-req", "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", days,
                "-extfile", to / f"{name}.ext", "-out", cert, data=request)
        return cert, key


def new_key(path, rsa=False):
    path.touch(mode=0o600)
    kind = ("RSA", "rsa_keygen_bits:2048") if rsa else ("EC", "ec_paramgen_curve:P-256")
    path.write_bytes(openssl("genpkey", "-algorithm", kind[0], "-pkeyopt", kind[1]))


def ssl_config(cert, key, ca=None, verify=False):
    """TensorFlow Serving's SSLConfig: the PEM texts themselves."""
    def literal(path):
        return '"' + path.read_text().replace("\n", "\\n") + '"'
    text = f"server_key: {literal(key)}\nserver_cert: {literal(cert)}\n"
    if ca:
        text += f"custom_ca: {literal(ca)}\n"
    return text + f"client_verify: {str(verify).lower()}\n"
