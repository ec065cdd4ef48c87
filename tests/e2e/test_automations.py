"""What a real server does with our automations: whom it tells what, and which runs it takes for dead."""

import time
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State
from prefect.states import Crashed, Failed, Running, Suspended
from pydantic import SecretStr

from deployments import automations
from tests.smtp import Inbox, mail_server

FLOW = "import-records"
MARKER = "what-somebody-typed"
TOLD = {f"lifecycle: {name}" for name in ("failed", "crashed", "waiting", "late", "no worker")}


@pytest.fixture
def told(client: SyncPrefectClient) -> Iterator[Inbox]:
    """Who is told by mail."""
    inbox = Inbox()
    with mail_server(inbox) as port:
        automations.apply(client, SecretStr(f"mailto://127.0.0.1:{port}/?from=prefect@example.com&to=ops@example.com"))
        yield inbox
        automations.apply(client, None)


@pytest.fixture
def begin(client: SyncPrefectClient) -> Iterator[Callable[[str], UUID]]:
    """Makes a run of a deployment that is under way, with nobody who runs it."""
    runs: list[UUID] = []
    deployment = client.read_deployment_by_name(f"{FLOW}/{FLOW}")

    def begin(name: str) -> UUID:
        run = client.create_flow_run_from_deployment(
            deployment.id, parameters={"path": MARKER}, name=name, state=Running()
        )
        runs.append(run.id)
        return run.id

    yield begin
    for run in runs:
        client.delete_flow_run(run)


def stored(client: SyncPrefectClient) -> dict[str, Any]:
    """All automations as the server has them, with the ids of their triggers and when they were changed."""
    found = client.request("POST", "/automations/filter", json={}).json()
    return {automation["name"]: automation for automation in found}


def ours(client: SyncPrefectClient) -> set[str]:
    return {name for name in stored(client) if name.startswith(automations.PREFIX)}


def set_state(client: SyncPrefectClient, run: UUID, state: State[Any]) -> None:
    client.set_flow_run_state(run, state, force=True)


def mails(inbox: Inbox, name: str, count: int, seconds: int = 30) -> list[tuple[str, str]]:
    """Subject and text of the mails about runs of that name, once there are so many."""
    deadline = time.monotonic() + seconds
    while True:
        received = [message_from_bytes(content, policy=policy.default) for _, _, content in inbox.received]
        found = [(str(m["Subject"]), m.get_body(("plain",)).get_content()) for m in received if name in m["Subject"]]  # type: ignore[union-attr]
        if len(found) >= count or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def test_applying_them_again_changes_nothing(told: Inbox, client: SyncPrefectClient) -> None:
    before = stored(client)
    assert ours(client) == TOLD
    automations.apply(client, SecretStr("json://127.0.0.1:1"))
    assert stored(client) == before


def test_what_was_switched_off_stays_so_and_what_is_no_longer_wanted_goes(
    told: Inbox, client: SyncPrefectClient
) -> None:
    late = stored(client)["lifecycle: late"]["id"]
    client.pause_automation(late)
    changed = next(automations.tell_people(uuid4()))
    for name in ("theirs", "lifecycle: old"):
        client.create_automation(changed.model_copy(update={"name": name, "enabled": False}))
    changed.description = "changed by hand"
    client.update_automation(stored(client)[changed.name]["id"], changed)

    automations.apply(client, SecretStr("json://127.0.0.1:1"))

    found = stored(client)
    assert TOLD | {"theirs"} <= found.keys()
    assert "lifecycle: old" not in found
    assert not found["lifecycle: late"]["enabled"]
    assert found[changed.name]["description"] != "changed by hand"

    automations.apply(client, None)
    assert ours(client) == set()
    client.delete_automation(stored(client)["theirs"]["id"])


def test_a_run_that_failed_crashed_or_waits_is_told_once_without_what_was_typed(
    told: Inbox, client: SyncPrefectClient, begin: Callable[[str], UUID]
) -> None:
    states: dict[str, State[Any]] = {
        "failed": Failed(message=MARKER),
        "crashed": Crashed(message=MARKER),
        "waits for a person": Suspended(timeout_seconds=60),
    }
    for what, state in states.items():
        # Under load the server on SQLite loses an event now and then: the next one is told.
        for name in (f"one-that-{what.split()[0]}-{attempt}" for attempt in range(3)):
            run = begin(name)
            set_state(client, run, state)
            if found := mails(told, name, 1, seconds=10):
                break
        [(subject, text)] = found
        assert subject == f"lifecycle: {name} {what}"
        assert f"{FLOW}: " in text
        assert f"/v2/runs/flow-run/{run}" in text
    again = begin("one-that-failed-again")
    set_state(client, again, Failed(message=MARKER))
    assert mails(told, "again", 1, seconds=2) == []
    assert len(told.received) == len(states)
    assert MARKER not in str(told.received)
