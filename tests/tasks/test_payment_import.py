"""Payments on PostgreSQL: files of a bank imported once, twice and at once; cards paid, opened again, listed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from lifecycle.persistence import runs
from lifecycle.persistence.database import transaction
from lifecycle.rules.billing_card import number_of, reference_of
from lifecycle.rules.findings import BadInput
from lifecycle.rules.payment import Verdict
from tasks.payment_import import Outcome, import_payments
from tests import cast

DAY = date(2026, 4, 3)
NOW = datetime(2026, 4, 3, 8, tzinfo=UTC)
HEADER = "bank_reference,received_on,amount,currency,remittance,payer,iban\n"
STATEMENTS = Path(__file__).parent.parent / "reading" / "statements"

CARDS = {123: "146.40", 124: "61.00", 125: "200.00", 126: "150.00", 127: "85.40"}
"""Open cards by serial number, with their totals; each of a customer of its own."""


@pytest.fixture
def cards(home: Path) -> Path:
    with transaction() as db:
        service = cast.product(db, "DOMAIN", "service")
        run = _run()
        for serial, total in CARDS.items():
            card(db, serial, Decimal(total), cast.customer(db, f"C{serial}"), service, run)
    return home


def _run() -> UUID:
    run = uuid4()
    with transaction() as db:
        runs.start(db, run, "payment-import", DAY, dry_run=False, prefect_id=None)
    return run


def card(db: Any, serial: int, total: Decimal, customer: int, service: int, run: UUID) -> None:
    held = cast.subscription(db, f"S{serial}", customer, service)
    db.execute(
        text("""
        WITH made AS (
            INSERT INTO cards (number, customer_id, currency, state, trial, revision, total, issued_on, due_on,
                revised_on, run_id)
            VALUES (:number, :customer, 'EUR', 'open', false, 1, :total, :day, :day, :day, :run)
            RETURNING id
        )
        INSERT INTO card_lines (
            card_id, revision, subscription_id, expires_on, starts_on, ends_on, quantity, unit_price, vat_rate, payable)
        SELECT id, 1, :held, '2026-04-30', '2026-05-01', '2027-04-30', 1, 100, 22, true FROM made"""),
        {
            "number": number_of(2026, serial),
            "customer": customer,
            "total": total,
            "day": DAY,
            "run": run,
            "held": held,
        },
    )


def ref(serial: int) -> str:
    return reference_of(number_of(2026, serial))


def bring(home: Path, *lines: str, name: str = "payments.csv", dry_run: bool = False) -> Outcome:
    file = home / name
    file.write_text(HEADER + "".join(f"{line}\n" for line in lines))
    return import_payments.fn(file, DAY, NOW, _run(), dry_run=dry_run)


def statement(name: str) -> Outcome:
    return import_payments.fn(STATEMENTS / name, DAY, NOW, _run(), dry_run=False)


def rows(query: str) -> list[tuple[Any, ...]]:
    with transaction() as db:
        return [tuple(row) for row in db.execute(text(query))]


def states() -> dict[int, tuple[str, str, bool]]:
    """Of each card: state, what was paid of it, whether its line is payable."""
    return {
        int(number[-6:]): (state, str(paid), payable)
        for number, state, paid, payable in rows("""
            SELECT number, state, coalesce((
                SELECT sum(amount) FROM allocations WHERE card_id = cards.id AND purpose = 'card'), 0.00), payable
            FROM cards JOIN card_lines ON card_id = cards.id ORDER BY number""")
    }


def credit() -> dict[str, Decimal]:
    return dict(
        rows("""
        SELECT code, sum(amount) FROM allocations JOIN customers ON customers.id = customer_id
        WHERE purpose = 'credit' GROUP BY code HAVING sum(amount) <> 0""")
    )


def test_an_italian_statement_pays_what_it_names(cards: Path) -> None:
    assert statement("italian_02.xml").counts == {
        Verdict.PAID: 2,
        Verdict.PART: 1,
        Verdict.UNNAMED: 2,
        Verdict.UNMATCHED: 1,
        "debits": 1,
        "entries not booked yet": 1,
    }
    assert states() == {
        123: ("paid", "146.40", False),
        124: ("open", "0.00", True),
        125: ("paid", "200.00", False),
        126: ("open", "100.00", True),
        127: ("open", "0.00", True),
    }


def test_a_greek_statement_pays_a_card_and_takes_it_back(cards: Path) -> None:
    outcome = statement("greek_08.xml")
    assert outcome.counts == {Verdict.PAID: 1, Verdict.REVERSED: 1}
    assert states()[124] == ("open", "0.00", True)
    assert [(each.payment.amount, each.verdict) for each in outcome.undecided] == [
        (Decimal("-61.00"), Verdict.REVERSED)
    ]


@pytest.mark.parametrize("name", ["italian_02.xml", "greek_08.xml"])
def test_the_same_statement_again_changes_nothing(cards: Path, name: str) -> None:
    first = statement(name)
    before = rows("SELECT * FROM allocations"), rows("SELECT * FROM payments"), states()
    entries = sum(first.counts.values()) - first.counts["debits"] - first.counts["entries not booked yet"]
    assert statement(name).counts["imported before"] == entries
    assert (rows("SELECT * FROM allocations"), rows("SELECT * FROM payments"), states()) == before


def test_overlapping_files_count_each_payment_once(cards: Path) -> None:
    one, two, three = (f"B{i},2026-04-0{i},61,EUR,{ref(124)},," for i in (1, 2, 3))
    assert bring(cards, one, two).counts == {Verdict.PAID: 1, Verdict.REPEATED: 1}
    assert bring(cards, two, three).counts == {Verdict.REPEATED: 1, "imported before": 1}
    assert credit() == {"C124": Decimal(122)}


def test_a_dry_run_says_what_the_run_does_and_records_nothing(cards: Path) -> None:
    lines = [f"B1,2026-04-01,61,EUR,{ref(124)},,", "B2,2026-04-01,5,EUR,?,,"]
    foreseen = bring(cards, *lines, dry_run=True)
    assert rows("SELECT 1 FROM payments UNION SELECT 1 FROM allocations") == []
    assert states()[124] == ("open", "0.00", True)
    assert bring(cards, *lines).counts == foreseen.counts == {Verdict.PAID: 1, Verdict.UNNAMED: 1}


def test_two_payments_for_one_card_in_one_file(cards: Path) -> None:
    lines = [f"B{i},2026-04-01,80,EUR,{ref(126)},," for i in (1, 2)]
    assert bring(cards, *lines).counts == {Verdict.PART: 1, Verdict.OVER: 1}
    assert states()[126] == ("paid", "150.00", False)
    assert credit() == {"C126": Decimal(10)}


def test_a_reference_given_to_other_money_is_refused(cards: Path) -> None:
    bring(cards, "B1,2026-04-01,61,EUR,?,,")
    with pytest.raises(BadInput) as refused:
        bring(cards, "B2,2026-04-01,7,EUR,?,,", "B2,2026-04-01,7.50,EUR,?,,", "B1,2026-04-01,61,USD,?,,")
    assert [(finding.line, finding.value) for finding in refused.value.findings] == [(3, "B2"), (4, "B1")]
    assert len(rows("SELECT 1 FROM payments")) == 1


def test_everything_wrong_in_a_list_is_said_at_once(cards: Path) -> None:
    with pytest.raises(BadInput) as refused:
        bring(cards, "B1,2026-04-01,0,EUR,?,,", "B2,1.4.2026,7,EUR,?,,", ",2026-04-01,1.005,eur,?,,", name="april.csv")
    assert [finding.place for finding in refused.value.findings] == [
        "april.csv, line 2, amount",
        "april.csv, line 3, received_on",
        "april.csv, line 4, bank_reference",
        "april.csv, line 4, amount",
        "april.csv, line 4, currency",
    ]
    assert rows("SELECT 1 FROM payments") == []


def test_what_is_taken_back_later_opens_the_card_and_takes_the_credit(cards: Path) -> None:
    bring(cards, f"B1,2026-04-01,70,EUR,{ref(124)},,")
    assert (states()[124], credit()) == (("paid", "61.00", False), {"C124": Decimal(9)})
    taken = bring(cards, f"B2,2026-04-20,-70,EUR,storno {ref(124)},,")
    assert taken.counts == {Verdict.REVERSED: 1, "cards opened again": 1}
    assert (states()[124], credit()) == (("open", "0.00", True), {})
    again = bring(cards, f"B3,2026-04-21,-70,EUR,storno {ref(124)},,")
    assert again.counts == {Verdict.UNMATCHED: 1}
    assert bring(cards, f"B4,2026-04-22,61,EUR,{ref(124)},,").counts == {Verdict.PAID: 1}


def test_what_was_in_credit_only_is_taken_back_from_there(cards: Path) -> None:
    bring(cards, f"B1,2026-04-01,61,EUR,{ref(124)},,", f"B2,2026-04-01,50,EUR,{ref(124)},,")
    assert bring(cards, f"B3,2026-04-20,-50,EUR,{ref(124)},,").counts == {Verdict.REVERSED: 1}
    assert (states()[124], credit()) == (("paid", "61.00", False), {})


def test_a_line_that_was_renewed_or_stands_elsewhere_is_not_payable_again(cards: Path) -> None:
    bring(cards, f"B1,2026-04-01,61,EUR,{ref(124)},,", f"B2,2026-04-01,85.40,EUR,{ref(127)},,")
    with transaction() as db:
        db.execute(
            text("""
            WITH term AS (
                INSERT INTO terms (subscription_id, starts_on, expires_on)
                SELECT id, '2026-05-01', '2027-04-30' FROM subscriptions WHERE code = 'S124' RETURNING id
            )
            INSERT INTO card_renewals (card_id, subscription_id, term_id, business_date)
            SELECT card_id, subscription_id, term.id, '2026-04-03' FROM term, card_lines
            JOIN subscriptions ON subscriptions.id = subscription_id WHERE code = 'S124'""")
        )
        db.execute(
            text("""
            INSERT INTO card_lines
            SELECT (SELECT id FROM cards WHERE number = 'PF-2026-000126'), 1, subscription_id, expires_on, starts_on,
                ends_on, 1, 1, 22, true
            FROM card_lines JOIN cards ON cards.id = card_id WHERE number = 'PF-2026-000127'""")
        )
    bring(cards, f"B3,2026-04-20,-61,EUR,{ref(124)},,", f"B4,2026-04-20,-85.4,EUR,{ref(127)},,")
    assert (
        rows("""
        SELECT state, payable FROM cards JOIN card_lines ON card_id = cards.id
        WHERE number IN ('PF-2026-000124', 'PF-2026-000127')""")
        == [("open", False)] * 2
    )


@pytest.mark.parametrize("state", ["void", "paid"])
def test_money_for_a_closed_card_is_credit_and_listed(cards: Path, state: str) -> None:
    with transaction() as db:
        db.execute(text("UPDATE cards SET state = :state WHERE number = 'PF-2026-000124'"), {"state": state})
    outcome = bring(cards, f"B1,2026-04-01,61,EUR,{ref(124)},,")
    assert [each.verdict for each in outcome.undecided] == [Verdict.VOID if state == "void" else Verdict.REPEATED]
    assert credit() == {"C124": Decimal(61)}


def together(works: Sequence[Callable[[], Outcome]]) -> list[Outcome]:
    with ThreadPoolExecutor(len(works)) as threads:
        return [future.result() for future in [threads.submit(work) for work in works]]


def test_the_same_file_imported_twice_at_once_counts_once(cards: Path) -> None:
    lines = [f"B{i},2026-04-01,1,EUR,{ref(126)},," for i in range(150)]
    outcomes = together([lambda i=i: bring(cards, *lines, name=f"{i}.csv") for i in (1, 2)])  # type: ignore[misc]
    assert sum((outcome.counts for outcome in outcomes[1:]), outcomes[0].counts) == {
        Verdict.PART: 149,
        Verdict.PAID: 1,
        "imported before": 150,
    }
    assert states()[126] == ("paid", "150.00", False)


def test_two_files_that_pay_the_same_cards_at_once(cards: Path) -> None:
    """In opposite order, so that they would wait for each other."""
    there = [f"A{serial},2026-04-01,{CARDS[serial]},EUR,{ref(serial)},," for serial in CARDS]
    back = [f"B{serial},2026-04-01,{CARDS[serial]},EUR,{ref(serial)},," for serial in reversed(CARDS)]
    one, two = together([lambda: bring(cards, *there, name="1.csv"), lambda: bring(cards, *back, name="2.csv")])
    assert one.counts + two.counts == {Verdict.PAID: 5, Verdict.REPEATED: 5}
    assert sum(credit().values()) == sum(map(Decimal, CARDS.values()))
