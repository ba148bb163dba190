import json
import subprocess
from pathlib import Path

import yaml
from debian import program

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "infra/monitoring"
RULES = [r for g in yaml.safe_load((MONITORING / "rules.yaml").read_text())["groups"] for r in g["rules"]]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Prometheus' own tool in the folder of the rules."""
    command = [program("promtool", "prometheus"), *arguments]
    return subprocess.run(command, cwd=MONITORING, capture_output=True, text=True, check=False)


def test_the_rules_pass_their_unit_tests() -> None:
    """Each fires when it should and not before."""
    found = promtool("test", "rules", "rules_test.yaml")
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_rule_has_a_unit_test_in_which_it_fires() -> None:
    """No rule is untested."""
    tests = yaml.safe_load((MONITORING / "rules_test.yaml").read_text())["tests"]
    fired = {a["alertname"] for t in tests for a in t["alert_rule_test"] if a["exp_alerts"]}
    assert fired == {rule["alert"] for rule in RULES}


def test_a_rule_that_is_changed_is_noticed(tmp_path: Path) -> None:
    """The unit tests can fail."""
    text = (MONITORING / "rules.yaml").read_text().replace("> 0.9\n", "> 0.99\n")
    (tmp_path / "rules.yaml").write_text(text)
    (tmp_path / "rules_test.yaml").write_text((MONITORING / "rules_test.yaml").read_text())
    assert promtool("test", "rules", str(tmp_path / "rules_test.yaml")).returncode != 0


def test_every_rule_has_a_runbook() -> None:
    """The page is there, is headed by the rule's name, and says what to do."""
    for rule in RULES:
        page = (ROOT / rule["annotations"]["runbook"]).read_text()
        assert page.startswith(f"# {rule['alert']}\n")
        assert "## What to do" in page


def test_the_dashboard_has_the_panels_of_the_system_monitor() -> None:
    """Agents by level, bridge calls, memory, emergence; and what else an operator looks at."""
    dashboard = json.loads((MONITORING / "dashboards/aura.json").read_text())
    assert dashboard["title"] == "AURA System Monitor"
    kinds = {panel["title"]: panel["type"] for panel in dashboard["panels"]}
    wanted = {
        "Agents by level": "timeseries",
        "Bridge calls": "heatmap",
        "Memory": "timeseries",
        "Emergence": "gauge",
    }
    assert wanted.items() <= kinds.items()
    assert {"Throughput", "Latency", "Watermark lag", "Kafka lag", "Degradation level"} <= kinds.keys()
