"""What a scanner of TLS says about the server: sslscan, as Debian packages it."""
import xml.etree.ElementTree

import pytest

import clients
from certificates import Authority


@pytest.mark.parametrize("rsa", [False, True], ids=["ecdsa", "rsa"])
def test_sslscan_finds_only_what_is_sound(start, tmp_path, rsa):
    cert, key = Authority(tmp_path).issue("server", rsa=rsa)
    s = start(f"--tls_cert_file={cert}", f"--tls_key_file={key}", config=clients.CONFIG)
    done = clients.run("sslscan", "--no-colour", "--xml=-", f"127.0.0.1:{s.port}")
    text = done.stdout.decode()
    test = xml.etree.ElementTree.fromstring(text[text.index("<?xml"):]).find("ssltest")
    on = {f"{p.get('type')}{p.get('version')}" for p in test.findall("protocol") if p.get("enabled") == "1"}
    assert on == {"tls1.2", "tls1.3"}
    ciphers = {c.get("cipher") for c in test.findall("cipher")}
    assert len(ciphers) == 6
    kind = "RSA" if rsa else "ECDSA"
    for c in ciphers:
        assert c.startswith((f"ECDHE-{kind}-", "TLS_")) and any(w in c for w in ("GCM", "POLY1305")), c
    assert test.find("renegotiation").get("supported") == "0"
    assert all(c.get("supported") == "0" for c in test.findall("compression"))
    assert all(h.get("vulnerable") == "0" for h in test.findall("heartbleed"))
    assert {g.get("name").split()[0] for g in test.findall("group")} == {"x25519", "secp256r1", "secp384r1"}
