"""The kustomize base and the images against the code: ports, probes, environment, console scripts, agent file."""

import asyncio
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml  # type: ignore[import-untyped]  # it brings no types

from trunkline.agents import load_agent_file
from trunkline.cli.embedded_nats import ACCOUNTS
from trunkline.runtime.admin import Admin
from trunkline.runtime.settings import CoreSettings, load, variable

ROOT = Path(__file__).parents[2]
SERVICES = ("gateway", "webrtc", "stt", "agent", "tool-runner", "tts")
SPARE_S = 30  # between the end of the drain's grace and the kill
Manifest = dict[str, Any]


def tool(name: str) -> str:
    """A checker's binary. Skips the test where it isn't installed."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@cache
def built() -> str:
    done = subprocess.run([tool("kubectl"), "kustomize", ROOT / "k8s" / "base"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def manifests() -> list[Manifest]:
    return list(yaml.safe_load_all(built()))


def manifest(kind: str, name: str) -> Manifest:
    """name: without the hash that a generated name ends in."""
    named = re.compile(rf"{name}(-[a-z0-9]{{10}})?")
    found = [m for m in manifests() if m["kind"] == kind and named.fullmatch(m["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def pod(service: str) -> Manifest:
    kind = "StatefulSet" if service == "nats" else "Deployment"
    spec: Manifest = manifest(kind, service)["spec"]["template"]["spec"]
    return spec


def container(service: str) -> Manifest:
    only: Manifest
    (only,) = pod(service)["containers"]
    return only


def environment(service: str) -> dict[str, str]:
    """As the container sees it; a secret's value is made up."""
    given = dict(manifest("ConfigMap", "settings")["data"])
    for entry in container(service).get("env", []):
        given[entry["name"]] = entry.get("value", "secret")
    return given


def settings_type(service: str) -> type[CoreSettings]:
    package = "trunkline.gateway" if service == "webrtc" else f"trunkline.{service.replace('-', '_')}"
    members = vars(importlib.import_module(f"{package}.service")).values()
    (own,) = [
        c for c in members if inspect.isclass(c) and issubclass(c, CoreSettings) and c.__module__.startswith(package)
    ]
    return own


def settings(service: str) -> CoreSettings:
    return load(settings_type(service), environment(service))


def port_of(service: str, name: str) -> int:
    (port,) = [p["containerPort"] for p in container(service)["ports"] if p["name"] == name]
    return int(port)


