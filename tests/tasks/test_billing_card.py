"""Billing cards on the database: one per customer and currency, numbered without holes, renewed once when paid."""

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from lifecycle.persistence import card_documents, payments
from lifecycle.persistence.database import transaction
from lifecycle.persistence.subscription_status import GIVEN, Learned, follow_policies, refresh
from lifecycle.rendering import billing_card as rendering
from lifecycle.rendering.templates import Issuer
from lifecycle.rules.billing_card import Card, Payee
from lifecycle.rules.findings import BadInput
from lifecycle.settings import settings
from tasks import billing_card
from tasks.billing_card import Order
from tests import cast
from tests.billing import DAY, IBAN, change, hold, rows, run
from tests.cards import card
from tests.erasing import erase
from tests.sweeping import at, dying_after, mortal, started


@pytest.fixture(autouse=True)
def account(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LIFECYCLE_ISSUER__IBAN", IBAN)
    settings.cache_clear()
    yield
    settings.cache_clear()


def cards() -> list[tuple[Any, ...]]:
    return rows("SELECT number, revision, state, total FROM cards ORDER BY number")


def messages() -> dict[str, str]:
    return dict(rows("SELECT key, state FROM messages ORDER BY id"))


def credit(customer: str, amount: str) -> None:
    change(f"""
        INSERT INTO allocations (customer_id, purpose, amount, currency, rule, business_date)
        SELECT id, 'credit', {amount}, 'EUR', 'over-payment', '2026-01-01' FROM customers WHERE code = '{customer}'""")


def test_what_expires_within_the_lead_days_is_put_on_one_card() -> None:
    hold("C1", {"S1": date(2026, 3, 31), "S2": date(2026, 3, 10), "S3": date(2026, 4, 1)})
    billed = run()
    assert billed.counts["cards made"] == 1
    assert cards() == [("PF-2026-000001", 1, "open", Decimal("292.80"))]
    assert rows("SELECT code FROM card_lines JOIN subscriptions ON id = subscription_id ORDER BY expires_on") == [
        ("S2",), ("S1",)
    ]  # fmt: skip
    assert messages() == {"billing-card/PF-2026-000001/1": "queued"}


def test_nobody_who_is_erased_is_billed() -> None:
    hold("C1", {"S1": date(2026, 3, 31)})
    with transaction() as db:
        erase(db, "C1")
    assert not run().counts["cards made"]
    assert cards() == []


def test_what_expired_before_is_made_up() -> None:
    hold("C1", {"S1": date(2026, 2, 3)})
    run()
    assert rows("SELECT expires_on, starts_on FROM card_lines") == [(date(2026, 2, 3), date(2026, 2, 4))]


def test_the_same_run_again_changes_nothing() -> None:
    hold("C1", {"S1": date(2026, 3, 20)})
    run()
    before = rows("SELECT * FROM cards"), rows("SELECT * FROM card_revisions"), messages()
    assert run().counts.total() == 0
    assert (rows("SELECT * FROM cards"), rows("SELECT * FROM card_revisions"), messages()) == before


def test_the_document_is_stored_with_its_digest_and_found_unchanged() -> None:
    hold("C1", {"S1": date(2026, 3, 20)})
    run()
    ((document, digest),) = rows("SELECT document, digest FROM card_revisions")
    assert document.startswith(b"%PDF-")
    assert hashlib.sha256(document).hexdigest() == digest
    with transaction() as db:
        card = card_documents.find(db, "PF-2026-000001")
        assert card is not None
        assert card_documents.document(db, card) == document


def test_a_document_that_is_not_as_it_was_stored_is_not_given_out() -> None:
    hold("C1", {"S1": date(2026, 3, 20)})
    run()
    change("UPDATE card_revisions SET document = document || '\\x00'")
    with transaction() as db, pytest.raises(card_documents.DocumentLost, match="PF-2026-000001, revision 1"):
        card_documents.document(db, 1)


def test_a_dry_run_lists_what_the_run_then_does_and_leaves_nothing() -> None:
    for number in range(5):
        hold(f"C{number}", {f"S{number}": DAY + timedelta(days=number * 10)})
    dry = run(dry_run=True)
    assert cards() == []
    assert messages() == {}
    real = run()
    assert (dry.counts, dry.cards, dry.sums) == (real.counts, real.cards, real.sums)
    assert dry.counts["cards made"] == 4


def test_a_changed_price_makes_a_new_revision_that_is_mailed() -> None:
    hold("C1", {"S1": date(2026, 3, 20)})
    run()
    change("UPDATE products SET price = 100")
    assert run(DAY + timedelta(days=1)).counts["cards revised"] == 1
    assert cards() == [("PF-2026-000001", 2, "open", Decimal("122.00"))]
    assert list(messages()) == ["billing-card/PF-2026-000001/1", "billing-card/PF-2026-000001/2"]
    assert rows("SELECT revision, payable FROM card_lines ORDER BY revision") == [(1, False), (2, True)]
    assert rows("SELECT count(*) FROM card_revisions") == [(2,)]


def test_a_service_renewed_otherwise_leaves_its_card_and_the_last_one_makes_it_void() -> None:
    hold("C1", {"S1": date(2026, 3, 20), "S2": date(2026, 3, 25)})
    run()
    for code, revision, state in (("S1", 2, "open"), ("S2", 2, "void")):
        with transaction() as db:
            id_ = db.execute(text("SELECT id FROM subscriptions WHERE code = :code"), {"code": code}).scalar_one()
            cast.term(db, id_, date(2027, 3, 20), starts_on=date(2026, 3, 21))
            refresh(db, GIVEN, Learned(DAY, cast.LONG_AGO, None, cast.LIVE), [id_])
        run(DAY + timedelta(days=1))
        assert cards()[0][1:3] == (revision, state)
    assert rows("SELECT count(*) FROM card_lines WHERE payable") == [(0,)]


def test_a_service_whose_currency_changes_moves_to_a_card_in_that_currency() -> None:
    hold("C1", {"S1": date(2026, 3, 20)})
    run()
    change("UPDATE products SET currency = 'CHF'")
    run(DAY + timedelta(days=1))
    assert rows("SELECT state, currency FROM cards ORDER BY id") == [("void", "EUR"), ("open", "CHF")]


def test_what_falls_due_later_joins_the_card_as_a_revision() -> None:
    hold("C1", {"S1": date(2026, 3, 25), "S2": date(2026, 4, 5)})
    run()
    run(date(2026, 3, 6))
    assert cards() == [("PF-2026-000001", 2, "open", Decimal("292.80"))]


def test_nothing_joins_a_card_whose_payment_was_taken_back() -> None:
    """What it has renewed is still owed on it."""
    hold("C1", {"S1": date(2026, 3, 25), "S2": date(2026, 4, 5)})
    run()
    change("""
        UPDATE cards SET state = 'paid';
        UPDATE card_lines SET payable = false;
        INSERT INTO card_renewals (card_id, subscription_id, term_id, business_date)
        SELECT card_id, card_lines.subscription_id, terms.id, '2026-03-02'
        FROM card_lines JOIN terms USING (subscription_id)""")
    with transaction() as db:
        payments.reopen(db, db.scalars(text("SELECT id FROM cards")).all())
    run(date(2026, 3, 6))
    assert cards() == [
        ("PF-2026-000001", 1, "open", Decimal("146.40")), ("PF-2026-000002", 1, "open", Decimal("146.40"))
    ]  # fmt: skip


def test_a_custom_application_is_listed_and_nothing_else() -> None:
    hold("C1", {"A1": date(2026, 3, 20), "A2": date(2026, 2, 20), "A3": date(2026, 4, 20)}, product="APP")
    assert run().counts.total() == 0
    order = Order(DAY, at(DAY), started("billing-card-run", DAY), dry_run=False)
    assert billing_card.custom_due.fn(order) == [("A1", "C1", date(2026, 3, 20))]
    assert cards() == []


def test_credit_is_used_first_and_a_card_that_it_covers_renews_at_once() -> None:
    hold("C1", {"S1": date(2026, 3, 20)})
    hold("C2", {"S2": date(2026, 3, 20)})
    credit("C1", "200")
    credit("C2", "100")
    billed = run()
    assert billed.counts["cards paid by credit"] == 1
    assert billed.counts["services renewed"] == 1
    assert [card[2] for card in cards()] == ["paid", "open"]
    assert rows("SELECT sum(amount) FROM allocations WHERE purpose = 'credit' GROUP BY customer_id ORDER BY 1") == [
        (Decimal("0.00"),), (Decimal("53.60"),)
    ]  # fmt: skip
    assert rows("SELECT starts_on, expires_on FROM terms ORDER BY starts_on DESC LIMIT 1") == [
        (date(2026, 3, 21), date(2027, 3, 20))
    ]
    assert set(messages()) == {"renewal-confirmed/PF-2026-000001", "billing-card/PF-2026-000002/1"}


def test_a_service_years_behind_is_renewed_by_credit_once_a_day() -> None:
    hold("C1", {"S1": date(2023, 3, 20)})
    credit("C1", "1000")
    for day, number in ((DAY, 1), (DAY, 1), (DAY + timedelta(days=1), 2)):
        run(day)
        assert len(cards()) == number
        assert rows("SELECT max(expires_on) FROM terms") == [(date(2023 + number, 3, 20),)]


def test_in_the_trial_time_cards_are_made_and_nothing_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_GO_LIVE__BILLING_CARD", "2026-03-03")
    settings.cache_clear()
    hold("C1", {"S1": date(2026, 3, 20)})
    credit("C1", "200")
    run()
    run(DAY + timedelta(days=1))
    assert messages() == {"billing-card/PF-2026-000001/1/withheld": "withheld"}
    assert rows("SELECT trial, state FROM cards") == [(True, "open")]
    assert rows("SELECT count(*) FROM allocations") == [(1,)]  # credit is not touched
    change("DELETE FROM allocations")
    run(DAY + timedelta(days=2))
    assert messages()["billing-card/PF-2026-000001/2"] == "queued"
    assert rows("SELECT trial, revision FROM cards") == [(False, 2)]


def test_a_customer_without_an_address_gets_its_card_once_there_is_one() -> None:
    hold("C1", {"S1": date(2026, 3, 20)}, email=None)
    assert run().counts[billing_card.NO_ADDRESS] == 1
    assert messages() == {}
    change("UPDATE customers SET email = 'new@example.com'")
    run(DAY + timedelta(days=1))
    assert messages() == {"billing-card/PF-2026-000001/1": "queued"}


def test_reminders_go_out_once_each() -> None:
    hold("C1", {"S1": date(2026, 3, 20)})
    reminded = Counter[str]()
    for day in range(25):
        reminded[str(DAY + timedelta(days=day))] += run(DAY + timedelta(days=day)).counts["reminders to mail"]
    assert +reminded == {"2026-03-05": 1, "2026-03-13": 1, "2026-03-19": 1}


def test_a_card_that_cannot_be_drawn_costs_nobody_else_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 4):
        hold(f"C{number}", {f"S{number}": date(2026, 3, 20)})
    drawn = rendering.document

    def broken(card: Card, payee: Payee, issuer: Issuer) -> bytes:
        if card.payer.code == "C2":
            raise ValueError("no such glyph")
        return drawn(card, payee, issuer)

    monkeypatch.setattr(rendering, "document", broken)
    billed = run()
    assert billed.counts[billing_card.NOT_DRAWN] == 1
    assert ("-", "C2", "EUR", Decimal("146.40"), billing_card.NOT_DRAWN) in billed.cards
    assert [card[0] for card in cards()] == ["PF-2026-000001", "PF-2026-000002"]


