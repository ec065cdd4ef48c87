"""What an operator tells of a customer reaches the database and stays nowhere in Prefect."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import PrefectHTTPStatusError
from sqlalchemy import Connection, text

from lifecycle.persistence import database
from tests import cast
from tests.operations import log_of, run, start, summaries


@pytest.fixture
def asked(server_database: str) -> Iterator[Connection]:
    """The worker's database, with a customer and a consent type."""
    engine = database.connect(server_database)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        if not db.scalar(text("SELECT 1 FROM customers WHERE code = 'ASKED'")):
            cast.customer(db, "ASKED")
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
    done = run(
        "record-consent",
        customer="ASKED",
        consent_type="NEWS",
        granted_on="2026-05-02",
        operator="OP1",
        evidence=evidence,
    )
    assert done.state_name == "Completed"
    assert evidence_of(asked, "Xanthippe Deployed") == [evidence]
    assert client.read_flow_run(done.id).parameters["evidence"] == ""
    log_of(client, done.id, "completed")
    print(holding(server_home, "Xanthippe"))
    print(holding(server_home, "OP1"))
    import time

    for i in range(10):
        time.sleep(2)
        print(i, holding(server_home, "Xanthippe"))
    assert 0
