"""What was open on a past day, by the business dates of what was done."""

from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import Connection

from lifecycle.persistence.open_cards import read
from tests import cast


def day(of_december: int) -> date:
    return date(2026, 12, of_december)


@pytest.fixture
def customer(db: Connection) -> int:
    return cast.customer(db, "C1")


@pytest.fixture
def service(db: Connection, customer: int) -> int:
    made = cast.subscription(db, "S1", customer, cast.product(db, "HOSTING", "service"))
    cast.term(db, made, date(2026, 11, 30))
    return made


def amounts(db: Connection, on: date) -> list[tuple[str, int, Decimal, Decimal]]:
    return [(debt.number, debt.revision, debt.total, debt.paid) for debt in read(db, on).debts]


def test_a_card_is_open_from_its_issue_until_it_is_closed(db: Connection, customer: int, service: int) -> None:
    cast.card(db, "PF-1", customer, [service], issued_on=date(2026, 11, 1), closed_on=day(10))
    listed = {on: bool(read(db, on).debts) for on in (date(2026, 10, 31), date(2026, 11, 1), day(9), day(10))}
    assert list(listed.values()) == [False, True, True, False]


def test_before_a_payment_nothing_of_it_was_paid(db: Connection, customer: int, service: int) -> None:
    card = cast.card(db, "PF-1", customer, [service])
    payment = cast.payment(db, "B1", "100.00", day(5))
    cast.allocation(db, "100.00", day(5), payment=payment, card=card, customer=customer)
    assert amounts(db, day(4)) == [("PF-1", 1, Decimal(122), Decimal(0))]
    assert amounts(db, day(5)) == [("PF-1", 1, Decimal(122), Decimal(100))]
    [debt] = read(db, day(5)).debts
    assert (debt.open, debt.customer, debt.customer_name) == (Decimal(22), "C1", "Customer C1")


def test_a_revision_counts_from_its_day_with_its_own_lines(db: Connection, customer: int, service: int) -> None:
    card = cast.card(db, "PF-1", customer, [service], total="122.00")
    other = cast.subscription(db, "S2", customer, cast.product(db, "BACKUP", "service"))
    cast.revision(db, card, 2, [other], total="61.00", made_on=day(3), due_on=day(20))
    assert amounts(db, day(2)) == [("PF-1", 1, Decimal(122), Decimal(0))]
    assert amounts(db, day(3)) == [("PF-1", 2, Decimal(61), Decimal(0))]
    assert [read(db, on).debts[0].due_on for on in (day(2), day(3))] == [date(2026, 11, 30), day(20)]
    cast.transition(db, service, "suspended", day(2))
    assert [read(db, on).suspended[0].card for on in (day(2), day(3))] == ["PF-1", None]


def test_a_card_that_a_reversal_opened_again_was_not_open_in_between(
    db: Connection, customer: int, service: int
) -> None:
    card = cast.card(db, "PF-1", customer, [service])  # open today: what closed it is forgotten
    for reference, amount, on in (("B1", "122.00", day(5)), ("B2", "-122.00", day(15))):
        entry = cast.payment(db, reference, amount, on)
        cast.allocation(db, amount, on, payment=entry, card=card, customer=customer)
    assert [bool(read(db, on).debts) for on in (day(4), day(5), day(14), day(15))] == [True, False, False, True]
    assert read(db, day(15)).unassigned == []


def test_credit_is_by_customer_and_currency_and_gone_when_used(db: Connection, customer: int, service: int) -> None:
    card = cast.card(db, "PF-1", customer, [service])
    payment = cast.payment(db, "B1", "30.00", day(1))
    cast.allocation(db, "30.00", day(1), payment=payment, customer=customer)
    francs = cast.payment(db, "B2", "8.00", day(1), currency="CHF")
    cast.allocation(db, "8.00", day(1), payment=francs, customer=customer, currency="CHF")
    cast.allocation(db, "-30.00", day(6), customer=customer)
    cast.allocation(db, "30.00", day(6), card=card, customer=customer)
    found = {on: [(it.customer, it.currency, it.amount) for it in read(db, on).credits] for on in (day(5), day(6))}
    assert found == {
        day(5): [("C1", "CHF", Decimal(8)), ("C1", "EUR", Decimal(30))],
        day(6): [("C1", "CHF", Decimal(8))],
    }
    assert amounts(db, day(6)) == [("PF-1", 1, Decimal(122), Decimal(30))]


def test_what_is_not_assigned_of_a_payment_is_listed_from_its_import_on(db: Connection, customer: int) -> None:
    payment = cast.payment(db, "B1", "50.00", day(2))
    cast.allocation(db, "20.00", day(4), payment=payment, customer=customer)
    cast.allocation(db, "30.00", day(7), payment=payment, customer=customer)
    left = [[it.left for it in read(db, on).unassigned] for on in (day(1), day(2), day(4), day(7))]
    assert left == [[], [Decimal(50)], [Decimal(30)], []]


def test_a_suspended_service_is_listed_with_the_card_it_stands_on(db: Connection, customer: int, service: int) -> None:
    card = cast.card(db, "PF-1", customer, [service])
    cast.card(db, "PF-2", customer, [], due_on=day(1), closed_on=day(2))
    cast.allocation(db, "22.00", day(9), card=card, customer=customer)
    cast.transition(db, service, "suspended", day(8))
    cast.transition(db, service, "active", day(20))
    found = {on: [(it.code, it.since, it.card, it.open) for it in read(db, on).suspended] for on in map(day, (7, 8, 9))}
    assert found == {
        day(7): [],
        day(8): [("S1", day(8), "PF-1", Decimal(122))],
        day(9): [("S1", day(8), "PF-1", Decimal(100))],
    }
    assert read(db, day(20)).suspended == []


def test_a_suspended_service_may_stand_on_no_open_card(db: Connection, customer: int, service: int) -> None:
    cast.card(db, "PF-1", customer, [service], closed_on=day(8))
    cast.transition(db, service, "suspended", day(8))
    [found] = read(db, day(8)).suspended
    assert (found.card, found.currency, found.open) == (None, None, None)
