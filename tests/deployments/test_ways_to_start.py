"""systemd, Compose, Kubernetes: what their files name exists, and nothing is open that should not be."""

import json
import re
from typing import Any

import pytest
import yaml
from prefect.settings.legacy import _get_settings_fields
from prefect.settings.models.root import Settings as PrefectSettings
from prefect.utilities.templating import apply_values, find_placeholders

from deployments.cli import app
from deployments.deploy import ROOT
from lifecycle.settings import _known_variables

FOLDER = ROOT / "deployments"
UNITS = sorted((FOLDER / "systemd").glob("*.service"))
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
IMAGE = (FOLDER / "Dockerfile").read_text()
TEMPLATE = json.loads((FOLDER / "kubernetes" / "base-job-template.json").read_text())


def commands() -> set[str]:
    units = {re.findall(r"^ExecStart=\S+/lifecycle (\S+)", unit.read_text(), re.MULTILINE)[0] for unit in UNITS}
    services = {service["command"][1] for service in SERVICES.values() if "command" in service}
    return units | services | set(re.findall(r'^CMD \["lifecycle", "(\w+)"', IMAGE, re.MULTILINE))


def variables() -> set[str]:
    set_by = "\n".join([IMAGE, *(unit.read_text() for unit in UNITS)])
    found = {name for service in SERVICES.values() for name in service.get("environment", {})}
    return found | set(re.findall(r"(?:Environment=|ENV .*?)\b([A-Z_]+)=", set_by))


def test_commands_and_variables_are_there() -> None:
    assert commands() == {"up", "server", "migrate", "deploy", "worker"}
    assert commands() <= set(app)
    of_prefect = set(_get_settings_fields(PrefectSettings))
    found = variables()
    assert {"LIFECYCLE_HOME", "LIFECYCLE_DATABASE_URL", "PREFECT_SERVER_API_AUTH_STRING"} <= found
    assert {name for name in found if name.startswith("LIFECYCLE_")} <= _known_variables()
    assert {name for name in found if name.startswith("PREFECT_")} <= of_prefect


def test_both_units_are_confined_alike() -> None:
    confined = [
        re.findall(r"^(?:\w*Protect|Private|No|Restrict|Cap|UMask).*", unit.read_text(), re.MULTILINE) for unit in UNITS
    ]
    assert confined[0] == confined[1]
    assert len(confined[0]) >= 9


@pytest.mark.parametrize("image", [*(s["image"] for s in SERVICES.values()), *re.findall("FROM (.*)", IMAGE)])
def test_images_are_pinned_or_ours(image: str) -> None:
    assert image == "lifecycle" or re.fullmatch(r"[\w/]+:v?\d+\.\d+[\w.-]*", image)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_open_to_this_machine_alone_and_has_no_password_of_its_own(name: str) -> None:
    service = SERVICES[name]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    secrets = {k: v for k, v in service.get("environment", {}).items() if re.search("PASSWORD|AUTH|DATABASE_", k)}
    assert all(re.search(r"\$\{\w+:\?\}", value) for value in secrets.values())
    for other, awaited in service.get("depends_on", {}).items():
        assert awaited["condition"] != "service_healthy" or "healthcheck" in SERVICES[other]


def test_a_kubernetes_job_runs_a_flow_run_as_nobody_in_particular_with_the_secret_of_the_name() -> None:
    configuration = TEMPLATE["job_configuration"]
    assert {p.name for p in find_placeholders(configuration)} == set(TEMPLATE["variables"]["properties"])
    values = {name: schema.get("default") for name, schema in TEMPLATE["variables"]["properties"].items()}
    run = values | {"name": "a-run", "command": "python -m prefect.engine", "env": {}, "labels": {}}
    manifest = apply_values(configuration, run)["job_manifest"]
    pod = manifest["spec"]["template"]["spec"]
    assert (manifest["metadata"]["generateName"], manifest["metadata"]["namespace"]) == ("a-run-", "lifecycle")
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["containers"][0]["args"] == "python -m prefect.engine"
    assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": "lifecycle"}}]
