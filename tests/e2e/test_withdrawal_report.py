"""The report on withdrawals as it is run by hand, and what Prefect shows of it."""

import json
from datetime import date
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient
from sqlalchemy import text

from deployments.run import run
from lifecycle.persistence.database import transaction
from tests import cast
from tests.operations import summaries


def test_it_shows_figures_a_chart_and_where_the_names_are(
    client: SyncPrefectClient, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with transaction() as db:
        cast.action_type(db)
        valentina = cast.customer(db, "VALENTINA")
        cast.withdrawal(db, valentina, [cast.membership(db, valentina)], date(2026, 1, 31))
    run("withdrawal-report", ["--from", "2026-01-01", "--to", "2026-01-31", "--as-of", "2026-02-01"], as_json=True)
    done = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (done["outcome"], done["business_date"]) == ("completed", "2026-02-01")
    assert done["counts"] == {"withdrawals": 1, "customers": 1, "memberships": 1}
    with transaction() as db:
        asked = {"id": UUID(done["run_id"])}
        prefect_id = db.execute(text("SELECT prefect_flow_run_id FROM runs WHERE id = :id"), asked).scalar_one()
    [summary] = summaries(client, prefect_id)
    assert "| 2026-01 | 1 | 1 | 1 | 1 | 100.00% |" in summary
    assert "![Memberships withdrawn from, per month](data:image/svg+xml" in summary
    assert str(home / "documents" / "withdrawals-2026-01-01-2026-01-31-as-of-2026-02-01.xlsx") in summary
    assert "Customer VALENTINA" not in summary
    assert client.read_flow_run(prefect_id).name == "withdrawal-report 2026-01-01 2026-01-31 as of 2026-02-01"
