"""Whether what runs in this container lives: exit code 0 if /healthz answers, of a flow or of the dashboard.

A flow is asked on the port of AURA_HTTP__PORT, the dashboard on 8080 or the ports that are given as arguments.
"""

import os
import sys
import urllib.request

ports = [os.environ.get("AURA_HTTP__PORT", "9090"), *(sys.argv[1:] or ["8080"])]


def lives(port: str) -> bool:
    """Return whether somebody on that port of this container says that it lives."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(not any(map(lives, ports)))
