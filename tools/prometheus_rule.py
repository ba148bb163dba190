"""Print the rules of infra/monitoring as a resource of Prometheus' operator: `make rules` puts it beside the others."""

from pathlib import Path

import yaml

RULES = Path(__file__).resolve().parents[1] / "infra/monitoring/rules.yaml"


def resource(rules: Path = RULES) -> str:
    """Return the text of the PrometheusRule."""
    head = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "aura"}}
    spec = yaml.safe_load(rules.read_text(encoding="utf-8"))
    text: str = yaml.safe_dump(head | {"spec": spec}, sort_keys=False, width=120)
    return f"# Made from infra/monitoring/rules.yaml by `make rules`.\n{text}"


if __name__ == "__main__":
    print(resource(), end="")
