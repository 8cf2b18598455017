"""h2spec, the conformance tests of HTTP/2 and HPACK, against REST's port."""
import subprocess
import xml.etree.ElementTree as xml

from build import go_program

# What fails, and why that is meant. docs/compatibility.md says the same.
MEANT = {
    # The port speaks HTTP/1 too: what does not begin like HTTP/2 is answered in HTTP/1, and closed.
    "Sends invalid connection preface": "http2/3.5",
    # nghttp2 remembers no closed streams here (memory); DATA that comes too late is read over, as RFC 9113
    # section 5.1 allows for streams that we have reset.
    "closed: Sends a DATA frame after sending RST_STREAM frame": "http2/5.1",
    "closed: Sends a DATA frame": "http2/5.1",
    "half closed (remote): Sends a DATA frame": "http2/5.1",  # if the answer was faster
    'Sends a DATA frame on the stream that is not in "open" or "half-closed (local)" state': "http2/6.1",
    # SETTINGS_NO_RFC7540_PRIORITIES (RFC 9218): such frames are not looked at.
    "Sends PRIORITY frame that depend on itself": "http2/5.3.1",
    "Sends HEADERS frame that depends on itself": "http2/5.3.1",
    "Sends a PRIORITY frame with 0x0 stream identifier": "http2/6.3",
}


def test_what_h2spec_finds_is_what_is_meant(server, tmp_path):
    report = tmp_path / "report.xml"
    subprocess.run([go_program("h2spec"), "-h", "127.0.0.1", "-p", str(server.port), "-P", "/v1/models/my_model", "--timeout", "2", "-j",
                    report], capture_output=True, timeout=300)
    cases = [(suite.get("package"), case) for suite in xml.parse(report).getroot().iter("testsuite")
             for case in suite.iter("testcase")]
    assert len(cases) > 130
    failed = {case.get("classname"): package for package, case in cases
              if case.find("failure") is not None or case.find("error") is not None}
    assert {k: v for k, v in failed.items() if k not in MEANT} == {}
