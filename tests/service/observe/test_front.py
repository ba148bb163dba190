"""The one port of a cluster."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
from ending import ending

ROOT = Path(__file__).parents[3]


def test_a_cluster_on_one_port(tmp_path: Path) -> None:
    """While two processes run, one port has the metrics of both with their numbers, and the health of the whole."""
    line = [
        sys.executable, "-m", "service", "cluster", "-n", "2", "--profile", "distributed", "--out", str(tmp_path),
        "--set", "http.port=0", "--set", "simulate.agents=20000", "--set", "simulate.duration=600s",
    ]  # fmt: skip
    cluster = subprocess.Popen(
        line, cwd=ROOT, env=os.environ | {"COLUMNS": "200"}, stdout=subprocess.PIPE, text=True
    )
    with ending(cluster):
        try:
            assert cluster.stdout is not None
            address = next(
                found[0] for text in cluster.stdout if (found := re.search(r"http://[\d.]+:\d+", text))
            )
            end_s = time.monotonic() + 90
            while not all(
                f'aura_events_total{{process="{k}"}}' in (text := _get(f"{address}/metrics")) for k in (0, 1)
            ):
                assert time.monotonic() < end_s, text
                time.sleep(0.1)
            assert "aura_cluster_nodes 2.0" in text
            assert "aura_cluster_restarts_total 0.0" in text
            health = json.loads(_get(f"{address}/health"))
            assert health["cluster"]["nodes"] == 2
            assert health["components"][0]["state"] == "healthy"
        finally:
            cluster.terminate()
            cluster.communicate(timeout=60)


def _get(address: str) -> str:
    try:
        return httpx.get(address, timeout=30).text
    except httpx.TransportError:  # not yet
        return ""
