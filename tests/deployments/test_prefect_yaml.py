import json
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from inspect import Parameter, signature
from typing import Any
from uuid import uuid4

import pytest
import yaml
from prefect import Flow
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from deployments.deploy import POOL, ROOT, TAG, installation
from deployments.run import names
from flows.business_day import DAYS
from lifecycle.rules.periods import PERIODIC
from tasks.runs import PERSONAL_PARAMETERS
from tests.forms import FORMS

DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
SCHEDULES = [(deployment, schedule) for deployment in DEPLOYMENTS for schedule in deployment.get("schedules", [])]
each_deployment = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
each_schedule = pytest.mark.parametrize(("deployment", "schedule"), SCHEDULES, ids=[s["slug"] for _, s in SCHEDULES])


CODES = {
    *("customer", "customers", "reseller", "resellers", "subscription", "operator"),
    *("approve_plan", "consent_type", "exclude", "mailing", "motive", "path"),
    *("action_type", "assigned_to", "confirm", "memberships"),
}


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
def test_every_deployment_is_described_and_marked_with_version_and_tags(deployment: dict[str, Any]) -> None:
    assert deployment["description"].strip()
    assert deployment["version"] == "{{ lifecycle.version }}"
    assert len(deployment["tags"]) > 1


@each_schedule
def test_the_description_names_time_and_zone_of_a_schedule_which_the_ui_does_not(
    deployment: dict[str, Any], schedule: dict[str, Any]
) -> None:
    minute, hour, *_ = schedule["cron"].split()
    if hour != "*":
        assert f"at {hour:0>2}:{minute:0>2} ({{{{ lifecycle.timezone }}}})" in deployment["description"]


def test_the_form_of_every_deployment_is_filled_in_by_the_tests() -> None:
    """In a browser they are: see tests/e2e/test_walk.py."""
    assert names() == sorted(FORMS), "write a line into tests/forms.py: what an operator types in the form"


@each_deployment
def test_every_run_has_a_name_one_can_read(deployment: dict[str, Any]) -> None:
    flow = flow_of(deployment)
    defaults = {name: None if each.default is each.empty else each.default for name, each in flow_parameters(flow)}
    given = defaults | FORMS[deployment["name"]]
    run = FlowRun(flow_id=uuid4(), expected_start_time=datetime(2026, 10, 25, 4, 35, tzinfo=UTC))
    # The rest of a run is not asked for a name.
    with FlowRunContext.model_construct(flow=flow, flow_run=run, parameters=given):  # type: ignore[call-arg]
        named = flow.flow_run_name
        name = named() if callable(named) else str(named).format_map(given)
    assert re.match(rf"{deployment['name']} \S", name)
    assert not re.search(r"None|False|True|[{}]", name)


def flow_parameters(flow: Flow[..., Any]) -> Iterable[tuple[str, Parameter]]:
    return signature(flow.fn).parameters.items()


@each_deployment
def test_an_exception_is_kept_as_its_message_alone(deployment: dict[str, Any]) -> None:
    """Prefect writes the exception of every failed flow to a file; pickled, it would hold the rows of a statement."""
    assert flow_of(deployment).result_serializer == "json"


@each_deployment
def test_free_texts_are_personal_and_a_flow_that_takes_some_blanks_them(deployment: dict[str, Any]) -> None:
    """Any other text that can be typed is a code, a digest or a path."""
    flow = flow_of(deployment)
    personal = set(PERSONAL_PARAMETERS.get(flow.name, ()))
    typed = {
        name
        for name, schema in parameter_schema(flow).properties.items()
        if '"type": "string"' in (told := json.dumps(schema)) and not re.search('"(format|enum|pattern)"', told)
    }
    assert personal <= typed
    assert typed - personal <= CODES
    assert ("blank" in flow.fn.__code__.co_names) == bool(personal)


@each_deployment
def test_a_wrong_day_beside_personal_texts_is_refused_by_the_server(deployment: dict[str, Any]) -> None:
    """Refused by the run, Prefect would write all parameters into the log."""
    flow = flow_of(deployment)
    days = [each for each in parameter_schema(flow).properties.values() if '"date"' in json.dumps(each)]
    if "blank" in flow.fn.__code__.co_names:
        assert [day for day in days if '"pattern"' not in json.dumps(day)] == []


def test_a_day_is_what_the_calendar_has() -> None:
    months = [f"{year:04}-{month:02}" for year in (0, 4, 1900, 2000, 2023, 2024, 9999) for month in range(14)]
    wrong = [
        text
        for text in (f"{month}-{day:02}" for month in months for day in range(33))
        if bool(re.match(DAYS, text)) is not is_day(text)
    ]
    assert wrong == []
    assert not any(
        re.match(DAYS, text) for text in ("2026-1-1", "20260101", "2026-01-01T00:00", "x2026-01-01", "2026-01-01\n", "")
    )


def is_day(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


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
    assert deployment["work_pool"]["name"] == POOL
    assert deployment["enforce_parameter_schema"] is True
    assert deployment["concurrency_limit"]["limit"] == 1


def test_a_crash_of_whatever_can_be_made_up_starts_the_make_up() -> None:
    [make_up] = [deployment for deployment in DEPLOYMENTS if deployment["name"] == "make-up"]
    [crashed] = [trigger for trigger in make_up["triggers"] if trigger["expect"] == ["prefect.flow-run.Crashed"]]
    scheduled = {deployment["name"] for deployment, _ in SCHEDULES}
    assert set(crashed["match_related"]["prefect.resource.name"]) == PERIODIC.keys() & scheduled


def test_the_time_zone_of_schedules_is_the_settings_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_TIMEZONE", "Europe/Athens")
    assert installation()["timezone"] == "Europe/Athens"
