"""deploy/kubernetes, as far as it can be checked without a cluster: every field by Kubernetes' own schemas, the settings by ours,
and that names, ports, paths, users and times fit together and fit the image."""

from __future__ import annotations

import copy
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import kubernetes_validate
import pytest
import yaml

from parlant_local.errors import SettingsError
from parlant_local.server.auth import Keyring
from parlant_local.settings import Settings, load_settings
from parlant_local.settings.server import AuthSettings

from .conftest import TINY, Server
from .test_deployment import FINAL, environment_of_the_image, instruction

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/kubernetes"
VERSIONS = ("1.33", "1.37")
"""The oldest that still is maintained, and the newest."""
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text("utf-8"))
OBJECTS: list[dict[str, Any]] = [
    found for name in KUSTOMIZATION["resources"] for found in yaml.safe_load_all((FOLDER / name).read_text("utf-8"))
]
KEYS = "/run/secrets/parlant-local"


def one(kind: str, name: str = "parlant-local") -> dict[str, Any]:
    [found] = [item for item in OBJECTS if (item["kind"], item["metadata"]["name"]) == (kind, name)]
    return found


STATEFUL = one("StatefulSet")
POD = STATEFUL["spec"]["template"]["spec"]
[SERVER], [MODEL] = POD["containers"], POD["initContainers"]
CONFIG = one("ConfigMap")["data"]


def ids(item: dict[str, Any]) -> str:
    return f"{item['kind']}/{item['metadata']['name']}"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("PARLANT_LOCAL_CONFIG", "CONFIG_PATH"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "parlant-local.yml").write_text(CONFIG["parlant-local.yml"], "utf-8")
    return load_settings(tmp_path / "parlant-local.yml")


