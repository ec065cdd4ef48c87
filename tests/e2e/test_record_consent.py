"""What an operator tells of a customer, why it is held too, reaches the database and stays nowhere in Prefect."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_HOME, temporary_settings
from prefect.states import Cancelled, Scheduled
from sqlalchemy import Connection, text

from deployments import launcher
from lifecycle.persistence import database
from lifecycle.settings import settings
from tasks.runs import forget_parameters
from tests import cast
from tests.erasing import erase
from tests.operations import log_of, run, start, summaries

GIVEN = {"customer": "ASKED", "consent_type": "NEWS", "operator": "OP1"}


@pytest.fixture
def asked(server_database: str) -> Iterator[Connection]:
    """The worker's database, with a customer and a consent type."""
    engine = database.connect(server_database)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        if not db.scalar(text("SELECT 1 FROM customers WHERE code = 'ASKED'")):
            cast.customer(db, "ASKED")
            cast.operator(db, "OP1", administrator=False)
            db.execute(
                text(
                    "INSERT INTO consent_types (code, title, allows_bulk, allows_single, allows_contact) "
                    "VALUES ('NEWS', 'News', true, false, false)"
                )
            )
        yield db
    engine.dispose()


def holding(server_home: Path, marker: str) -> list[str]:
    """The files of Prefect, its logs included, that hold the marker."""
    files = (path for folder in ("prefect", "logs") for path in (server_home / folder).rglob("*") if path.is_file())
    return [path.name for path in files if marker.encode() in path.read_bytes()]


def evidence_of(db: Connection, marker: str) -> list[str]:
    return list(db.scalars(text("SELECT evidence FROM consents WHERE evidence LIKE :it"), {"it": f"%{marker}%"}))


def test_evidence_is_recorded_and_stays_nowhere_in_prefect(
    client: SyncPrefectClient, server_home: Path, asked: Connection
) -> None:
    evidence = "form 7 of 2 May,\nsigned by Xanthippe Deployed"
    done = run("record-consent", **GIVEN, granted_on="2026-05-02", evidence=evidence)
    assert done.state_name == "Completed"
    assert evidence_of(asked, "Xanthippe") == [evidence]
    assert client.read_flow_run(done.id).parameters["evidence"] == ""
    log_of(client, done.id, "record-consent completed: granted 1")
    assert "| granted | 1 |" in summaries(client, done.id)[0]
    assert holding(server_home, str(done.id)), "we look in the right place"
    assert holding(server_home, "Xanthippe") == []


def test_nor_does_it_where_the_input_is_refused(
    client: SyncPrefectClient, server_home: Path, asked: Connection
) -> None:
    """By the server where it is no day, which would otherwise print all parameters into the log; else by the run."""
    for none in ("2026-13-45", "2026-02-29", "tomorrow"):
        with pytest.raises(PrefectHTTPStatusError, match="granted_on"):
            start(client, "record-consent", **GIVEN, granted_on=none, evidence="Philemon Refused")
    unknown = GIVEN | {"customer": "NOBODY"}
    failed = run("record-consent", **unknown, granted_on="2026-05-02", evidence="Philemon Refused")
    assert failed.state_name == "Failed"
    assert failed.state
    assert "'NOBODY' is no customer's code" in (failed.state.message or "")
    log_of(client, failed.id, "record-consent refused")
    assert holding(server_home, "Philemon") == []


@pytest.fixture
def beside_the_server(
    client: SyncPrefectClient, server_home: Path, server_database: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """This process works for the server's installation, as one that the worker starts."""
    monkeypatch.setenv("LIFECYCLE_HOME", str(server_home))
    monkeypatch.setenv("LIFECYCLE_DATABASE_URL", server_database)
    settings.cache_clear()
    with temporary_settings({PREFECT_HOME: server_home / "prefect"}):
        yield
    settings.cache_clear()


def test_of_runs_that_ended_before_they_began_or_that_are_about_who_is_erased_nothing_is_left(
    client: SyncPrefectClient, server_home: Path, asked: Connection, beside_the_server: None
) -> None:
    for code in ("GONE", "STAYS"):
        cast.customer(asked, code)
    with database.transaction() as db:
        erase(db, "GONE")
    deployment = client.read_deployment_by_name("record-consent/record-consent")
    given = GIVEN | {"granted_on": "2026-05-02"}
    later: State[Any] = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(days=30))
    made = {
        (code, state.name): client.create_flow_run_from_deployment(
            deployment.id, parameters=given | {"customer": code, "evidence": f"told by Baucis {code}"}, state=state
        ).id
        for code in ("GONE", "STAYS")
        for state in (later, Cancelled())
    }
    assert forget_parameters() == {"runs whose parameters were blanked": 3, "scheduled runs cancelled": 1}
    assert forget_parameters() == {}
    runs = {about: client.read_flow_run(id_) for about, id_ in made.items()}
    said = {about: (run.state_name, run.parameters["evidence"]) for about, run in runs.items()}
    assert said == {
        ("GONE", "Scheduled"): ("Cancelled", ""),
        ("GONE", "Cancelled"): ("Cancelled", ""),
        ("STAYS", "Scheduled"): ("Scheduled", "told by Baucis STAYS"),
        ("STAYS", "Cancelled"): ("Cancelled", ""),
    }
    client.delete_flow_run(made["STAYS", "Scheduled"])
    assert holding(server_home, "told by Baucis GONE") == []


def test_nor_does_it_from_the_command_line(running: launcher.Running, server_home: Path, server_database: str) -> None:
    text = "Baucis Typed"
    given = [f"--{name}={value}" for name, value in GIVEN.items()]
    main = [sys.executable, "-c", "from deployments.cli import main; main()"]
    command = [*main, "run", "record-consent", *given, "--withdrawn_on=2026-05-03"]
    environment = os.environ | {"LIFECYCLE_HOME": str(server_home), "LIFECYCLE_DATABASE_URL": server_database}
    done = subprocess.run([*command, "--evidence", text, "--json"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["counts"] == {"withdrawn": 1, "unchanged": 0}
    assert text not in done.stdout + done.stderr
    assert holding(server_home, text) == []


def test_nor_does_the_reason_of_a_hold(client: SyncPrefectClient, server_home: Path, asked: Connection) -> None:
    given = {"customer": "ASKED", "reason": "lawsuit of Orpheus Held", "operator": "OP1"}
    with pytest.raises(PrefectHTTPStatusError, match="until"):
        start(client, "place-hold", **given, until="2026-02-29")
    placed = run("place-hold", **given, until="2999-12-31")
    assert placed.state_name == "Completed"
    log_of(client, placed.id, "place-hold completed: placed 1")
    assert asked.scalars(text("SELECT reason FROM holds")).all() == [given["reason"]]
    assert holding(server_home, str(placed.id)), "we look in the right place"
    assert holding(server_home, "Orpheus") == []
