"""Real clients and proxies before the real server. What starts the server is tests/api/conftest.py."""
import importlib.util
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

here = pathlib.Path(__file__).resolve().parent
spec = importlib.util.spec_from_file_location("served", here.parent / "api/conftest.py")
served = importlib.util.module_from_spec(spec)
sys.modules["served"] = served
spec.loader.exec_module(served)
servers, start = served.servers, served.start
sys.path.append(str(here.parent / "api")) # certificates.py

ROW = b'{"instances": [[1.0, 2.0, 3.0]]}'
ANSWER = {"predictions": [[4.75]]}
CONFIG = served.model_config(("my_model", served.ROOT / "examples/models/my_model"))
PATH = "/v1/models/my_model:predict"


class clients:
    """What the tests share: `from clients import ...`."""
    ROW, ANSWER, CONFIG, PATH = ROW, ANSWER, CONFIG, PATH

    @staticmethod
    def tool(name):
        """The path of a program, or a failure with its name: these tests are about real clients."""
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
        if not found:
            pytest.fail(f"{name} is not installed (tools/deps clients installs it)", pytrace=False)
        return found

    @staticmethod
    def run(*command, timeout=120, **kw):
        command = [str(c) for c in command]
        command[0] = clients.tool(command[0])
        return subprocess.run(command, capture_output=True, timeout=timeout, **kw)

    @staticmethod
    def wait_for_port(port, process, seconds=20):
        import socket
        end = time.monotonic() + seconds
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                assert process.poll() is None, f"the proxy ended with {process.returncode}"
                assert time.monotonic() < end, "the proxy does not listen"
                time.sleep(0.02)


sys.modules["clients"] = clients


@pytest.fixture
def server(servers):
    return servers(config=CONFIG)