def targets() -> dict[str, str]:
    """The Dockerfile's text by stage name."""
    parts = re.split(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def project() -> dict[str, Any]:
    loaded: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return loaded


def test_the_base_is_valid_kubernetes(tmp_path: Path) -> None:
    page = tmp_path / "base.yaml"
    page.write_text(built())

    done = subprocess.run([tool("kubernetes-validate"), "--strict", page], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile_is_clean() -> None:
    done = subprocess.run([tool("hadolint"), ROOT / "Dockerfile"], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_one_deployment_per_service() -> None:
    assert {m["metadata"]["name"] for m in manifests() if m["kind"] == "Deployment"} == set(SERVICES)


def test_the_overlay_of_the_page_builds(tmp_path: Path) -> None:
    blocks = re.findall(
        r"^```yaml\n(.*?)^```$", (ROOT / "k8s" / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL
    )
    shutil.copytree(ROOT / "k8s" / "base", tmp_path / "base")
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text("".join(blocks))
    shutil.copy(ROOT / "examples" / "agents" / "frontdesk.py", overlay / "shop.py")

    done = subprocess.run([tool("kubectl"), "kustomize", overlay], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    mounted = [m for m in yaml.safe_load_all(done.stdout) if "agents" in str(m.get("spec", {}).get("template"))]
    assert {m["metadata"]["name"] for m in mounted} == {"agent", "tool-runner"}


def test_the_overlay_for_webrtc_on_the_nodes_builds(tmp_path: Path) -> None:
    (patch,) = re.findall(
        r"^```yaml webrtc\n(.*?)^```$", (ROOT / "k8s" / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL
    )
    shutil.copytree(ROOT / "k8s" / "base", tmp_path / "base")
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(f"resources: [../base]\n{patch}")

    done = subprocess.run([tool("kubectl"), "kustomize", overlay], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    on_nodes = [m for m in yaml.safe_load_all(done.stdout) if "hostNetwork" in str(m.get("spec", {}).get("template"))]
    assert [m["metadata"]["name"] for m in on_nodes] == ["webrtc"]


def test_the_gateways_know_where_webrtc_is_served() -> None:
    chosen: Any = settings("gateway")
    (served,) = manifest("Service", "webrtc")["spec"]["ports"]

    assert chosen.webrtc_urls == "http://webrtc"
    assert (served["port"], served["targetPort"]) == (80, "http")
    assert port_of("webrtc", "http") == settings("webrtc").port  # type: ignore[attr-defined]  # of the gateway's


def test_only_the_image_for_webrtc_holds_its_extra() -> None:
    holders = [name for name, text in targets().items() if re.search(r"install-stage .*\bwebrtc\b", text)]

    assert holders == ["webrtc-venv"]


def test_no_secret_is_in_the_base() -> None:
    assert [m["metadata"]["name"] for m in manifests() if m["kind"] == "Secret"] == []


@pytest.mark.parametrize("service", SERVICES)
def test_the_environment_is_what_the_settings_read_of(service: str) -> None:
    own = {entry["name"] for entry in container(service).get("env", [])}
    known = {variable(name) for name in settings_type(service).__struct_fields__}

    assert own - known == set()
    assert isinstance(settings(service), CoreSettings)


def test_every_shared_variable_is_read_by_some_service() -> None:
    known = {variable(name) for service in SERVICES for name in settings_type(service).__struct_fields__}

    assert set(manifest("ConfigMap", "settings")["data"]) - known == set()


@pytest.mark.parametrize("service", SERVICES)
def test_the_admin_port_is_reached_from_outside_at(service: str) -> None:
    chosen = settings(service)

    assert (chosen.admin_host, chosen.admin_port) == ("0.0.0.0", port_of(service, "admin"))


@pytest.mark.parametrize("service", SERVICES)
def test_the_probes_and_the_scrape_name_the_admin_port_of(service: str) -> None:
    only = container(service)
    probes = [only[kind]["httpGet"] for kind in ("livenessProbe", "readinessProbe", "startupProbe")]
    scrape = manifest("Deployment", service)["spec"]["template"]["metadata"]["annotations"]

    assert [(probe["path"], probe["port"]) for probe in probes] == [
        ("/healthz", "admin"),
        ("/readyz", "admin"),
        ("/healthz", "admin"),
    ]
    assert scrape["prometheus.io/port"] == str(port_of(service, "admin"))


def test_the_probed_paths_answer_as_the_probes_expect() -> None:
    async def statuses(unready: str) -> dict[str, int]:
        admin = Admin("127.0.0.1", 0, lambda: unready)
        await admin.start()
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{admin.port}") as session:
                return {path: (await session.get(path)).status for path in ("/healthz", "/readyz", "/metrics")}
        finally:
            await admin.stop()

    assert asyncio.run(statuses("")) == {"/healthz": 200, "/readyz": 200, "/metrics": 200}
    assert asyncio.run(statuses("no connection to NATS")) == {"/healthz": 200, "/readyz": 503, "/metrics": 200}


@pytest.mark.parametrize("service", SERVICES)
def test_a_drain_ends_before_the_kill_of(service: str) -> None:
    assert pod(service)["terminationGracePeriodSeconds"] > settings(service).drain_grace_s + SPARE_S


@pytest.mark.parametrize("service", [*SERVICES, "nats"])
def test_the_pod_fits_the_restricted_standard_of(service: str) -> None:
    security = container(service)["securityContext"]

    assert pod(service)["securityContext"]["runAsNonRoot"] is True
    assert pod(service)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert pod(service)["automountServiceAccountToken"] is False


@pytest.mark.parametrize("service", [*SERVICES, "nats"])
def test_the_scheduler_knows_what_is_needed_by(service: str) -> None:
    resources = container(service)["resources"]

    assert set(resources["requests"]) == {"cpu", "memory"}
    assert "memory" in resources["limits"]


def test_the_gateway_is_reached_where_it_listens() -> None:
    chosen: Any = settings("gateway")
    (served,) = manifest("Service", "gateway")["spec"]["ports"]

    assert (chosen.host, chosen.port) == ("0.0.0.0", port_of("gateway", "http"))
    assert served["targetPort"] == "http"


@pytest.mark.parametrize("service", SERVICES)
def test_the_image_runs_the_console_script_of(service: str) -> None:
    entry = re.search(r"^ENTRYPOINT (\[.*\])$", targets()[service], flags=re.MULTILINE)

    assert entry is not None
    assert json.loads(entry[1])[0] in project()["scripts"]
    assert container(service)["image"].startswith(json.loads(entry[1])[0] + ":")


@pytest.mark.parametrize("service", SERVICES)
def test_the_image_installs_extras_that_exist_for(service: str) -> None:
    installed = re.search(r"install-stage (.*)$", targets()[f"{service}-venv"], flags=re.MULTILINE)

    assert installed is not None
    assert set(installed[1].split()) - set(project()["optional-dependencies"]) == set()


def test_the_image_and_the_pod_agree_on_the_user() -> None:
    user = re.search(r"^USER (\d+):(\d+)$", targets()["service"], flags=re.MULTILINE)

    assert user is not None
    for service in SERVICES:
        security = pod(service)["securityContext"]
        assert (security["runAsUser"], security["runAsGroup"]) == (int(user[1]), int(user[2]))


@pytest.mark.parametrize("service", ["agent", "tool-runner"])
def test_the_agent_file_is_in_the_image_of(service: str) -> None:
    copied = re.search(r"^COPY (examples/\S+) (\S+)$", targets()[service], flags=re.MULTILINE)
    chosen: Any = settings(service)

    assert copied is not None
    path = Path(chosen.agent_file)
    assert path.parent == Path(copied[2])
    assert load_agent_file(str(ROOT / copied[1] / path.name)).agents


def test_the_services_know_every_nats_node() -> None:
    nodes = manifest("StatefulSet", "nats")
    client = port_of("nats", "client")
    names = [f"nats://nats-{i}.{nodes['spec']['serviceName']}:{client}" for i in range(nodes["spec"]["replicas"])]

    assert settings("agent").nats_url.split(",") == names


def test_the_nats_nodes_know_each_other_and_their_ports() -> None:
    text = manifest("ConfigMap", "nats")["data"]["nats.conf"]
    nodes = manifest("StatefulSet", "nats")
    cluster = port_of("nats", "cluster")

    assert re.findall(r"nats://(\S+)", text) == [
        f"nats-{i}.{nodes['spec']['serviceName']}:{cluster}" for i in range(nodes["spec"]["replicas"])
    ]
    assert re.findall(r"^\s*(?:http_)?port: (\d+)$", text, flags=re.MULTILINE) == [
        str(port_of("nats", "client")),
        str(port_of("nats", "monitor")),
        str(cluster),
    ]


def test_nats_accepts_its_configuration(tmp_path: Path) -> None:
    page = tmp_path / "nats.conf"
    page.write_text(manifest("ConfigMap", "nats")["data"]["nats.conf"])

    command = [tool("nats-server"), "-t", "--config", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "POD_NAME": "nats-0"})

    assert done.returncode == 0, done.stdout + done.stderr


def test_nats_tells_of_closed_connections_as_the_embedded_one_does() -> None:
    text = manifest("ConfigMap", "nats")["data"]["nats.conf"]

    assert text.endswith(ACCOUNTS)


def test_a_nats_node_has_time_for_its_lame_duck() -> None:
    text = manifest("ConfigMap", "nats")["data"]["nats.conf"]
    duration = re.search(r'^lame_duck_duration: "(\d+)s"$', text, flags=re.MULTILINE)
    pid_file = re.search(r"^pid_file: (\S+)$", text, flags=re.MULTILINE)

    assert duration is not None
    assert pid_file is not None
    assert pod("nats")["terminationGracePeriodSeconds"] > int(duration[1])
    assert container("nats")["lifecycle"]["preStop"]["exec"]["command"] == [
        *("nats-server", "--signal", f"ldm={pid_file[1]}")
    ]


def test_nats_nodes_leave_one_at_a_time_and_share_no_machine() -> None:
    nodes, budget = manifest("StatefulSet", "nats"), manifest("PodDisruptionBudget", "nats")
    labels = nodes["spec"]["template"]["metadata"]["labels"]
    (apart,) = pod("nats")["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]

    assert nodes["spec"]["replicas"] - budget["spec"]["maxUnavailable"] > nodes["spec"]["replicas"] / 2
    assert apart["topologyKey"] == "kubernetes.io/hostname"
    for selector in (budget["spec"]["selector"], apart["labelSelector"], nodes["spec"]["selector"]):
        assert selector["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("service", ["gateway", "webrtc", "agent"])
def test_what_the_services_expect_of_durability_is_what_nats_is_told(service: str) -> None:
    text = manifest("ConfigMap", "nats")["data"]["nats.conf"]
    nodes = manifest("StatefulSet", "nats")
    told = re.search(r"^  sync_interval: (\S+)$", text, flags=re.MULTILINE)
    expected: Any = settings(service)

    assert told is not None
    assert expected.nats_sync == told[1]
    assert expected.record_replicas == nodes["spec"]["replicas"]
    assert expected.nats_monitor_url.split(",") == [
        f"http://nats-{i}.{nodes['spec']['serviceName']}:{port_of('nats', 'monitor')}"
        for i in range(nodes["spec"]["replicas"])
    ]