def test_every_file_is_applied() -> None:
    assert set(KUSTOMIZATION["resources"]) == {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert len({ids(item) for item in OBJECTS}) == len(OBJECTS)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("item", OBJECTS, ids=ids)
def test_every_field_is_one_of_kubernetes(item: dict[str, Any], version: str) -> None:
    assert kubernetes_validate.validate(item, version, strict=True) == version


def test_a_wrong_field_is_seen() -> None:
    wrong = copy.deepcopy(STATEFUL)
    wrong["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]["pathh"] = "/readyz"
    with pytest.raises(kubernetes_validate.utils.ValidationError, match="pathh"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_objects_find_each_other() -> None:
    namespace = one("Namespace")["metadata"]["name"]
    assert (
        {item["metadata"].get("namespace", namespace) for item in OBJECTS}
        == {namespace}
        == {KUSTOMIZATION["namespace"]}
    )
    label = STATEFUL["spec"]["template"]["metadata"]["labels"]
    selectors = [
        STATEFUL["spec"]["selector"]["matchLabels"],
        one("Service")["spec"]["selector"],
        one("Service", "parlant-local-pods")["spec"]["selector"],
        one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ]
    assert selectors == [label] * len(selectors)
    assert STATEFUL["spec"]["serviceName"] == "parlant-local-pods"
    assert one("Service", "parlant-local-pods")["spec"]["clusterIP"] == "None"
    claims = {claim["metadata"]["name"] for claim in STATEFUL["spec"]["volumeClaimTemplates"]}
    volumes = {volume["name"]: volume for volume in POD["volumes"]}
    for container in (SERVER, MODEL):
        assert {mount["name"] for mount in container["volumeMounts"]} == claims | volumes.keys()
    assert volumes["settings"]["configMap"]["name"] == one("ConfigMap")["metadata"]["name"]


def test_ports_are_the_servers(settings: Settings) -> None:
    [port] = SERVER["ports"]
    assert port["containerPort"] == settings.server.port == int(instruction("EXPOSE")[0])
    for name in ("parlant-local", "parlant-local-pods"):
        assert [item["targetPort"] for item in one("Service", name)["spec"]["ports"]] == [port["name"]]
    assert one("NetworkPolicy")["spec"]["ingress"][0]["ports"] == [{"port": port["name"]}]
    annotations = STATEFUL["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(settings.server.port)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert SERVER[probe]["httpGet"]["port"] == port["name"]


def test_settings_are_ours(settings: Settings) -> None:
    assert settings.server.host == "0.0.0.0"
    assert MODEL["args"] == ["pull", settings.model]
    home = environment_of_the_image()["PARLANT_LOCAL_HOME"]
    mounts = {mount["name"]: mount["mountPath"] for mount in SERVER["volumeMounts"]}
    assert mounts["home"] == home
    environment = {entry["name"]: entry["value"] for entry in SERVER["env"]}
    assert environment["PARLANT_LOCAL_CONFIG"] == f"{mounts['settings']}/parlant-local.yml"
    assert environment["HOME"] == mounts["scratch"]
    assert environment["HF_HOME"].startswith(f"{home}/")
    files = (settings.auth.key_file, settings.auth.admin_key_file)
    assert [str(file.parent) for file in files if file] == [mounts["keys"]] * 2
    [storage] = [
        claim["spec"]["resources"]["requests"]["storage"] for claim in STATEFUL["spec"]["volumeClaimTemplates"]
    ]
    kept = settings.engine.prefixes.disk_mb + settings.engine.outputs.disk_mb
    assert int(storage.removesuffix("Gi")) > settings.limits.models_gb + kept / 1024


def test_there_is_time_to_end(settings: Settings) -> None:
    waits = SERVER["lifecycle"]["preStop"]["sleep"]["seconds"] + settings.server.shutdown_seconds
    assert POD["terminationGracePeriodSeconds"] > waits + 10


def test_nothing_is_allowed_that_is_not_needed() -> None:
    user = re.search(r"useradd --create-home --uid (\d+)", FINAL)
    assert user is not None
    assert POD["securityContext"]["runAsUser"] == POD["securityContext"]["fsGroup"] == int(user[1])
    assert POD["securityContext"]["runAsNonRoot"]
    assert not POD["automountServiceAccountToken"]
    for container in (SERVER, MODEL):
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert container["image"] == SERVER["image"]
    assert one("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_variables_of_the_service_would_be_taken_for_settings(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not POD["enableServiceLinks"]
    monkeypatch.setenv("PARLANT_LOCAL_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(SettingsError, match="SERVICE_HOST"):
        load_settings()


def test_the_commands_of_scaling_md_make_what_the_manifests_name(settings: Settings, tmp_path: Path) -> None:
    text = (ROOT / "docs/scaling.md").read_text("utf-8")
    sections = text.split("<!-- run by tests/server/test_kubernetes.py -->\n```sh\n")[1:]
    [lines] = [section.split("```")[0].strip().splitlines() for section in sections]
    (made,) = [line for line in lines if line.startswith("echo")]
    subprocess.run(["bash", "-euo", "pipefail", "-c", made], cwd=tmp_path, check=True)
    keys = Keyring.load(AuthSettings(key_file=tmp_path / "keys", admin_key_file=tmp_path / "admin-keys"))
    assert keys.administered
    (secret,) = [line for line in lines if "create secret" in line]
    volumes = {volume["name"]: volume for volume in POD["volumes"]}
    assert f" {volumes['keys']['secret']['secretName']} " in secret
    files = (settings.auth.key_file, settings.auth.admin_key_file)
    assert re.findall(r"--from-file=(\S+)", secret) == [file.name for file in files if file]
    (applied,) = [line for line in lines if "apply" in line]
    assert (ROOT / applied.split()[-1]) == FOLDER
    (labelled,) = [line for line in lines if " label " in line]
    selector = one("NetworkPolicy")["spec"]["ingress"][0]["from"][1]["namespaceSelector"]["matchLabels"]
    assert labelled.split()[-1] == "=".join(*selector.items())
    namespaces = {word for line in lines for word in re.findall(r"(?:-n|create namespace) (\S+)", line)}
    assert namespaces == {one("Namespace")["metadata"]["name"]}


@pytest.fixture
def pod(start: Callable[..., Server], tmp_path: Path) -> Server:
    """The container's command, settings and environment here, with folders of the test's."""
    (tmp_path / "keys").mkdir()
    for name in ("keys", "admin-keys"):
        (tmp_path / "keys" / name).write_text(f"{name}:correct-horse-battery-staple-{name}\n")
        (tmp_path / "keys" / name).chmod(0o440)
    text = CONFIG["parlant-local.yml"].replace(KEYS, str(tmp_path / "keys")).replace("llama3.2:3b", TINY)
    (tmp_path / "parlant-local.yml").write_text(text, "utf-8")
    (tmp_path / "scratch").mkdir()
    environment = {entry["name"]: entry["value"] for entry in SERVER["env"]} | {
        "PARLANT_LOCAL_CONFIG": str(tmp_path / "parlant-local.yml"),
        "PARLANT_LOCAL_HOME": str(tmp_path / "data"),
        "HOME": str(tmp_path / "scratch"),
        "TMPDIR": str(tmp_path / "scratch"),
        "HF_HOME": str(tmp_path / "data/hub"),
    }
    return start(environment=environment, fresh=True)


def test_the_pod_serves_is_probed_scraped_and_ends(pod: Server) -> None:
    pod.wait_loaded()
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert httpx2.get(pod.url + SERVER[probe]["httpGet"]["path"]).status_code == 200, probe
    path = STATEFUL["spec"]["template"]["metadata"]["annotations"]["prometheus.io/path"]
    assert httpx2.get(pod.url + path).status_code == 401
    bearer = {"authorization": "Bearer correct-horse-battery-staple-admin-keys"}
    assert "parlant_local_" in httpx2.get(pod.url + path, headers=bearer).text
    assert pod.stop() == 0
