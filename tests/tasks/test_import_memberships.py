"""Mandates, instalments and action types from files; and what a withdrawal took away, which no file brings back."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, text

from lifecycle.persistence.database import transaction
from lifecycle.persistence.subscription_status import lock
from lifecycle.persistence.tables import settlements
from lifecycle.rules.findings import BadInput
from tests import cast
from tests.billing import rows
from tests.cast import IBAN
from tests.erasing import erase, waits
from tests.importing import LATER, NOW, bring

MANDATES = "code,customer,kind,holder,iban,bic,token,signed_on\n"
SUBSCRIPTIONS = "code,customer,product,starts_on,expires_on,auto_renew,charge_method,mandate\n"
INSTALMENTS = "subscription,due_on,amount,status\n"
ACTION_TYPES = "code,title,base_type,in_agenda\n"
FILES = {
    "customers": "code,kind,name,email\nC1,person,Anna,\nC2,person,Bice,\n",
    "products": "code,name,policy,period_months,price,currency,vat_rate\nGYM,Gym,membership,12,120,CHF,22\n"
    "LIC,Office,licence,12,240,EUR,22\n",
    "mandates": f"{MANDATES}M/1,C1,sepa,Anna's mother,{IBAN[:4]} {IBAN[4:].lower()},PASCITMM,,2025-12-01\n"
    "card-2,C2,card,,,,tok_2,\n",
    "subscriptions": f"{SUBSCRIPTIONS}G1,C1,GYM,2026-01-01,2026-12-31,false,sepa,M/1\n"
    "G2,C2,GYM,2026-01-01,2026-12-31,false,card,card-2\nL1,C1,LIC,2026-01-01,2026-12-31,false,transfer,\n",
    "instalments": f"{INSTALMENTS}G1,2026-06-01,10,paid\nG1,2026-07-01,10.5,submitted\nG1,2026-08-01,10,\n"
    "G2,2026-08-01,10,due\nG2,2026-08-01,10.00,due\n",  # the same twice is one
    "action_types": f"{ACTION_TYPES}LEFT,Left us,withdrawal,true\nCALL,Call,call,\n",
}
LEFT_OUT = "rows after a withdrawal, left out"
D = date(2026, 7, 15)
"""The withdrawal date."""
WITHDRAWN_AT = datetime(2026, 6, 1, 20, tzinfo=UTC)
"""Between NOW and LATER."""


def instalments(code: str = "G1") -> list[tuple[object, ...]]:
    return rows(f"""
        SELECT due_on, amount, instalments.currency, instalments.status
        FROM instalments JOIN subscriptions ON subscriptions.id = subscription_id
        WHERE code = '{code}' ORDER BY due_on""")


def terms() -> list[tuple[object, ...]]:
    """Of G1: in their last version first."""
    return rows("""
        SELECT starts_on, expires_on FROM terms JOIN subscriptions ON subscriptions.id = subscription_id
        WHERE code = 'G1' ORDER BY starts_on DESC, terms.recorded_at DESC""")


def standing() -> list[tuple[object, ...]]:
    return rows("""
        SELECT expires_on, status FROM subscription_status JOIN subscriptions ON id = subscription_id
        WHERE code = 'G1'""")


def refused(home: Path, **contents: str) -> list[tuple[str, int, str, str]]:
    tables = ("mandates", "instalments", "subscriptions", "action_types")
    before = [rows(f"SELECT xmin::text, * FROM {table}") for table in tables]
    with pytest.raises(BadInput) as error:
        bring(home, contents, LATER)
    assert [rows(f"SELECT xmin::text, * FROM {table}") for table in tables] == before
    return [(f.where, f.line, f.column, f.problem) for f in error.value.findings]


@pytest.fixture
def business(home: Path) -> Path:
    bring(home, FILES)
    return home


def withdraw(db: Connection, code: str = "G1", done_at: datetime = WITHDRAWN_AT) -> None:
    held = db.execute(text("SELECT id, customer_id FROM subscriptions WHERE code = :code"), {"code": code}).one()
    lock(db, [held.id])
    cast.withdrawal(db, held.customer_id, [held.id], D, action_type="LEFT", done_at=done_at)
    db.execute(
        text("""
        UPDATE instalments SET status = CASE status WHEN 'due' THEN 'cancelled' ELSE 'to_be_refunded' END
        WHERE subscription_id = :id AND due_on > :day"""),
        {"id": held.id, "day": D},
    )


@pytest.fixture
def withdrawn(business: Path) -> Path:
    with transaction() as db:
        withdraw(db)
    return business


# What an import does


def test_all_are_imported_and_again_nothing_is_written(home: Path) -> None:
    new = {
        "customers new": 2,
        "products new": 2,
        "mandates new": 2,
        "subscriptions new": 3,
        "terms added": 3,
        "instalments new": 4,
        "instalments unchanged": 1,
        "action_types new": 2,
    }
    assert bring(home, FILES, dry_run=True) == new
    assert rows("SELECT FROM instalments") + rows("SELECT FROM mandates") + rows("SELECT FROM action_types") == []
    assert bring(home, FILES) == new
    assert rows(
        "SELECT code, kind, holder, iban, bic, token, signed_on, ended_on FROM mandates ORDER BY kind DESC"
    ) == [
        ("M/1", "sepa", "Anna's mother", IBAN, "PASCITMM", None, date(2025, 12, 1), None),
        ("card-2", "card", None, None, None, "tok_2", None, None),
    ]
    charged = "SELECT s.code, m.code FROM subscriptions AS s LEFT JOIN mandates AS m ON m.id = mandate_id ORDER BY 1"
    assert rows(charged) == [("G1", "M/1"), ("G2", "card-2"), ("L1", None)]
    assert instalments() == [
        (date(2026, 6, 1), Decimal("10.00"), "CHF", "paid"),
        (date(2026, 7, 1), Decimal("10.50"), "CHF", "submitted"),
        (date(2026, 8, 1), Decimal("10.00"), "CHF", "due"),
    ]
    assert rows("SELECT code, title, base_type, in_agenda FROM action_types ORDER BY code") == [
        ("CALL", "Call", "call", False),
        ("LEFT", "Left us", "withdrawal", True),
    ]
    tables = ("mandates", "subscriptions", "instalments", "action_types", "terms")
    before = [rows(f"SELECT xmin::text, xmax::text, ctid::text FROM {table}") for table in tables]
    again = {name.replace(" new", " unchanged"): number for name, number in new.items()}
    del again["terms added"]
    assert bring(home, FILES, LATER) == again | {"instalments unchanged": 5}
    assert [rows(f"SELECT xmin::text, xmax::text, ctid::text FROM {table}") for table in tables] == before


def test_a_mandate_follows_the_columns_that_are_given(business: Path) -> None:
    renamed = "code,customer,kind,holder\nM/1,C1,sepa,\n"
    assert bring(business, {"mandates": renamed}, LATER) == {"mandates changed": 1}
    assert rows("SELECT holder, iban FROM mandates WHERE code = 'M/1'") == [(None, IBAN)]


def test_a_subscriptions_mandate_is_taken_away_by_an_empty_value_only(business: Path) -> None:
    without = "code,customer,product,starts_on,expires_on\nG1,C1,GYM,2026-01-01,2026-12-31\n"
    assert bring(business, {"subscriptions": without}, LATER) == {"subscriptions unchanged": 1}
    empty = f"{SUBSCRIPTIONS}G1,C1,GYM,2026-01-01,2026-12-31,false,sepa,\n"
    assert bring(business, {"subscriptions": empty}, LATER) == {"subscriptions changed": 1}
    assert rows("SELECT mandate_id FROM subscriptions WHERE code = 'G1'") == [(None,)]


TOLD_AGAIN = [
    # A status only moves forward; an amount changes only while it is due.
    ("due", "11,due", "11.00", "due"),
    ("due", "11,submitted", "11.00", "submitted"),
    ("due", "10,paid", "10.00", "paid"),
    ("submitted", "10,due", "10.00", "submitted"),
    ("submitted", "11,submitted", "10.00", "submitted"),
    ("submitted", "11,paid", "10.00", "paid"),
    ("paid", "11,due", "10.00", "paid"),
    ("paid", "10,submitted", "10.00", "paid"),
    # What was removed or is to be refunded stays so.
    ("cancelled", "11,paid", "10.00", "cancelled"),
    ("to_be_refunded", "11,paid", "10.00", "to_be_refunded"),
    # What the bank returned is owed again, until it is paid or submitted anew.
    ("due, returned", "10,submitted", "10.00", "due"),
    ("due, returned", "11,submitted", "11.00", "due"),
    ("due, returned", "10,paid", "10.00", "paid"),
    ("submitted, returned", "10,paid", "10.00", "paid"),
]


def test_an_instalment_told_of_again_changes_forward_only(business: Path) -> None:
    days = [date(2026, 9, 1) + timedelta(days=number) for number in range(len(TOLD_AGAIN))]
    with transaction() as db:
        membership = db.execute(text("SELECT id FROM subscriptions WHERE code = 'G1'")).scalar_one()
        for day, (held, *_) in zip(days, TOLD_AGAIN, strict=True):
            status, _, returned = held.partition(", ")
            owed = cast.instalment(db, membership, day, "10", status, currency="CHF")
            if returned:
                db.execute(
                    insert(settlements).values(instalment_id=owed, outcome=returned, operator="anna", business_date=day)
                )
    file = "".join(f"G1,{day},{told}\n" for day, (_, told, *_) in zip(days, TOLD_AGAIN, strict=True))
    changed = sum(("10.00", held.partition(", ")[0]) != (amount, status) for held, _, amount, status in TOLD_AGAIN)
    assert bring(business, {"instalments": f"{INSTALMENTS}{file}"}, LATER) == {
        "instalments changed": changed,
        "instalments unchanged": len(TOLD_AGAIN) - changed,
    }
    assert [(str(amount), status) for day, amount, _, status in instalments() if day in days] == [
        (amount, status) for _, _, amount, status in TOLD_AGAIN
    ]


# What is wrong


def test_everything_that_is_wrong_is_named_at_once(business: Path) -> None:
    found = refused(
        business,
        mandates=f"{MANDATES}M/1,C2,sepa,,{IBAN},,,\nM2,C1,sepa,,,,,\nM3,C1,card,,{IBAN},,,\nM4,C9,sepa,,IT00,,,\n"
        f"M2,C1,card,,,,tok,\n",
        subscriptions=f"{SUBSCRIPTIONS}G1,C1,GYM,2026-01-01,2026-12-31,false,sepa,M9\n"
        "G2,C2,GYM,2026-01-01,2026-12-31,false,sepa,M2\nL1,C1,LIC,2026-01-01,2026-12-31,false,card,card-2\n",
        products="code,name,policy,period_months,price,currency,vat_rate\nGYM,Gym,custom,12,120,CHF,22\n"
        "LIC,Office,membership,12,240,EUR,22\n",
        instalments=f"{INSTALMENTS}G9,2026-06-01,10,due\nG1,2026-06-01,10,due\nL1,2026-06-01,10,\n"
        "L1,2026-06-01,11,\nL1,2026-06-02,11,\nL1,2026-06-02,11,paid\nL1,2026-06-03,0,due\n",
        action_types=f"{ACTION_TYPES}X,,withdrawal,\nX,X,,\n",
    )
    assert found == [
        ("action_types.csv", 2, "title", "is empty"),
        ("action_types.csv", 3, "base_type", "is empty"),
        ("action_types.csv", 3, "code", "stands in line 2 already"),
        ("instalments.csv", 2, "subscription", "is not known"),
        ("instalments.csv", 3, "subscription", "is not a membership"),
        ("instalments.csv", 5, "amount", "contradicts instalments.csv line 4, recorded at the same time"),
        ("instalments.csv", 7, "amount", "contradicts instalments.csv line 6, recorded at the same time"),
        ("instalments.csv", 8, "amount", "is not such a number"),
        ("mandates.csv", 2, "customer", "is another customer"),
        ("mandates.csv", 3, "iban", "is empty"),
        ("mandates.csv", 4, "token", "is empty"),
        ("mandates.csv", 5, "iban", "is not an IBAN"),
        ("mandates.csv", 5, "customer", "is not known"),
        ("mandates.csv", 6, "code", "stands in line 3 already"),
        ("subscriptions.csv", 2, "mandate", "is not known"),
        ("subscriptions.csv", 3, "mandate", "is another customer's"),
        ("subscriptions.csv", 4, "mandate", "is another customer's"),
    ]
    assert refused(business, mandates="code,customer,kind\nM5,C1,sepa\nM/1,C1,sepa\n") == [
        ("mandates.csv", 2, "iban", "is empty")
    ]
    assert refused(business, mandates="code,customer,kind,token\nM/1,C1,card,tok\n") == [
        ("mandates.csv", 2, "kind", "is not what was in use")
    ]


def test_what_an_action_of_the_crm_history_was_cannot_be_redefined(business: Path) -> None:
    with transaction() as db:
        cast.crm_action(db, cast.customer(db, "C3"), "CALL", D)
    assert refused(business, action_types=f"{ACTION_TYPES}CALL,Call,withdrawal,\n") == [
        ("action_types.csv", 2, "base_type", "is not what was in use")
    ]
    used = bring(business, {"action_types": f"{ACTION_TYPES}CALL,Telephone,call,true\nLEFT,Left,recess,true\n"}, LATER)
    assert used == {"action_types changed": 2}


def test_what_is_owed_stays_in_its_currency(business: Path) -> None:
    given = "code,name,policy,period_months,price,currency,vat_rate\n"
    euros = f"{given}GYM,Gym,membership,12,35,EUR,22\n"
    assert refused(business, products=euros) == [("products.csv", 2, "currency", "is not what was in use")]
    with transaction() as db:
        db.execute(text("DELETE FROM instalments"))
    assert bring(business, {"products": euros}, LATER) == {"products changed": 1}


# After a withdrawal


def test_the_files_of_yesterday_never_undo_a_withdrawal(withdrawn: Path) -> None:
    known = terms(), standing(), instalments()
    assert known[0] == [(date(2026, 1, 1), D), (date(2026, 1, 1), date(2026, 12, 31))]
    later = {"terms": "subscription,starts_on,expires_on\nG1,2027-01-01,2027-12-31\n"}
    counts = bring(withdrawn, FILES | later, LATER)
    assert counts[LEFT_OUT] == 3  # the term that was cut, the one that would follow, the instalment of August
    assert {name for name, _ in counts.items() if "unchanged" not in name} == {LEFT_OUT}
    assert (terms(), standing(), instalments()) == known
    changed = f"{INSTALMENTS}G1,2026-08-01,99,paid\nG1,2026-07-16,5,\nG1,2026-07-15,5,\nG1,2026-07-01,10.5,paid\n"
    assert bring(withdrawn, {"instalments": changed}, LATER) == {
        LEFT_OUT: 2,
        "instalments new": 1,  # due on the last day, it is owed
        "instalments changed": 1,
    }
    assert [(day, status) for day, _, _, status in instalments()] == [
        (date(2026, 6, 1), "paid"),
        (date(2026, 7, 1), "paid"),
        (date(2026, 7, 15), "due"),
        (date(2026, 8, 1), "cancelled"),
    ]


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        # History: what was known before it was cut, as it was or told late.
        (f"2026-12-31,{NOW.date()}T08:00Z", {"terms added": 1}),
        # The moment at which something else was known: that would correct what is known now.
        (f"2027-06-30,{NOW.isoformat()}", {LEFT_OUT: 1}),
        # Known after it was cut.
        (f"2026-12-31,{NOW.date()}T23:00Z", {LEFT_OUT: 1}),
        # The last day itself.
        ("2026-07-15,", {}),
        ("2026-07-16,", {LEFT_OUT: 1}),
    ],
)
def test_the_last_version_of_a_term_stays_the_one_that_was_cut(
    withdrawn: Path, told: str, counts: dict[str, int]
) -> None:
    file = f"subscription,starts_on,expires_on,recorded_at\nG1,2026-01-01,{told}\n"
    assert bring(withdrawn, {"terms": file}, LATER) == counts
    assert (terms()[0], standing()) == ((date(2026, 1, 1), D), [(D, "active")])


def test_terms_up_to_the_last_day_are_taken(home: Path) -> None:
    """As they are told by a business that renews elsewhere what goes on to a later day."""
    monthly = {"subscriptions": f"{SUBSCRIPTIONS}G1,C1,GYM,2026-06-01,2026-06-30,true,sepa,M/1\n"}
    bring(home, {name: FILES[name] for name in ("customers", "products", "mandates", "action_types")} | monthly)
    with transaction() as db:
        withdraw(db)
    next_terms = "subscription,starts_on,expires_on\nG1,2026-07-01,2026-07-15\nG1,2026-07-16,2026-08-15\n"
    assert bring(home, {"terms": next_terms}, LATER) == {"terms added": 1, LEFT_OUT: 1}
    assert standing() == [(D, "active")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("terms", "subscription,starts_on,expires_on\nG1,2026-01-01,2027-06-30\n"),
        ("terms", f"subscription,starts_on,expires_on,recorded_at\nG1,2026-01-01,2026-12-31,{LATER.isoformat()}\n"),
        ("instalments", f"{INSTALMENTS}G1,2026-09-01,10,\n"),
        ("instalments", f"{INSTALMENTS}G1,2026-08-01,10,paid\n"),
    ],
)
def test_an_import_that_meets_a_withdrawal_waits_for_it_and_then_knows(business: Path, name: str, content: str) -> None:
    known = instalments()[:-1]
    with ThreadPoolExecutor(1) as pool:
        with transaction() as db:
            withdraw(db)
            importing = pool.submit(bring, business, {name: content}, LATER)
            assert waits(importing)
        assert importing.result(30) == {LEFT_OUT: 1}
    assert (terms()[0][1], instalments()[:-1], instalments()[-1][3]) == (D, known, "cancelled")


# After an erasure


def test_what_is_of_the_erased_is_left_out(business: Path) -> None:
    with transaction() as db:
        db.execute(text("UPDATE instalments SET status = 'paid'"))
        erase(db, "C1")
    before = instalments()
    files = {name: FILES[name] for name in ("mandates", "subscriptions")} | {
        "instalments": f"{FILES['instalments']}G1,2026-09-01,10,\n"
    }
    assert bring(business, files, LATER) == {
        "rows about erased customers, left out": 7,  # a mandate, two subscriptions, four instalments
        "mandates unchanged": 1,
        "subscriptions unchanged": 1,
        "instalments unchanged": 2,
    }
    assert rows("SELECT holder, iban, bic, token FROM mandates WHERE code = 'M/1'") == [(None, None, None, None)]
    assert instalments() == before
    # Not even that an account is missing is said of them.
    assert bring(business, {"mandates": "code,customer,kind\nM/1,C1,sepa\n"}, LATER) == {
        "rows about erased customers, left out": 1
    }
