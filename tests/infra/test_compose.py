"""What compose.yaml says, as far as it can be told without a Docker engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.settings import load
from kernels.errors import ConfigError
from service.commands.dashboard import token_of

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "infra/kafka/compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("topics", "flows", "dashboard")


def test_one_command_starts_everything() -> None:
    """All but the three brokers for tests belong to no profile."""
    always = {name for name, service in SERVICES.items() if "profiles" not in service}
    assert always == {"broker", "topics", "flows", "dashboard", "prometheus", "grafana"}


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_exists(name: str) -> None:
    """A file of the repository, read-only, or a volume that is declared."""
    for mount in SERVICES[name].get("volumes", ()):
        source, _, *mode = mount.split(":")
        if source.startswith("."):
            assert (FILE.parent / source).exists()
            assert mode == ["ro"]
        else:
            assert source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_and_ports_are_on_loopback(name: str) -> None:
    """Another image is named with its version, ours is built from the file that is there; nobody else reaches a port."""
    service = SERVICES[name]
    if name in OURS:
        assert (FILE.parent / service["build"]["context"]).resolve() == ROOT
        assert (ROOT / service["build"]["dockerfile"]).exists()
    else:
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


@pytest.mark.parametrize("name", OURS)
def test_ours_can_do_little(name: str) -> None:
    """Not root, a read-only root, no capability."""
    service = SERVICES[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


def test_who_others_reach_asks_for_a_token() -> None:
    """Flows and dashboard take it from one variable, and start neither without it nor with an empty one."""
    flows = {key: str(value) for key, value in SERVICES["flows"]["environment"].items()}
    assert (
        flows["AURA_HTTP__TOKEN"] == SERVICES["dashboard"]["environment"]["AURA_TOKEN"] == "${AURA_TOKEN:-}"
    )
    assert load("flights", env=flows | {"AURA_HTTP__TOKEN": "a" * 24}).settings.http.port == 9090
    with pytest.raises(ConfigError, match="token"):
        load("flights", env=flows | {"AURA_HTTP__TOKEN": ""})
    for token in (None, ""):
        with pytest.raises(ConfigError, match="no token"):
            token_of("0.0.0.0", token)


def test_prometheus_and_grafana_find_each_other_and_the_flows() -> None:
    """The names in their files are those of the services, and the secret is where Prometheus looks for it."""
    config = yaml.safe_load((ROOT / "infra/monitoring/prometheus.yaml").read_text())
    (job,) = config["scrape_configs"]
    assert job["static_configs"][0]["targets"] == ["flows:9090"]
    (secret,) = SERVICES["prometheus"]["secrets"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
    assert secret in COMPOSE["secrets"]
    (source,) = yaml.safe_load((ROOT / "infra/monitoring/grafana/datasource.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((ROOT / "infra/monitoring/grafana/dashboards.yaml").read_text())["providers"]
    assert any(mount.split(":")[1] == provider["options"]["path"] for mount in SERVICES["grafana"]["volumes"])
