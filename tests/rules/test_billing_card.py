"""Which services stand on which card, for which period, at what price, and when their customer is reminded."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iso11649

from lifecycle.rules.billing_card import (
    Change,
    Line,
    OpenCard,
    Period,
    RateTotal,
    Service,
    changes,
    from_credit,
    gross_amounts,
    number_of,
    period_after,
    print_form,
    rate_totals,
    reference_of,
    reminder_due,
    total_of,
)
from lifecycle.rules.calendar import add_months

DAY = date(2026, 3, 1)


def line(subscription: int = 1, expires_on: date = date(2026, 3, 20), **changed: Any) -> Line:
    values: dict[str, Any] = {
        "subscription_id": subscription,
        "expires_on": expires_on,
        "period": Period(expires_on + timedelta(days=1), add_months(expires_on, 12)),
        "quantity": 1,
        "unit_price": Decimal("10.00"),
        "vat_rate": Decimal(22),
    }
    return Line(**values | changed)


def card(*lines: Line, **changed: Any) -> OpenCard:
    values: dict[str, Any] = {
        "id": 7,
        "currency": "EUR",
        "trial": False,
        "due_on": min((line.expires_on for line in lines), default=date(2026, 3, 20)),
        "revised_on": date(2026, 2, 20),
        "reminded_for": None,
        "paid": Decimal(0),
        "paid_in_part": False,
        "lines": frozenset(lines),
    }
    return OpenCard(**values | changed)


def after(services: list[Service], *cards: OpenCard, day: date = DAY, live: bool = True) -> list[Change]:
    return changes(3, services, cards, day, live=live)


@pytest.mark.parametrize(
    ("anchor", "months", "last_start", "expires_on", "period"),
    [
        # the product page's chains
        ("2024-01-31", 1, "2024-01-31", "2024-02-28", ("2024-02-29", "2024-03-30")),
        ("2024-01-31", 1, "2024-02-29", "2024-03-30", ("2024-03-31", "2024-04-29")),
        ("2020-02-29", 12, "2020-02-29", "2021-02-27", ("2021-02-28", "2022-02-27")),
        ("2020-02-29", 12, "2023-02-28", "2024-02-28", ("2024-02-29", "2025-02-27")),
        # plain years
        ("2019-09-15", 12, "2024-09-15", "2025-09-14", ("2025-09-15", "2026-09-14")),
        ("2019-03-01", 12, "2024-03-01", "2025-02-28", ("2025-03-01", "2026-02-28")),
        # the 29th, 30th and 31st of every month
        ("2023-12-29", 1, "2024-01-29", "2024-02-28", ("2024-02-29", "2024-03-28")),
        ("2022-12-30", 1, "2023-01-30", "2023-02-27", ("2023-02-28", "2023-03-29")),
        ("2022-12-31", 3, "2023-03-31", "2023-06-29", ("2023-06-30", "2023-09-29")),
        # a term that was sold by hand breaks the rhythm: it goes on from there, and does not drift either
        ("2019-09-15", 12, "2024-10-31", "2025-10-30", ("2025-10-31", "2026-10-30")),
        ("2019-09-15", 1, "2025-01-31", "2025-02-27", ("2025-02-28", "2025-03-30")),
        # and where not even that fits, from the old expiry
        ("2019-09-15", 12, "2024-10-31", "2025-12-24", ("2025-12-25", "2026-12-24")),
    ],
)
def test_a_period_follows_the_old_expiry_without_drifting(
    anchor: str, months: int, last_start: str, expires_on: str, period: tuple[str, str]
) -> None:
    found = period_after(
        date.fromisoformat(expires_on), date.fromisoformat(anchor), months, date.fromisoformat(last_start)
    )
    assert (str(found.starts_on), str(found.ends_on)) == period


@given(st.dates(date(1990, 1, 1), date(2030, 12, 31)), st.integers(1, 24), st.integers(1, 30))
def test_periods_from_an_anchor_never_drift(anchor: date, months: int, number: int) -> None:
    expires_on, last_start = add_months(anchor, months) - timedelta(days=1), anchor
    for k in range(1, number + 1):
        period = period_after(expires_on, anchor, months, last_start)
        assert period.starts_on == add_months(anchor, k * months)
        expires_on, last_start = period.ends_on, period.starts_on


@given(st.integers(2000, 2999), st.integers(1, 999_999))
def test_a_reference_is_one_by_the_standard(year: int, serial: int) -> None:
    reference = reference_of(number_of(year, serial))
    assert iso11649.validate(print_form(reference)) == reference
    assert print_form(reference) == iso11649.format(reference)


def test_a_number_and_its_reference() -> None:
    assert number_of(2026, 123) == "PF-2026-000123"
    assert reference_of("PF-2026-000123").endswith("PF2026000123")


def test_vat_is_rounded_half_up_on_the_sum_of_each_rate() -> None:
    lines = [
        line(1, quantity=3, unit_price=Decimal("0.15")),
        line(2, unit_price=Decimal("0.05")),
        line(3, vat_rate=Decimal(4)),
    ]
    # 22 % of 0.50 is 0.11; line by line it would be 0.10 + 0.01; 22 % of 0.25 is 0.055: up
    assert rate_totals(lines) == (
        RateTotal(Decimal(4), Decimal("10.00"), Decimal("0.40")),
        RateTotal(Decimal(22), Decimal("0.50"), Decimal("0.11")),
    )
    assert total_of(lines) == Decimal("11.01")
    assert rate_totals([line(unit_price=Decimal("0.25"))])[0].vat == Decimal("0.06")
    # 10 % of 0.45 is 0.045: up, and not to the even cent
    assert rate_totals([line(unit_price=Decimal("0.45"), vat_rate=Decimal(10))])[0].vat == Decimal("0.05")


@given(
    st.lists(
        st.tuples(st.decimals("0", "9999", places=2), st.integers(1, 9), st.sampled_from([0, 4, 10, 22])), max_size=12
    )
)
def test_amounts_with_vat_add_up_to_the_total(priced: list[tuple[Decimal, int, int]]) -> None:
    lines = [line(i, unit_price=p, quantity=q, vat_rate=Decimal(r)) for i, (p, q, r) in enumerate(priced)]
    assert sum(gross_amounts(lines)) == total_of(lines)


def test_all_that_falls_due_stands_on_one_card_in_order_of_expiry() -> None:
    later, sooner = line(1, date(2026, 3, 30)), line(2, date(2026, 3, 5))
    assert after([Service("EUR", later), Service("EUR", sooner)]) == [Change(3, "EUR", None, (sooner, later))]


def test_each_currency_has_a_card_of_its_own() -> None:
    found = after([Service("USD", line(1)), Service("EUR", line(2))])
    assert [(change.currency, change.lines) for change in found] == [("EUR", (line(2),)), ("USD", (line(1),))]


def test_an_unchanged_card_keeps_its_revision() -> None:
    assert after([Service("EUR", line(), 7)], card(line())) == []


@pytest.mark.parametrize("changed", [{"quantity": 2}, {"unit_price": Decimal("9.99")}, {"vat_rate": Decimal(10)}])
def test_another_price_or_quantity_makes_a_new_revision(changed: dict[str, Any]) -> None:
    now = line(**changed)
    assert after([Service("EUR", now, 7)], card(line())) == [Change(3, "EUR", card(line()), (now,))]


def test_what_falls_due_later_joins_the_open_card() -> None:
    joined = line(2, date(2026, 3, 28))
    found = after([Service("EUR", line(), 7), Service("EUR", joined)], card(line()))
    assert found == [Change(3, "EUR", card(line()), (line(), joined))]


def test_what_falls_due_later_does_not_join_an_overdue_card() -> None:
    overdue, new = card(line(1, date(2026, 2, 28))), line(2, date(2026, 3, 28))
    found = after([Service("EUR", line(1, date(2026, 2, 28)), 7), Service("EUR", new)], overdue)
    assert found == [Change(3, "EUR", None, (new,))]


def test_nothing_joins_a_card_that_is_owed_for_what_it_has_renewed() -> None:
    owed, new = card(trial=True), line(2, date(2026, 3, 28))
    assert after([Service("EUR", new)], owed) == [Change(3, "EUR", None, (new,))]


def test_a_card_whose_last_day_is_today_is_not_overdue() -> None:
    today, new = line(1, DAY), line(2, date(2026, 3, 28))
    assert after([Service("EUR", today, 7), Service("EUR", new)], card(today))[0].lines == (today, new)


def test_a_card_without_services_left_becomes_void() -> None:
    assert after([], card(line())) == [Change(3, "EUR", card(line()), ())]


def test_a_trial_card_becomes_a_real_one_when_the_stream_is_live() -> None:
    trial = card(line(), trial=True)
    assert after([Service("EUR", line(), 7)], trial, live=False) == []
    assert after([Service("EUR", line(), 7)], trial) == [Change(3, "EUR", trial, (line(),))]


@pytest.mark.parametrize(
    ("credit", "total", "paid", "moved"),
    [
        ("0", "24.40", "0", "0"),
        ("10", "24.40", "0", "10"),
        ("30", "24.40", "0", "24.40"),
        ("30", "24.40", "20", "4.40"),
        ("30", "24.40", "24.40", "0"),
        ("0", "24.40", "30", "-5.60"),  # it became cheaper than what was paid of it
        ("-5", "24.40", "0", "0"),  # a payment was taken back after its credit had been used
    ],
)
def test_credit_is_used_first(credit: str, total: str, paid: str, moved: str) -> None:
    assert from_credit(Decimal(credit), Decimal(total), Decimal(paid)) == Decimal(moved)


@pytest.mark.parametrize(
    ("day", "changed", "due"),
    [
        ("2026-03-04", {}, None),
        ("2026-03-05", {}, "2026-03-05"),  # 15 days before 20 March
        ("2026-03-06", {}, "2026-03-05"),  # missed, and made up
        ("2026-03-06", {"reminded_for": date(2026, 3, 5)}, None),
        ("2026-03-13", {"reminded_for": date(2026, 3, 5)}, "2026-03-13"),
        ("2026-03-14", {}, "2026-03-13"),  # of two that were missed only the last is made up
        ("2026-03-19", {"reminded_for": date(2026, 3, 13)}, "2026-03-19"),
        ("2026-03-20", {"reminded_for": date(2026, 3, 19)}, None),
        ("2026-03-10", {"revised_on": date(2026, 3, 6)}, None),  # the 5th is before the customer had the card
        ("2026-03-05", {"revised_on": date(2026, 3, 5)}, None),  # not on the day of the card itself
        ("2026-03-05", {"paid_in_part": True}, None),
        ("2026-03-20", {"paid_in_part": True}, None),
        ("2026-03-21", {"paid_in_part": True}, "2026-03-19"),  # overdue
        ("2026-03-21", {"paid_in_part": True, "reminded_for": date(2026, 3, 19)}, None),
    ],
)
def test_reminders_go_out_on_their_days_once(day: str, changed: dict[str, Any], due: str | None) -> None:
    found = reminder_due(card(line(), **changed), date.fromisoformat(day), (15, 7, 1))
    assert (str(found) if found else None) == due