def test_a_card_that_costs_more_than_can_be_recorded_costs_nobody_else_theirs() -> None:
    for number in range(1, 4):
        hold(f"C{number}", {f"S{number}": date(2026, 3, 20)})
    change("UPDATE subscriptions SET unit_price = 999999999999.99 WHERE code = 'S2'")
    billed = run()
    assert ("-", "C2", "EUR", Decimal("1219999999999.99"), billing_card.TOO_MUCH) in billed.cards
    assert billed.counts[billing_card.TOO_MUCH] == 1
    assert [card[0] for card in cards()] == ["PF-2026-000001", "PF-2026-000002"]


def test_only_the_customers_asked_for_are_billed() -> None:
    for number in range(1, 4):
        hold(f"C{number}", {f"S{number}": date(2026, 3, 20)})
    assert run(codes=["C2"]).cards[0][1] == "C2"
    with pytest.raises(BadInput, match="'C9' is no customer's code"):
        run(codes=["C1", "C9"])


def test_without_an_account_to_pay_to_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIFECYCLE_ISSUER__IBAN")
    settings.cache_clear()
    hold("C1", {"S1": date(2026, 3, 20)})
    with pytest.raises(BadInput, match="LIFECYCLE_ISSUER__IBAN"):
        run()


def test_numbers_have_no_holes_under_parallel_runs_and_kills() -> None:
    for number in range(40):
        hold(f"C{number}", {f"S{number}": date(2026, 3, 20)})

    def killed_then_whole(statements: int) -> None:
        with dying_after(statements):
            run(portion=7)
        run(portion=5)

    with mortal(), ThreadPoolExecutor(4) as threads:
        list(threads.map(killed_then_whole, (9, 14, 23, 31)))
    assert [card[0] for card in cards()] == [f"PF-2026-{number:06}" for number in range(1, 41)]
    assert rows("SELECT count(DISTINCT customer_id), count(*) FROM cards") == [(40, 40)]
    assert len(messages()) == 40


