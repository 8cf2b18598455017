"""Asks a Sluice server for a prediction, from anywhere that reaches it.

    python examples/client.py [HOST:PORT]   default: localhost:8501
"""
import sys

import requests

host = sys.argv[1] if len(sys.argv) > 1 else "localhost:8501"
reply = requests.post(
    f"http://{host}/v1/models/my_model:predict",
    json={"instances": [[1.0, 2.0, 3.0]]},
    timeout=10,
)
if not reply.ok:
    sys.exit(f"the server says {reply.status_code}: {reply.json()['error']}")
print(reply.json()["predictions"])
