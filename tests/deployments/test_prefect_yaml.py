from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from deployments.deploy import POOL, ROOT, TAG, installation
from deployments.run import names

DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
SCHEDULES = [(deployment, schedule) for deployment in DEPLOYMENTS for schedule in deployment.get("schedules", [])]
each_deployment = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
each_schedule = pytest.mark.parametrize(("deployment", "schedule"), SCHEDULES, ids=[s["slug"] for _, s in SCHEDULES])


def flow_of(deployment: dict[str, Any]) -> Flow[..., Any]:
    path, function = deployment["entrypoint"].split(":")
    flow: Flow[..., Any] = load_flow_from_entrypoint(f"{ROOT / path}:{function}")
    return flow


def test_file_flow_and_deployment_share_one_name_and_none_is_missing() -> None:
    assert set(names()) == {deployment["name"] for deployment in DEPLOYMENTS} == {flow_of(d).name for d in DEPLOYMENTS}


@each_deployment
def test_every_flow_says_what_it_does_and_what_each_parameter_means(deployment: dict[str, Any]) -> None:
    flow = flow_of(deployment)
    properties = parameter_schema(flow).properties
    assert flow.description
    assert [name for name, schema in properties.items() if not schema.get("description")] == []


@each_deployment
def test_an_exception_is_kept_as_its_message_alone(deployment: dict[str, Any]) -> None:
    """Prefect writes the exception of every failed flow to a file; pickled, it would hold the rows of a statement."""
    assert flow_of(deployment).result_serializer == "json"


@each_schedule
def test_parameters_of_a_schedule_fit_the_flow(deployment: dict[str, Any], schedule: dict[str, Any]) -> None:
    flow_of(deployment).validate_parameters(schedule.get("parameters", {}))


@each_schedule
def test_schedules_run_in_the_business_time_zone(deployment: dict[str, Any], schedule: dict[str, Any]) -> None:
    assert schedule["timezone"] == "{{ lifecycle.timezone }}"


@each_schedule
def test_schedules_can_be_paused_by_operators(deployment: dict[str, Any], schedule: dict[str, Any]) -> None:
    """With ``active`` in the file, every deploy would undo what an operator decided."""
    assert "active" not in schedule


@each_deployment
def test_every_deployment_is_ours_checked_and_runs_one_at_a_time(deployment: dict[str, Any]) -> None:
    assert TAG in deployment["tags"]
    assert deployment["work_pool"] == {"name": POOL}
    assert deployment["enforce_parameter_schema"] is True
    assert deployment["concurrency_limit"]["limit"] == 1


def test_the_time_zone_of_schedules_is_the_settings_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_TIMEZONE", "Europe/Athens")
    assert installation()["timezone"] == "Europe/Athens"
