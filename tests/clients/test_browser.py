"""A web page of another origin asks for predictions, in a real browser."""
import http.server
import json
import re
import threading

import pytest
import requests

from clients import ANSWER, CONFIG, PATH, ROW, run

PAGE = """<!doctype html><html><body><pre id="out">waiting</pre><script>
const out = document.getElementById("out");
fetch("http://127.0.0.1:%d%s", {method: "POST", headers: {"Content-Type": "application/json"}, body: %s})
  .then(r => r.json().then(j => { out.textContent = JSON.stringify({status: r.status, body: j}); }))
  .catch(e => { out.textContent = JSON.stringify({refused: e.name}); });
</script></body></html>"""


def browse(server):
    """What the page shows in the end."""
    page = (PAGE % (server.port, PATH, json.dumps(ROW.decode()))).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        done = run("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                   "--virtual-time-budget=10000", "--dump-dom", f"http://127.0.0.1:{web.server_port}/")
    finally:
        web.shutdown()
        web.server_close()
    shown = re.search(r'<pre id="out">(.*?)</pre>', done.stdout.decode(), re.S)
    assert shown, done.stdout.decode() + done.stderr.decode()
    return json.loads(shown.group(1))


def test_a_page_of_another_origin_predicts_with_cors_support(servers):
    server = servers("--rest_api_enable_cors_support", config=CONFIG)
    assert browse(server) == {"status": 200, "body": ANSWER}


def test_without_cors_support_the_browser_refuses(servers):
    assert browse(servers(config=CONFIG)) == {"refused": "TypeError"}


def test_what_a_browser_asks_before(servers):
    """The preflight by hand, to see what the browser saw."""
    server = servers("--rest_api_enable_cors_support", config=CONFIG)
    reply = requests.options(f"http://127.0.0.1:{server.port}{PATH}", headers={
        "Origin": "http://example.org", "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type"})
    assert reply.status_code == 200
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in reply.headers["Access-Control-Allow-Methods"]
    assert "content-type" in reply.headers["Access-Control-Allow-Headers"].lower()
