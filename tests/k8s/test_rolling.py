"""What a rollout, a node's drain and an autoscaler do to calls, by the manifests, held against what the code does."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it brings no types

from k8s.test_base import ROOT, SERVICES, SPARE_S, Manifest, container, manifest, pod, settings, tool

SERVED_OVER_HTTP = ("gateway", "webrtc")
SCALED = ("gateway", "stt", "agent", "tts")
ROUTES_S = 3  # by which a cluster's nodes have been told, as a rule, that an endpoint is gone


def spec(service: str) -> Manifest:
    found: Manifest = manifest("Deployment", service)["spec"]
    return found


def pre_stop_s(service: str) -> int:
    return int(container(service).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0))


def lasts_s(probe: Manifest) -> int:
    """Of failures in a row that a probe bears."""
    return int(probe["periodSeconds"]) * int(probe["failureThreshold"])


@pytest.mark.parametrize("service", SERVICES)
def test_the_next_worker_is_there_before_one_drains_of(service: str) -> None:
    strategy = spec(service)["strategy"]

    assert strategy["type"] == "RollingUpdate"
    assert strategy["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


@pytest.mark.parametrize("service", SERVED_OVER_HTTP)
def test_no_new_call_is_sent_where_nobody_listens_any_more(service: str) -> None:
    assert pre_stop_s(service) >= ROUTES_S


@pytest.mark.parametrize("service", SERVICES)
def test_the_pause_before_the_drain_is_within_the_grace_of(service: str) -> None:
    needed_s = pre_stop_s(service) + settings(service).drain_grace_s + SPARE_S

    assert pod(service)["terminationGracePeriodSeconds"] > needed_s


@pytest.mark.parametrize("service", SERVICES)
def test_a_loop_that_stands_for_a_moment_costs_no_restart_of(service: str) -> None:
    probes = container(service)

    assert lasts_s(probes["livenessProbe"]) >= 15
    assert lasts_s(probes["startupProbe"]) >= 60
    assert lasts_s(probes["readinessProbe"]) < lasts_s(probes["livenessProbe"])


@pytest.mark.parametrize("service", SERVICES)
def test_a_node_s_drain_is_never_stuck_on(service: str) -> None:
    budget = manifest("PodDisruptionBudget", service)["spec"]
    labels = spec(service)["template"]["metadata"]["labels"]

    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    assert "minAvailable" not in budget
    assert budget["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("service", SERVICES)
def test_pods_of_one_stage_keep_apart_but_never_wait_for_it(service: str) -> None:
    constraints = pod(service)["topologySpreadConstraints"]
    labels = spec(service)["template"]["metadata"]["labels"]

    assert [one["topologyKey"] for one in constraints] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    for one in constraints:
        assert one["whenUnsatisfiable"] == "ScheduleAnyway"
        assert one["labelSelector"]["matchLabels"].items() <= labels.items()
        # Kubernetes forbids a key in both; the hash is of the Deployment's own making.
        assert set(one["matchLabelKeys"]) - set(one["labelSelector"]["matchLabels"]) == set(one["matchLabelKeys"])
        assert set(one["matchLabelKeys"]) - {"pod-template-hash"} <= set(labels)


def test_a_tool_runner_outlasts_the_agents_that_can_use_no_other() -> None:
    agents = spec("agent")
    # Of each replica: until its successor is ready, and until it has given its calls away, which takes seconds.
    one_s = 30

    assert spec("tool-runner")["minReadySeconds"] >= agents["replicas"] * one_s


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The base with the component for autoscaling."""
    folder = tmp_path_factory.mktemp("scaled")
    for part in ("base", "components"):
        shutil.copytree(ROOT / "k8s" / part, folder / part)
    overlay = folder / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text("resources: [../base]\ncomponents: [../components/autoscaling]\n")
    done = subprocess.run([tool("kubectl"), "kustomize", overlay], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def autoscalers(text: str) -> dict[str, Manifest]:
    found = [one for one in yaml.safe_load_all(text) if one["kind"] == "HorizontalPodAutoscaler"]
    return {one["spec"]["scaleTargetRef"]["name"]: one["spec"] for one in found}


def test_autoscaling_is_valid_kubernetes(scaled: str, tmp_path: Path) -> None:
    page = tmp_path / "scaled.yaml"
    page.write_text(scaled)

    done = subprocess.run([tool("kubernetes-validate"), "--strict", page], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_scaled_has_no_number_of_its_own_and_one_worker_to_spare(scaled: str) -> None:
    deployments = {
        one["metadata"]["name"]: one["spec"] for one in yaml.safe_load_all(scaled) if one["kind"] == "Deployment"
    }

    assert set(autoscalers(scaled)) == set(SCALED)
    assert [name for name, one in deployments.items() if "replicas" not in one] == sorted(SCALED)
    assert {one["minReplicas"] >= 3 for one in autoscalers(scaled).values()} == {True}


def test_scaling_down_takes_one_pod_at_a_time_with_time_to_drain(scaled: str) -> None:
    for name, one in autoscalers(scaled).items():
        down: Any = one["behavior"]["scaleDown"]
        (policy,) = down["policies"]

        assert (policy["type"], policy["value"]) == ("Pods", 1)
        assert policy["periodSeconds"] > pod(name)["terminationGracePeriodSeconds"]
        assert down["stabilizationWindowSeconds"] > one["behavior"]["scaleUp"]["stabilizationWindowSeconds"]
