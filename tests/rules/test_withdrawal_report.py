from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from uuid import UUID
from zoneinfo import ZoneInfo

from lifecycle.rules.withdrawal_report import Group, Month, Sums, Tally, Withdrawals, Withdrawn


def withdrawn(number: int, customer: str, last_day: date, product: str = "GYM", **other: str) -> Withdrawn:
    """With the withdrawal of that number; 1.00 owed, 2.00 removed, 3.00 to be refunded."""
    type_, currency = other.get("type", "MOVED"), other.get("currency", "EUR")
    return Withdrawn(
        *(UUID(int=number), customer, "", f"S{customer}", product, product.title(), type_, type_.title(), "anna"),
        *(last_day, date(2026, 12, 31), currency, Decimal("1.00"), Decimal("2.00"), Decimal("3.00")),
        datetime(2026, 1, 20, 9, tzinfo=ZoneInfo("Europe/Rome")),
    )


def first(month: int) -> date:
    return date(2026, month, 1)


FOUND = Withdrawals(
    date(2026, 1, 15),
    date(2026, 6, 30),
    date(2026, 4, 2),
    [
        withdrawn(1, "C1", date(2026, 1, 31)),
        withdrawn(1, "C1", date(2026, 1, 31), "POOL"),
        withdrawn(2, "C2", date(2026, 2, 1), type="PRICE", currency="CHF"),
        withdrawn(3, "C1", date(2026, 2, 28), "POOL"),
        withdrawn(4, "C3", date(2026, 6, 30)),
    ],
    {first(1): 8, first(2): 6, first(3): 4, first(4): 0},
)


def test_the_share_of_a_month_is_of_those_active_on_its_first_day() -> None:
    assert FOUND.by_month == [
        Month(first(1), Tally(1, 1, 2), 8),
        Month(first(2), Tally(2, 2, 2), 6),
        Month(first(3), Tally(0, 0, 0), 4),
        Month(first(4), Tally(0, 0, 0), 0),
        Month(first(5), Tally(0, 0, 0), None),
        Month(first(6), Tally(1, 1, 1), None),
    ]
    assert [month.share for month in FOUND.by_month] == [Fraction(1, 4), Fraction(1, 3), 0, None, None, None]


def test_where_none_was_active_there_is_no_share() -> None:
    assert Month(first(1), Tally(1, 1, 1), 0).share is None


def test_months_before_the_first_member_and_after_the_last_are_left_out() -> None:
    found = Withdrawals(first(1), first(9), first(9), [], {first(1): 0, first(2): 3, first(3): 0})
    assert [month.first for month in found.by_month] == [first(2)]
    assert Withdrawals(first(1), first(9), first(9), [], {first(1): 0}).by_month == []


def test_a_customer_counts_once_in_all_and_so_does_a_withdrawal() -> None:
    assert FOUND.total == Tally(withdrawals=4, customers=3, memberships=5)


def test_types_and_products_with_most_memberships_come_first() -> None:
    assert FOUND.by_type == [Group("MOVED", "Moved", Tally(3, 2, 4)), Group("PRICE", "Price", Tally(1, 1, 1))]
    assert FOUND.by_product == [Group("GYM", "Gym", Tally(3, 3, 3)), Group("POOL", "Pool", Tally(2, 1, 2))]


def test_amounts_are_added_by_currency() -> None:
    assert FOUND.sums == [
        Sums("CHF", Decimal("1.00"), Decimal("2.00"), Decimal("3.00")),
        Sums("EUR", Decimal("4.00"), Decimal("8.00"), Decimal("12.00")),
    ]


def test_the_last_months_have_those_without_any_and_none_before_the_period() -> None:
    assert FOUND.last_months(2) == [(first(5), 0), (first(6), 1)]
    assert [number for _, number in FOUND.last_months(24)] == [2, 2, 0, 0, 0, 1]
