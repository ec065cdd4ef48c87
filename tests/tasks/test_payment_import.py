"""Payments on PostgreSQL: files of a bank imported once, twice and at once; cards paid, opened again, listed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from lifecycle.persistence.database import transaction
from lifecycle.rules.findings import BadInput
from lifecycle.rules.payment import Verdict
from tasks.import_records import import_files
from tasks.payment_import import Outcome, foresee_payments, import_payments
from tests import cast
from tests.paying import CARDS, DAY, HEADER, NOW, bring, credit, open_cards, ref, rows, statement, states, written
from tests.sweeping import started


@pytest.fixture
def cards(home: Path) -> Path:
    open_cards()
    return home


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
    """Also where a file takes up what one before it leaves, and where one is wrong."""
    files = [
        written(cards, f"B1,2026-04-01,61,EUR,{ref(124)},,", "B2,2026-04-01,5,EUR,?,,", name="1.csv"),
        written(cards, "B1,2026-04-01,60,EUR,?,,", name="2.csv"),
        written(cards, f"B3,2026-04-02,61,EUR,{ref(124)},,", f"B4,2026-04-03,-5,EUR,{ref(124)},,", name="3.csv"),
    ]
    foreseen = foresee_payments.fn(files, DAY, NOW, started("payment-import", DAY))
    assert rows("SELECT 1 FROM payments UNION SELECT 1 FROM allocations") == []
    assert states()[124] == ("open", "0.00", True)
    first, wrong, last = foreseen
    assert isinstance(wrong, BadInput)
    assert isinstance(first, Outcome)
    assert isinstance(last, Outcome)
    assert import_payments.fn(files[0], DAY, NOW, started("payment-import", DAY)).counts == first.counts
    assert import_payments.fn(files[2], DAY, NOW, started("payment-import", DAY)).counts == last.counts
    assert last.counts == {Verdict.REPEATED: 1, Verdict.UNMATCHED: 1}


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


def test_what_was_withdrawn_from_is_not_renewed_by_an_old_card(cards: Path) -> None:
    """Its product has become one of memberships since the card."""
    with transaction() as db:
        customer, held = db.execute(text("SELECT customer_id, id FROM subscriptions WHERE code = 'S124'")).one()
        cast.action_type(db)
        cast.withdrawal(db, customer, [held], date(2029, 12, 31))
    before = rows("SELECT count(*) FROM terms")
    bring(cards, f"B1,2026-04-01,61,EUR,{ref(124)},,")
    assert (states()[124][0], rows("SELECT count(*) FROM terms")) == ("paid", before)


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


def test_a_folder_of_records_may_hold_payments_too(cards: Path) -> None:
    folder = cards / "records"
    folder.mkdir()
    (folder / "payments.csv").write_text(f"{HEADER}B1,2026-04-01,61,EUR,{ref(124)},,\nB2,2026-04-01,5,EUR,?,,\n")
    (folder / "resellers.csv").write_text("code,name,email\nR1,Una,\n")
    assert import_files.fn(folder, NOW, dry_run=False) == {
        "resellers new": 1,
        f"payments: {Verdict.PAID}": 1,
        f"payments: {Verdict.UNNAMED}": 1,
        **dict.fromkeys(("resellers changed", "resellers unchanged", "associations added", "terms added"), 0),
    }
    assert states()[124] == ("paid", "61.00", False)
    (folder / "payments.csv").write_text(f"{HEADER}B1,2026-04-01,62,EUR,,,\nB3,,5,EUR,,,\n")
    (folder / "resellers.csv").write_text("code,name,email\n,Una,\n")
    with pytest.raises(BadInput) as refused:
        import_files.fn(folder, NOW, dry_run=False)
    assert [f.place for f in refused.value.findings] == [
        "payments.csv, line 2",
        "payments.csv, line 3, received_on",
        "resellers.csv, line 2, code",
    ]


def test_a_file_of_another_kind_is_refused(home: Path) -> None:
    with pytest.raises(BadInput, match=r"camt\.pdf: is no bank file"):
        bring(home, name="camt.pdf")
