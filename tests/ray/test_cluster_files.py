"""Files for a cluster, against the schemas of who reads them: KubeRay's own, and what Ray parses as its configuration."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from parlant_local.settings import Settings
from parlant_local.settings.files import read_settings_file

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kuberay"
PARTS: list[dict[str, Any]] = list(yaml.safe_load_all((FOLDER / "rayservice.yaml").read_text("utf-8")))
KUBERAY = json.loads(gzip.decompress((ROOT / "tests/data/kuberay/rayservice-v1.7.0.json.gz").read_bytes()))


def part(kind: str) -> dict[str, Any]:
    [found] = [each for each in PARTS if each["kind"] == kind]
    return found


def closed(schema: Any) -> Any:
    """As strict as a reader would be: Kubernetes drops fields that it doesn't know, and says nothing."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        inner.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    return inner


def complaints(resource: dict[str, Any]) -> list[str]:
    schema = closed(KUBERAY)
    schema["properties"]["metadata"] = {"type": "object"}
    return [f"{error.json_path}: {error.message}" for error in jsonschema.Draft7Validator(schema).iter_errors(resource)]


def test_kuberay_knows_every_field() -> None:
    assert complaints(part("RayService")) == []


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        (("spec",), "serveConfig", "applications: []"),
        (("spec", "rayClusterConfig"), "authOption", {"mode": "token"}),
        (("spec", "rayClusterConfig", "authOptions"), "mode", "none"),
        (("spec", "rayClusterConfig", "workerGroupSpecs", 0), "replicas", "two"),
        (("spec", "rayClusterConfig", "headGroupSpec", "template", "spec", "containers", 0), "images", "x"),
    ],
)
def test_a_mistake_is_seen(place: tuple[str | int, ...], name: str, value: object) -> None:
    resource = json.loads(json.dumps(part("RayService")))
    node = resource
    for step in place:
        node = node[step]
    node[name] = value
    assert complaints(resource)


def test_the_resources_name_each_other() -> None:
    service = part("RayService")["spec"]["rayClusterConfig"]
    pods = [service["headGroupSpec"]["template"], *(group["template"] for group in service["workerGroupSpecs"])]
    there = {("configMap", part("ConfigMap")["metadata"]["name"])}
    there |= {("persistentVolumeClaim", part("PersistentVolumeClaim")["metadata"]["name"])}
    there |= {("secret", "parlant-local-keys")}  # which the document has made
    assert "kubectl create secret generic parlant-local-keys" in (ROOT / "docs/ray.md").read_text("utf-8")
    for pod in pods:
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        for volume in volumes.values():
            [(kind, source)] = [(key, value) for key, value in volume.items() if key != "name"]
            name = source.get("name") or source.get("secretName") or source.get("claimName")
            assert (kind, name) in there
        for container in pod["spec"]["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)


def test_the_settings_are_some_and_fit_the_machines(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(part("ConfigMap")["data"]["config.yml"])
    settings = Settings.load(tmp_path / "config.yml", home=tmp_path)
    assert read_settings_file(tmp_path / "config.yml", "test")
    spec = part("RayService")["spec"]
    config = yaml.safe_load(spec["serveConfigV2"])
    assert config["http_options"] == {"host": settings.server.host, "port": settings.server.port}
    assert settings.auth.key_file is not None, "the server refuses to listen on all addresses without keys"
    [group] = spec["rayClusterConfig"]["workerGroupSpecs"]
    [container] = group["template"]["spec"]["containers"]
    assert float(container["resources"]["limits"]["cpu"]) >= (settings.ray.num_cpus or 0)
    assert group["maxReplicas"] >= (settings.ray.max_replicas or settings.ray.replicas)
    assert settings.server.shutdown_seconds < group["template"]["spec"]["terminationGracePeriodSeconds"]
    assert part("NetworkPolicy")["spec"]["ingress"][-1] == {"ports": [{"port": settings.server.port}]}


def test_one_version_of_ray_everywhere() -> None:
    version = part("RayService")["spec"]["rayClusterConfig"]["rayVersion"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]["ray"]
    [wanted] = [line.partition(";")[0] for line in extras if line.startswith("ray")]
    assert wanted in (FOLDER / "Dockerfile").read_text("utf-8")
    assert re.fullmatch(r"ray\[serve\]>=(\d+\.\d+),<\d+\.\d+", wanted), wanted
    assert version.startswith(wanted.partition(">=")[2].partition(",")[0])


def test_ray_reads_its_configuration_and_ours(tmp_path: Path) -> None:
    """Ray's own reader, in a process that may import it, of the cluster's file and of the one that the command prints."""
    home = {"PARLANT_LOCAL_HOME": str(tmp_path), "PATH": "", "PYTHONPATH": str(ROOT / "src")}
    command = [
        sys.executable,
        "-m",
        "parlant_local",
        "serve",
        "--ray-config",
        "--model",
        "local/llama/parlant-local-tiny",
    ]
    printed = subprocess.run(command, env=home, capture_output=True, text=True, timeout=240)
    assert printed.returncode == 0, printed.stderr
    ours = yaml.safe_load(printed.stdout)
    assert re.fullmatch("[0-9a-f]{64}", ours["applications"][0]["args"]["digests"]["local/llama/parlant-local-tiny"])
    configs = [ours, yaml.safe_load(part("RayService")["spec"]["serveConfigV2"])]
    read = subprocess.run(
        [sys.executable, "-c", _READ], input=json.dumps(configs), env=home, capture_output=True, text=True, timeout=240
    )
    assert read.returncode == 0, read.stderr
    assert json.loads(read.stdout) == ["parlant_local.ray.cluster:build"] * 2


_READ = """
import json, sys
from ray.serve.schema import ServeDeploySchema
from parlant_local.ray.cluster import Arguments, build
found = []
for config in json.load(sys.stdin):
    told = ServeDeploySchema.model_validate(config).applications[0]
    Arguments.model_validate(told.args)
    assert callable(build)
    found.append(told.import_path)
print(json.dumps(found))
"""
