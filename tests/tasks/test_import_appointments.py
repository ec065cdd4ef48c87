"""Appointments and operators from files, as any other."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lifecycle.rules.findings import BadInput
from tests.billing import rows
from tests.importing import LATER, bring

HEADER = "code,customer,starts_at,status,title\n"
FILES = {
    "customers": "code,kind,name,email\nC1,person,Anna,a@example.com\nC2,person,Bice,b@example.com\n",
    "appointments": f"{HEADER}A1,C1,2026-07-01T09:30,booked,Demo at Anna's\nA2,C2,2026-01-15 16:00,no_show,\n",
    "operators": "code,name,email,administrator\nOP1,Carla,carla@example.org,TRUE\nOP2,Dario,dario@example.org,\n",
}


def appointments() -> list[tuple[object, ...]]:
    return rows("""
        SELECT appointments.code, customers.code, starts_at, status, title
        FROM appointments JOIN customers ON customers.id = customer_id ORDER BY appointments.code""")


@pytest.fixture
def business(home: Path) -> Path:
    bring(home, FILES)
    return home


def test_all_are_imported_and_again_nothing_is_written(home: Path) -> None:
    new = {"customers new": 2, "appointments new": 2, "operators new": 2}
    assert bring(home, FILES, dry_run=True) == new
    assert (appointments(), rows("SELECT code FROM operators")) == ([], [])
    assert bring(home, FILES) == new
    assert appointments() == [
        ("A1", "C1", datetime(2026, 7, 1, 7, 30, tzinfo=UTC), "booked", "Demo at Anna's"),
        ("A2", "C2", datetime(2026, 1, 15, 15, tzinfo=UTC), "no_show", None),
    ]
    assert rows("SELECT code, name, email, administrator FROM operators ORDER BY code") == [
        ("OP1", "Carla", "carla@example.org", True),
        ("OP2", "Dario", "dario@example.org", False),
    ]
    versions = "SELECT xmin::text, xmax::text, ctid::text FROM {}"
    before = [rows(versions.format(table)) for table in ("customers", "appointments", "operators")]
    unchanged = {"customers unchanged": 2, "appointments unchanged": 2, "operators unchanged": 2}
    assert bring(home, FILES, LATER) == unchanged
    assert [rows(versions.format(table)) for table in ("customers", "appointments", "operators")] == before


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-07-01T09:30", datetime(2026, 7, 1, 7, 30, tzinfo=UTC)),
        ("2026-07-01 09:30:00+00:00", datetime(2026, 7, 1, 9, 30, tzinfo=UTC)),
        ("2026-12-01", datetime(2026, 11, 30, 23, tzinfo=UTC)),  # a day is its start
        ("2031-01-01T08:00Z", datetime(2031, 1, 1, 8, tzinfo=UTC)),  # and can lie ahead
    ],
)
def test_a_time_without_an_offset_is_business_time(business: Path, written: str, moment: datetime) -> None:
    assert bring(business, {"appointments": f"{HEADER}A3,C1,{written},booked,\n"}) == {"appointments new": 1}
    assert appointments()[-1][2] == moment


def test_importing_again_updates_by_code_what_the_file_has(business: Path) -> None:
    without_title = "code,customer,starts_at,status\nA1,C1,2026-07-02T09:30,cancelled\nA2,C2,2026-01-15T16:00,no_show\n"
    assert bring(business, {"appointments": without_title}, LATER) == {
        "appointments changed": 1,
        "appointments unchanged": 1,
    }
    assert appointments()[0][2:] == (datetime(2026, 7, 2, 7, 30, tzinfo=UTC), "cancelled", "Demo at Anna's")
    changed = bring(business, {"operators": "code,name,email\nOP1,Carla,c@example.org\nOP3,Eva,e@example.org\n"})
    assert changed == {"operators changed": 1, "operators new": 1}
    assert rows("SELECT email, administrator FROM operators WHERE code IN ('OP1', 'OP3') ORDER BY code") == [
        ("c@example.org", True),
        ("e@example.org", False),
    ]


def test_everything_that_is_wrong_is_named_at_once(business: Path) -> None:
    before = appointments(), rows("SELECT * FROM operators")
    with pytest.raises(BadInput) as error:
        bring(
            business,
            {
                "appointments": f"{HEADER}A1,C2,2026-07-01T09:30,booked,\nA3,C9,2026-07-01T25:00,done,\n"
                "A3,C1,,booked,\nA4,C1,2026-02-30,booked,\n",
                "operators": "code,name,email,administrator\nOP3,Eva,,maybe\nOP3,,eva,true\n",
            },
        )
    assert (appointments(), rows("SELECT * FROM operators")) == before
    assert [(f.where, f.line, f.column, f.problem) for f in error.value.findings] == [
        ("appointments.csv", 2, "customer", "is another customer"),
        ("appointments.csv", 3, "starts_at", "is not a date or time"),
        ("appointments.csv", 3, "status", "is not that"),
        ("appointments.csv", 3, "customer", "is not known"),
        ("appointments.csv", 4, "starts_at", "is empty"),
        ("appointments.csv", 4, "code", "stands in line 3 already"),
        ("appointments.csv", 5, "starts_at", "is not a date or time"),
        ("operators.csv", 2, "email", "is empty"),
        ("operators.csv", 2, "administrator", "is not a truth value"),
        ("operators.csv", 3, "name", "is empty"),
        ("operators.csv", 3, "email", "is not an e-mail address"),
        ("operators.csv", 3, "code", "stands in line 2 already"),
    ]
    assert error.value.findings[0].expected.startswith("the same customer as before")