def test_the_next_year_counts_from_one_again() -> None:
    hold("C1", {"S1": date(2026, 1, 20)})
    hold("C2", {"S2": date(2026, 1, 31)})
    run(date(2025, 12, 31))
    run(date(2026, 1, 1))
    assert [card[0] for card in cards()] == ["PF-2025-000001", "PF-2026-000001"]


def test_a_product_that_becomes_a_service_is_billed_and_one_that_was_is_not() -> None:
    hold("C1", {"S1": date(2026, 3, 20)})
    run()
    with transaction() as db:
        db.execute(text("UPDATE products SET policy = 'custom'"))
        follow_policies(db)
    run()
    assert cards()[0][2] == "void"
    with transaction() as db:
        db.execute(text("UPDATE products SET policy = 'service'"))
        follow_policies(db)
    run()
    assert [card[2] for card in cards()] == ["void", "open"]


def waits(db: Connection) -> None:
    """Return as soon as another transaction waits for a lock of ours."""
    deadline = time.monotonic() + 20
    while not db.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_paid_while_a_run_waits_for_the_card_counts() -> None:
    hold("C1", {"S1": date(2026, 3, 20)})
    run()
    credit("C1", "200")
    change("UPDATE products SET price = 100")
    with ThreadPoolExecutor(1) as thread:
        with transaction() as db:
            db.execute(text("SELECT FROM cards FOR UPDATE"))
            db.execute(
                text("""
                INSERT INTO allocations (customer_id, card_id, purpose, amount, currency, rule, business_date)
                SELECT customer_id, id, 'card', 100, 'EUR', 'part', '2026-03-02' FROM cards""")
            )
            billed = thread.submit(run, DAY + timedelta(days=1))
            waits(db)
        assert billed.result().counts["cards paid by credit"] == 1
    assert rows("SELECT purpose, sum(amount) FROM allocations GROUP BY purpose ORDER BY purpose") == [
        ("card", Decimal("122.00")), ("credit", Decimal("178.00"))
    ]  # fmt: skip


def draw_many() -> None:
    billing_card._drawn([card(1)] * (billing_card.DRAWN_HERE + 1))


def test_a_process_of_a_task_runner_ends_with_those_that_draw_for_it() -> None:
    process = get_context("spawn").Process(target=draw_many)
    process.start()
    process.join(120)
    process.kill()
    process.join()
    assert process.exitcode == 0
