"""The report on appointments as it is run by hand, and what Prefect shows of it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient
from sqlalchemy import text

from deployments.run import run
from lifecycle.persistence.database import transaction
from lifecycle.rules.findings import BadInput
from tests import cast
from tests.appointments import appointment
from tests.operations import summaries


def test_it_shows_figures_a_chart_and_where_the_names_are(
    client: SyncPrefectClient, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with transaction() as db:
        appointment(db, "A1", cast.customer(db, "VALENTINA"), datetime(2014, 3, 31, 21, 30, tzinfo=UTC), title="Vale")
    run("appointments-report", ["--from", "2014-03-01", "--to", "2014-03-31"], as_json=True)
    done = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (done["outcome"], done["counts"]["appointments, attended"]) == ("completed", 1)
    with transaction() as db:
        asked = {"id": UUID(done["run_id"])}
        prefect_id = db.execute(text("SELECT prefect_flow_run_id FROM runs WHERE id = :id"), asked).scalar_one()
    [summary] = summaries(client, prefect_id)
    assert "| 2014-03 | 0 | 1 | 0 | 0 | 1 |" in summary
    assert "![Appointments per month](data:image/svg+xml" in summary
    assert str(home / "documents" / "appointments-2014-03-01-2014-03-31.xlsx") in summary
    assert "Customer VALENTINA" not in summary
    assert client.read_flow_run(prefect_id).name == "appointments-report 2014-03-01 2014-03-31"


def test_a_period_that_ends_before_it_begins_is_refused_in_words(client: SyncPrefectClient, home: Path) -> None:
    with pytest.raises(BadInput, match="2014-03-01 is before 2014-03-31; expected the last day, on or after from_date"):
        run("appointments-report", ["--from", "2014-03-31", "--to", "2014-03-01"], as_json=True)
