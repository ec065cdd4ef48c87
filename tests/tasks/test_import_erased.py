"""Nobody who was erased comes back with a file, however old it is; and none fails for it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from lifecycle.persistence import imports
from lifecycle.persistence.database import transaction
from lifecycle.rules.records import files
from lifecycle.settings import settings
from tests.billing import rows
from tests.erasing import erase, waits
from tests.importing import LATER, NOW, bring

CUSTOMERS = "code,kind,name,email,phone,city,reseller,notes\n"
SUBSCRIPTIONS = "code,customer,product,starts_on,expires_on,reference,quantity\n"
APPOINTMENTS = "code,customer,starts_at,status,title\n"
CONSENTS = "customer,consent_type,granted_on,evidence\n"
FILES = {
    "resellers": "code,name,email\nR1,Una,r1@example.org\nR2,Due,\n",
    "customers": f"{CUSTOMERS}C1,person,Anna,anna@example.com,+39 035,Bergamo,R1,Anna's\nC2,person,Bice,,,,R1,\n"
    "C3,person,Anna too,,,,,\n",
    "products": "code,name,policy,period_months,price,currency,vat_rate\nP1,Office,licence,12,240,EUR,22\n",
    "subscriptions": f"{SUBSCRIPTIONS}L1,C1,P1,2018-10-01,2019-09-30,anna.example,1\n",
    "appointments": f"{APPOINTMENTS}A1,C1,2019-01-01T10:00,attended,Anna's demo\n",
    "consent_types": "code,title\nNEWS,News\n",
    "consents": f"{CONSENTS}C1,NEWS,2018-05-01,signed by Anna\n",
}
LEFT = "rows about erased customers, left out"


def personal() -> list[str]:
    """What is known of the two Annas that is about a person."""
    found = rows("""
        SELECT concat(name, email, phone, city, notes) FROM customers WHERE code <> 'C2'
        UNION ALL SELECT reference FROM subscriptions
        UNION ALL SELECT title FROM appointments
        UNION ALL SELECT evidence FROM consents""")
    return [value for (value,) in found if value]


def looks_after() -> list[tuple[object, ...]]:
    return rows("SELECT customer_id, reseller_id, from_on, until_on FROM associations ORDER BY id")


@pytest.fixture
def business(home: Path) -> Path:
    bring(home, FILES)
    assert len(personal()) == 5
    return home


@pytest.fixture
def erased(business: Path) -> Path:
    with transaction() as db:
        erase(db, "C1", "C3")
    return business


def test_the_files_of_yesterday_change_nothing_and_say_so(erased: Path) -> None:
    known = looks_after()
    assert bring(erased, FILES, LATER) == {
        "resellers unchanged": 2,
        "customers unchanged": 1,
        LEFT: 5,
        "products unchanged": 1,
        "consent_types unchanged": 1,
    }
    assert personal() == []
    assert looks_after() == known


def test_what_is_new_or_changed_of_who_is_erased_is_left_out(erased: Path) -> None:
    known = looks_after()
    changed = {
        "customers": f"{CUSTOMERS}C1,company,Anna again,a@example.com,1,Como,R2,\nC2,person,Bice B.,,,,R2,\n"
        "C3,person,Anna,,,,R1,\n",
        "subscriptions": f"{SUBSCRIPTIONS}L1,C1,P1,2018-10-01,2019-09-30,anna.example,2\n"
        "L2,C1,P1,2026-01-01,2026-12-31,anna.example,1\n",
        "appointments": f"{APPOINTMENTS}A1,C1,2019-01-01T10:00,no_show,Anna's demo\nA2,C1,2026-01-01,booked,Anna\n",
        "terms": "subscription,starts_on,expires_on\nL1,2019-10-01,2020-09-30\nL2,2027-01-01,2027-12-31\n",
        "consents": f"{CONSENTS}C1,NEWS,2026-05-01,signed by Anna\n",
    }
    assert bring(erased, changed, LATER) == {
        "customers changed": 1,
        LEFT: 9,
        "associations added": 2,
    }
    assert personal() == []
    assert rows("SELECT quantity FROM subscriptions") == [(1,)]
    assert rows("SELECT status FROM appointments") == [("attended",)]
    bice = rows("SELECT id, name, imported_reseller_id FROM customers WHERE code = 'C2'")[0]
    assert bice[1] == "Bice B."
    assert {moved[0] for moved in looks_after() if moved not in known} == {bice[0]}


# One after the other, whichever comes first


def test_an_import_that_meets_an_erasure_waits_for_it_and_then_knows(business: Path) -> None:
    changed = FILES | {"appointments": f"{FILES['appointments']}A2,C1,2026-01-01,booked,Anna\n"}
    with ThreadPoolExecutor(1) as pool:
        with transaction() as db:
            erase(db, "C1", "C3")
            importing = pool.submit(bring, business, changed, LATER)
            assert waits(importing)
        counts = importing.result(30)
    assert counts[LEFT] == 6
    assert personal() == []


def test_an_erasure_that_meets_an_import_waits_for_it_and_takes_what_it_brought(business: Path) -> None:
    def erasing() -> None:
        with transaction() as db:
            erase(db, "C1", "C3")

    with ThreadPoolExecutor(1) as pool:
        with transaction() as db:
            imports.stage(db, files(settings().zone, NOW).values())
            db.execute(
                text("""
                INSERT INTO appointments (code, customer_id, starts_at, status, title)
                SELECT 'A2', id, now(), 'booked', 'Anna' FROM customers WHERE code = 'C1'""")
            )
            done = pool.submit(erasing)
            assert waits(done)
        done.result(30)
    assert personal() == []
