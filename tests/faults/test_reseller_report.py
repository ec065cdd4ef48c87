"""Whatever happens to a run, every reseller has exactly one report in the mail folder afterwards."""

import os
import re
import subprocess
import sys
from collections import Counter
from email import message_from_bytes
from pathlib import Path

import pytest
from sqlalchemy import text

from deployments import sample
from lifecycle.persistence.database import configured, transaction

REPORT = ("run", "monthly-reseller-report", "--month", "2019-09", "--deliver", "true")
KILLED = -9


@pytest.fixture
def business(home: Path, bare_prefect: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sample business, imported."""
    sample.write_business(home / "sample")
    lifecycle("import", str(home / "sample"))
    return home


def lifecycle(*command: str, dies_at: int = 0) -> subprocess.CompletedProcess[str]:
    return finish(start(*command, dies_at=dies_at))


def start(*command: str, dies_at: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.killed", str(dies_at), *command],
        env=os.environ.copy(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    out, err = process.communicate(timeout=120)
    done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    assert done.returncode in {0, KILLED}, err
    return done


def reports_by_recipient(home: Path) -> Counter[str]:
    mails = [message_from_bytes(path.read_bytes()) for path in (home / "mail" / "new").iterdir()]
    assert {mail["X-Lifecycle-Kind"] for mail in mails} == {"reseller-report"}
    return Counter(mail["Delivered-To"] for mail in mails)


def assert_everyone_has_one(home: Path) -> None:
    with transaction() as db:
        addresses = set(db.execute(text("SELECT email FROM resellers WHERE email IS NOT NULL")).scalars())
        states = Counter(db.execute(text("SELECT state FROM messages")).scalars())
    assert len(addresses) == 24
    assert reports_by_recipient(home) == Counter(addresses)
    assert states == {"sent": 24}


def forget_the_run(home: Path) -> None:
    """As if no report had ever been made."""
    with transaction() as db:
        db.execute(text("TRUNCATE reseller_reports, messages CASCADE"))
    for mail in (home / "mail" / "new").glob("*"):
        mail.unlink()
    configured().dispose()


def test_killed_anywhere_and_run_again_each_reseller_has_one_report(business: Path) -> None:
    whole = lifecycle(*REPORT)
    assert_everyone_has_one(business)
    places = int(re.findall(r"places: (\d+)", whole.stderr)[-1])
    for sixth in (2, 5):
        forget_the_run(business)
        died = lifecycle(*REPORT, dies_at=1 + places * sixth // 6)  # how often it looks for more varies
        assert died.returncode == KILLED
        lifecycle(*REPORT)
        assert_everyone_has_one(business)


def test_two_runs_at_once_act_as_one(business: Path) -> None:
    for process in [start(*REPORT), start(*REPORT)]:
        finish(process)
    assert_everyone_has_one(business)


def test_run_twice_nothing_is_sent_twice(business: Path) -> None:
    lifecycle(*REPORT)
    lifecycle(*REPORT)
    assert_everyone_has_one(business)
