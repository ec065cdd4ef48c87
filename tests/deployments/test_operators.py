"""`lifecycle operators`: who is enrolled, and what the app scans, shown once."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text

from deployments import operators
from lifecycle.persistence.database import transaction
from lifecycle.settings import settings
from tasks.operators import confirm
from tests import cast
from tests.deployments.test_cli import lifecycle


@pytest.fixture
def people(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIFECYCLE_OPERATOR_SECRET", cast.OPERATOR_SECRET)
    settings.cache_clear()
    with transaction() as db:
        cast.operator(db, "anna")
        cast.operator(db, "bert", administrator=False)
    return home


def secret_in(printed: str) -> str:
    """What the app takes from the address that is printed below the picture."""
    [uri] = [line for line in printed.splitlines() if line.startswith("otpauth:")]
    parts = urlsplit(uri)
    asked = parse_qs(parts.query)
    assert (parts.netloc, parts.path, asked["issuer"]) == ("totp", "/Lifecycle:anna", ["Lifecycle"])
    return asked["secret"][0]


def test_what_enrolling_prints_makes_codes_that_are_taken(people: Path) -> None:
    done = lifecycle("operators", "enrol", "anna")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(re.findall("^[█▀▄ ]{40,}$", done.stdout, re.MULTILINE)) > 20, "a picture"
    assert "it is shown once" in done.stdout
    secret, now = secret_in(done.stdout), datetime.now(UTC)
    with transaction() as db:
        confirm(db, "anna", cast.one_time_code(secret, now), now)


def test_enrolling_again_replaces_the_secret(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    operators.enrol("anna")
    first = secret_in(capsys.readouterr().out)
    operators.enrol("anna")
    assert secret_in(capsys.readouterr().out) != first


def test_who_is_unknown_is_not_enrolled_nor_is_anybody_without_a_secret_that_encrypts(people: Path) -> None:
    unknown = lifecycle("operators", "enrol", "nobody")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr == (
        "CODE: 'nobody' is no operator's code; expected a code that `lifecycle operators` lists\n"
    )
    without = lifecycle("operators", "enrol", "anna", LIFECYCLE_OPERATOR_SECRET="")
    assert (without.returncode, without.stdout) == (2, "")
    assert without.stderr.startswith("LIFECYCLE_OPERATOR_SECRET: ")
    with transaction() as db:
        assert db.execute(text("SELECT count(*) FROM enrolments")).scalar() == 0


def test_operators_are_listed_with_what_they_may_and_whether_they_are_enrolled(
    people: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction() as db:
        cast.operator(db, "carl")
        cast.enrolled(db, "anna")
        cast.enrolled(db, "carl")
        until = datetime.now(UTC) + timedelta(minutes=5)
        db.execute(
            text("UPDATE enrolments SET locked_until = :until FROM operators WHERE id = operator_id AND code = 'carl'"),
            {"until": until},
        )
    operators.listing()
    *listed, carl = capsys.readouterr().out.splitlines()
    assert listed == [
        "anna  Operator anna  administrator  enrolled since 2000-01-01T01:00:00+01:00",
        "bert  Operator bert  operator  not enrolled",
    ]
    assert carl.endswith(f"  locked until {until.astimezone(settings().zone).isoformat(timespec='seconds')}")
    monkeypatch.setenv("LIFECYCLE_OPERATOR_SECRET", "another one, of some length")
    settings.cache_clear()
    operators.listing()
    assert capsys.readouterr().out.splitlines() == [
        "anna  Operator anna  administrator  to be enrolled again: LIFECYCLE_OPERATOR_SECRET has changed",
        "bert  Operator bert  operator  not enrolled",
        "carl  Operator carl  administrator  to be enrolled again: LIFECYCLE_OPERATOR_SECRET has changed",
    ]
