import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from flows.settings import load
from tools.prometheus_rule import resource

INFRA = Path(__file__).resolve().parents[2] / "infra"
OVERLAYS = ("cpu", "gpu", "three-nodes")
CUSTOM = {"ServiceMonitor", "PrometheusRule"}  # of Prometheus' operator: no schema comes with Kubernetes


def kustomize() -> list[str]:
    """The command that builds an overlay: kubectl's own, or kustomize from the Go module proxy."""
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    binary = Path(__file__).resolve().parents[2] / ".cache/bin/kustomize"
    if not binary.exists() and shutil.which("go"):
        install = ["go", "install", "sigs.k8s.io/kustomize/kustomize/v5@latest"]
        subprocess.run(install, env=os.environ | {"GOBIN": str(binary.parent)}, check=True)
    if not binary.exists():
        pytest.fail("needs kubectl, or go") if os.environ.get("CI") else pytest.skip("needs kubectl, or go")
    return [str(binary), "build"]


@cache
def built(overlay: str) -> list[dict[str, Any]]:
    """The resources of an overlay."""
    command = [*kustomize(), str(INFRA / "k8s/overlays" / overlay)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return list(yaml.safe_load_all(text))


def one(overlay: str, kind: str, name: str) -> dict[str, Any]:
    """The resource of that kind and name."""
    (found,) = [r for r in built(overlay) if r["kind"] == kind and r["metadata"]["name"] == name]
    return found


def pod(overlay: str) -> dict[str, Any]:
    """The pods of the cluster."""
    return one(overlay, "StatefulSet", "aura-cluster")["spec"]["template"]["spec"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_resource_is_valid(overlay: str) -> None:
    """Kubernetes' own schemas take each resource, strictly: no field that they do not know."""
    version = kubernetes_validate.latest_version()
    known = [r for r in built(overlay) if r["kind"] not in CUSTOM]
    assert len(known) > 12
    for each in known:
        kubernetes_validate.validate(each, version, strict=True)


def test_a_wrong_field_is_noticed() -> None:
    """The validation can fail."""
    wrong = one("cpu", "StatefulSet", "aura-cluster") | {"speck": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_referred_to_exists(overlay: str) -> None:
    """Claims, the service account, the config map and the scaled set are there under the names that are used."""
    names = {(r["kind"], r["metadata"]["name"]) for r in built(overlay)}
    spec = pod(overlay)
    for volume in spec["volumes"]:
        if claim := volume.get("persistentVolumeClaim"):
            assert ("PersistentVolumeClaim", claim["claimName"]) in names
        if config := volume.get("configMap"):
            assert ("ConfigMap", config["name"]) in names
    assert ("ServiceAccount", spec["serviceAccountName"]) in names
    assert ("Service", one(overlay, "StatefulSet", "aura-cluster")["spec"]["serviceName"]) in names
    mounted = {mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["volumes"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_size_that_pods_are_told_is_that_of_the_set(overlay: str) -> None:
    """CLUSTER_SIZE is spec.replicas, NODE_ID the pod's name."""
    env = {e["name"]: e for e in pod(overlay)["containers"][0]["env"]}
    assert env["CLUSTER_SIZE"]["value"] == str(
        one(overlay, "StatefulSet", "aura-cluster")["spec"]["replicas"]
    )
    assert env["NODE_ID"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize(
    ("kind", "name"), [("StatefulSet", "aura-cluster"), ("Deployment", "aura-dashboard")]
)
def test_containers_can_do_little(overlay: str, kind: str, name: str) -> None:
    """Not root, a read-only root file system, no capability, the default seccomp profile."""
    spec = one(overlay, kind, name)["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        own = container["securityContext"]
        assert own["readOnlyRootFilesystem"] is True
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}


def test_each_port_of_the_public_service_is_one_that_somebody_serves() -> None:
    """8080 is the dashboard's and 9090 the cluster's, by name; a policy lets clients in at the one and Prometheus at the other."""
    ports = {
        p["name"]: (p["port"], p["targetPort"])
        for p in one("cpu", "Service", "aura-service")["spec"]["ports"]
    }
    assert ports == {"api": (8080, "api"), "metrics": (9090, "metrics")}
    served = {
        name: {p["name"]: p["containerPort"] for p in one("cpu", kind, name)["spec"]["template"]["spec"]["containers"][0]["ports"]}
        for kind, name in (("StatefulSet", "aura-cluster"), ("Deployment", "aura-dashboard"))
    }  # fmt: skip
    assert served == {"aura-cluster": {"metrics": 9090, "cluster": 6379}, "aura-dashboard": {"api": 8080}}
    policy = one("cpu", "NetworkPolicy", "aura-dashboard")["spec"]
    assert policy["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "dashboard"
    assert policy["ingress"] == [{"ports": [{"port": 8080}]}]


def test_prometheus_finds_each_pod_once() -> None:
    """Of the two services that have its metrics the monitor selects one, whose name is the job of the rule on targets."""
    wanted = one("cpu", "ServiceMonitor", "aura")["spec"]["selector"]["matchLabels"]
    services = [r for r in built("cpu") if r["kind"] == "Service"]
    found = [s["metadata"]["name"] for s in services if wanted.items() <= s["metadata"]["labels"].items()]
    assert found == ["aura"]


def test_probes_ask_what_needs_no_token() -> None:
    """A kubelet sends none: each probe asks at a path that answers without, on a port that the container has."""
    for kind, name in (("StatefulSet", "aura-cluster"), ("Deployment", "aura-dashboard")):
        (container,) = one("cpu", kind, name)["spec"]["template"]["spec"]["containers"]
        probes = [container[f"{each}Probe"]["httpGet"] for each in ("startup", "liveness", "readiness")]
        assert {probe["path"] for probe in probes} <= {"/healthz", "/readyz"}
        assert {probe["port"] for probe in probes} <= {port["name"] for port in container["ports"]}


def test_the_autoscaler_has_the_figures_of_the_design() -> None:
    """3 to 20 replicas; CPU 70 %, memory 80 %, 200,000 agents a pod; up by all a minute, down by a tenth."""
    spec = one("cpu", "HorizontalPodAutoscaler", "aura-hpa")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 20)
    cpu, memory, agents = spec["metrics"]
    assert [m["resource"]["target"]["averageUtilization"] for m in (cpu, memory)] == [70, 80]
    assert agents["pods"] == {
        "metric": {"name": "agent_count"}, "target": {"type": "AverageValue", "averageValue": "200k"}
    }  # fmt: skip
    up, down = spec["behavior"]["scaleUp"], spec["behavior"]["scaleDown"]
    assert (up["stabilizationWindowSeconds"], up["policies"][0]["value"]) == (60, 100)
    assert (down["stabilizationWindowSeconds"], down["policies"][0]["value"]) == (300, 10)


def test_a_gpu_overlay_asks_for_one_and_uses_it() -> None:
    """The limit, the image and the backend."""
    container = pod("gpu")["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["image"] == "aura:cuda"
    assert {"name": "AURA_KERNELS__BACKEND", "value": "onnx-cuda"} in container["env"]


def test_the_pods_profile_is_a_valid_configuration() -> None:
    """What the ConfigMap holds loads, with at least 16 shards for each of the most pods that there can be."""
    secrets = [
        e["name"] for e in pod("cpu")["containers"][0]["env"] if "secretKeyRef" in e.get("valueFrom", {})
    ]
    env = {name: "as the secret has it" for name in secrets if name.startswith("AURA_KAFKA")}
    settings = load(INFRA / "k8s/base/aura.toml", env=env).settings
    most = one("cpu", "HorizontalPodAutoscaler", "aura-hpa")["spec"]["maxReplicas"]
    assert settings.shards.count >= 16 * most
    assert settings.kafka.security_protocol == "SASL_SSL"


def test_the_rules_are_those_of_prometheus() -> None:
    """The operator's resource is made from the rules that promtool tests."""
    assert (INFRA / "k8s/base/prometheus-rule.yaml").read_text() == resource()
