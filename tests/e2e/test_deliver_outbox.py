"""Delivery from a copy of another installation's database, as whoever looks after the copy sees it."""

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from uuid import uuid4

import pytest

from lifecycle.persistence import installation, runs
from lifecycle.persistence.database import transaction
from lifecycle.persistence.outbox import Body
from tests.cast import reports

DAY = date(2019, 9, 1)


def test_a_copy_completes_says_whose_it_is_and_keeps_everything_queued(
    home: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = uuid4()
    with transaction() as db:
        runs.start(db, run_id, "monthly-reseller-report", DAY, dry_run=False, prefect_id=None)
        reports(db, ["a", "b"], run_id, DAY, Body("subject", "text", "<p>html</p>"))
        owner = installation.owner(db)
    monkeypatch.setenv("LIFECYCLE_ENVIRONMENT", "staging")
    command = [sys.executable, "-c", "from deployments.cli import main; main()", "run", "deliver-outbox"]
    done = subprocess.run([*command, "--json"], env=os.environ.copy(), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1])["counts"] == {
        f"kept back: a copy of {owner}": 2,
        "outbox: queued": 2,
    }
    assert not list((home / "mail").rglob("*.*"))
