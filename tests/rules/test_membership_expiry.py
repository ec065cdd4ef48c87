"""Days written out by hand: no arithmetic of the program's is used to say what is expected."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from lifecycle.rules.membership_expiry import Membership, Step, Terms, decide, foreseen, missing_terms
from lifecycle.rules.plans import Decision, Held
from lifecycle.rules.subscriptions import Status

APRIL = date(2026, 4, 30)
"""The last day of the term in most tables."""
MAY = date(2026, 5, 1)


def membership(
    expires_on: date = APRIL,
    *,
    anchor: date = date(2026, 1, 1),
    last_start: date | None = None,
    status: Status = Status.ACTIVE,
    auto_renew: bool = True,
    months: int = 1,
    price: str = "35.00",
    withdrawn_on: date | None = None,
    erased: bool = False,
) -> Membership:
    return Membership(
        id=1,
        code="M1",
        product="GOLD",
        expires_on=expires_on,
        status=status,
        anchor=anchor,
        last_start=last_start or anchor,
        auto_renew=auto_renew,
        period_months=months,
        quantity=2,
        unit_price=Decimal(price),
        vat_rate=Decimal(22),
        currency="EUR",
        withdrawn_on=withdrawn_on,
        erased=erased,
    )


def on(day: date, *, live: bool = True) -> Terms:
    return Terms(day, live)


def after(day: date, days: int = 1) -> date:
    return day + timedelta(days=days)


def terms(subject: Membership, day: date) -> list[tuple[str, str]]:
    return [(str(period.starts_on), str(period.ends_on)) for period in missing_terms(subject, day)]


# Anchor, present expiry, day of the sweep, the terms that are made.
CALENDAR = [
    # Anchor 31 January: the 31st is each month's last day, and comes back after a short one.
    ("2026-01-31", "2026-02-27", "2026-02-27", []),  # its last day
    ("2026-01-31", "2026-02-27", "2026-02-28", [("2026-02-28", "2026-03-30")]),  # the day after
    ("2026-01-31", "2026-02-27", "2026-03-01", [("2026-02-28", "2026-03-30")]),  # one day late
    ("2026-01-31", "2026-03-30", "2026-03-31", [("2026-03-31", "2026-04-29")]),
    ("2026-01-31", "2026-04-29", "2026-04-30", [("2026-04-30", "2026-05-30")]),
    ("2024-01-31", "2024-02-28", "2024-02-29", [("2024-02-29", "2024-03-30")]),  # the product page's example
    ("2024-01-31", "2024-03-30", "2024-03-31", [("2024-03-31", "2024-04-29")]),
    ("2025-12-31", "2026-01-30", "2026-01-31", [("2026-01-31", "2026-02-27")]),  # over the year
    # Downtime of three months: one period after another.
    ("2026-01-31", "2026-02-27", "2026-05-31",
     [("2026-02-28", "2026-03-30"), ("2026-03-31", "2026-04-29"), ("2026-04-30", "2026-05-30"),
      ("2026-05-31", "2026-06-29")]),
    ("2026-01-31", "2026-02-27", "2026-05-30",  # the day before the fourth
     [("2026-02-28", "2026-03-30"), ("2026-03-31", "2026-04-29"), ("2026-04-30", "2026-05-30")]),
    # Anchor 29 February: the 29th, but for February of common years.
    ("2024-02-29", "2024-03-28", "2024-03-29", [("2024-03-29", "2024-04-28")]),
    ("2024-02-29", "2025-01-28", "2025-01-29", [("2025-01-29", "2025-02-27")]),
    ("2024-02-29", "2025-02-27", "2025-02-28", [("2025-02-28", "2025-03-28")]),
    ("2024-02-29", "2028-01-28", "2028-01-29", [("2028-01-29", "2028-02-28")]),
    ("2024-02-29", "2028-02-28", "2028-02-29", [("2028-02-29", "2028-03-28")]),  # a leap day again
    # Anchors of the 30th and of the 1st.
    ("2026-01-30", "2026-02-27", "2026-02-28", [("2026-02-28", "2026-03-29")]),
    ("2026-01-01", "2026-01-31", "2026-02-01", [("2026-02-01", "2026-02-28")]),
    ("2026-01-01", "2026-12-31", "2027-01-01", [("2027-01-01", "2027-01-31")]),
]  # fmt: skip


@pytest.mark.parametrize(("anchor", "expires_on", "day", "expected"), CALENDAR)
def test_terms_follow_one_another_from_the_anchor(
    anchor: str, expires_on: str, day: str, expected: list[tuple[str, str]]
) -> None:
    subject = membership(date.fromisoformat(expires_on), anchor=date.fromisoformat(anchor))
    assert terms(subject, date.fromisoformat(day)) == expected
    assert bool(decide(subject, on(date.fromisoformat(day))).steps) == bool(expected)


def test_a_term_that_breaks_the_rhythm_begins_another() -> None:
    subject = membership(date(2026, 5, 9), anchor=date(2026, 1, 31), last_start=date(2026, 4, 10))
    assert terms(subject, date(2026, 6, 10)) == [("2026-05-10", "2026-06-09"), ("2026-06-10", "2026-07-09")]


def test_what_is_foreseen_is_what_comes() -> None:
    """Day by day: a withdrawal was announced on each of the fourteen days before it, also while a term was missing."""
    subject, announced = membership(withdrawn_on=date(2026, 5, 10)), list[date]()
    for day in (APRIL + timedelta(days=n) for n in range(-20, 12)):
        announced += [on for _, on in foreseen(subject, Terms(day, live=True), 14)]
        for step in decide(subject, on(day)).steps:
            if step is Step.RENEW:
                subject = replace(subject, expires_on=list(missing_terms(subject, day))[-1].ends_on)
            else:
                assert (step, announced) == (Step.WITHDRAW, [day] * 14)
                subject = replace(subject, status=Status.WITHDRAWN)
    assert subject.status is Status.WITHDRAWN


# The withdrawal date, the terms that are made on 1 May, where the term ends on 30 April, and on 15 June.
WITHDRAWN = [
    (None, [("2026-05-01", "2026-05-31")], [("2026-05-01", "2026-05-31"), ("2026-06-01", "2026-06-30")]),
    ("2026-04-30", [], []),  # on the last day of the term
    ("2026-05-01", [("2026-05-01", "2026-05-01")], [("2026-05-01", "2026-05-01")]),  # on the first of the next one
    ("2026-05-15", [("2026-05-01", "2026-05-15")], [("2026-05-01", "2026-05-15")]),  # in its middle: it is cut there
    ("2026-05-30", [("2026-05-01", "2026-05-30")], [("2026-05-01", "2026-05-30")]),
    ("2026-05-31", [("2026-05-01", "2026-05-31")], [("2026-05-01", "2026-05-31")]),  # on its last day
    ("2026-06-01", [("2026-05-01", "2026-05-31")], [("2026-05-01", "2026-05-31"), ("2026-06-01", "2026-06-01")]),
    ("2026-06-30", [("2026-05-01", "2026-05-31")], [("2026-05-01", "2026-05-31"), ("2026-06-01", "2026-06-30")]),
    ("2027-12-31", [("2026-05-01", "2026-05-31")], [("2026-05-01", "2026-05-31"), ("2026-06-01", "2026-06-30")]),
]  # fmt: skip


@pytest.mark.parametrize(("withdrawn_on", "in_time", "late"), WITHDRAWN)
def test_no_term_ends_after_the_withdrawal_date(
    withdrawn_on: str | None, in_time: list[tuple[str, str]], late: list[tuple[str, str]]
) -> None:
    subject = membership(withdrawn_on=date.fromisoformat(withdrawn_on) if withdrawn_on else None)
    assert terms(subject, MAY) == in_time
    assert terms(subject, date(2026, 6, 15)) == late


RENEW, WITHDRAW, END = (Step.RENEW,), (Step.WITHDRAW,), (Step.END,)
YEARLY = membership(months=12, anchor=date(2025, 5, 1))
CUT = membership(withdrawn_on=APRIL)
"""Withdrawn from with its present expiry, be it that its term was cut there."""


@pytest.mark.parametrize(
    ("subject", "day", "steps"),
    [
        # from month to month: its last day, the day after, a month late
        (membership(), APRIL, ()),
        (membership(), MAY, RENEW),
        (membership(), date(2026, 6, 1), RENEW),
        (membership(price="0"), MAY, RENEW),  # free of charge, it is renewed as well
        (membership(status=Status.SUSPENDED), MAY, RENEW),  # of what was a service once
        # what is not renewed has ended: a plan, one that is not to be renewed, one that nobody holds any more
        (YEARLY, APRIL, ()),
        (YEARLY, MAY, END),
        (YEARLY, date(2030, 1, 1), END),
        (membership(auto_renew=False), MAY, END),
        (membership(auto_renew=False, months=12), MAY, END),
        (membership(erased=True), MAY, END),
        # withdrawn from on the last day of a term, the day before, the day after
        (CUT, APRIL, ()),
        (CUT, MAY, WITHDRAW),
        (CUT, date(2030, 1, 1), WITHDRAW),
        (replace(YEARLY, withdrawn_on=APRIL), MAY, WITHDRAW),
        (membership(withdrawn_on=APRIL, erased=True), MAY, WITHDRAW),
        # withdrawn from in the middle of the next term: this one is made first
        (membership(withdrawn_on=date(2026, 5, 15)), APRIL, ()),
        (membership(withdrawn_on=date(2026, 5, 15)), MAY, RENEW),
        (membership(withdrawn_on=date(2026, 5, 15)), date(2026, 5, 15), RENEW),
        (membership(withdrawn_on=date(2026, 5, 15)), date(2026, 5, 16), (Step.RENEW, Step.WITHDRAW)),
        (membership(date(2026, 5, 15), withdrawn_on=date(2026, 5, 15)), date(2026, 5, 15), ()),
        (membership(date(2026, 5, 15), withdrawn_on=date(2026, 5, 15)), date(2026, 5, 16), WITHDRAW),
        # corrected afterwards to end before the withdrawal date: a plan goes no further
        (replace(YEARLY, withdrawn_on=date(2026, 5, 15)), MAY, WITHDRAW),
        # done
        (membership(status=Status.WITHDRAWN, withdrawn_on=APRIL), MAY, ()),
        (membership(status=Status.ENDED), MAY, ()),
    ],
)
def test_what_is_due(subject: Membership, day: date, steps: tuple[Step, ...]) -> None:
    decision = decide(subject, on(day))
    assert (decision.steps, decision.held) == (steps, None)
    over = subject.status in {Status.WITHDRAWN, Status.ENDED} or {Step.WITHDRAW, Step.END}.intersection(steps)
    assert decision.look_on == (None if over else after(max(day, subject.expires_on)))


@pytest.mark.parametrize(
    ("subject", "day", "held"),
    [
        (membership(), date(2027, 4, 30), None),  # twelve months
        (membership(), date(2027, 5, 1), Held.LONG_LAPSED),  # and a day
        (membership(date(2024, 2, 29)), date(2025, 2, 28), None),
        (membership(date(2024, 2, 29)), date(2025, 3, 1), Held.LONG_LAPSED),
        (membership(withdrawn_on=date(2027, 5, 1)), date(2027, 5, 1), Held.LONG_LAPSED),  # on its last day
        (membership(price="999999999999.99"), MAY, Held.TOO_MUCH),  # one such does not stop the others
    ],
)
def test_what_may_be_a_mistake_is_left_to_a_person(subject: Membership, day: date, held: Held | None) -> None:
    expected = Decision((), after(day), held) if held else Decision(RENEW, after(day))
    assert decide(subject, on(day)) == expected


def test_what_was_withdrawn_from_and_lapsed_long_ago_is_listed_and_closed_as_nobody_may_renew_it() -> None:
    subject = membership(withdrawn_on=date(2026, 5, 15))
    assert decide(subject, on(date(2027, 5, 1))) == Decision(WITHDRAW, None, Held.LONG_LAPSED)


@pytest.mark.parametrize(
    "subject", [membership(), CUT, YEARLY, membership(date(2020, 1, 31)), membership(withdrawn_on=date(2026, 5, 15))]
)
def test_before_the_go_live_nothing_is_done_and_all_is_shown(subject: Membership) -> None:
    day = date(2026, 5, 16)
    assert decide(subject, on(day, live=False)) == Decision((), after(day), Held.NOT_LIVE)
    assert decide(subject, on(subject.expires_on, live=False)) == Decision((), after(subject.expires_on))


@pytest.mark.parametrize(
    ("quantity", "price", "rate", "amount"),
    [
        (1, "35.00", "22", "42.70"),
        (3, "9.99", "22", "36.56"),  # 29.97 and 6.5934
        (1, "0.02", "25", "0.03"),  # half up: 0.005
        (2, "35.00", "0", "70.00"),
        (4, "0.00", "22", "0.00"),
    ],
)
def test_an_instalment_is_quantity_and_price_with_vat(quantity: int, price: str, rate: str, amount: str) -> None:
    subject = replace(membership(price=price), quantity=quantity, vat_rate=Decimal(rate))
    assert subject.amount == Decimal(amount)


@pytest.mark.parametrize(
    ("subject", "day", "coming"),
    [
        (membership(), APRIL, []),  # renewed tomorrow: no news
        (CUT, date(2026, 4, 16), []),  # in 15 days
        (CUT, date(2026, 4, 17), [(Step.WITHDRAW, MAY)]),  # in 14
        (CUT, APRIL, [(Step.WITHDRAW, MAY)]),
        (CUT, MAY, []),  # it is in the plan
        (membership(withdrawn_on=date(2026, 5, 10)), APRIL, [(Step.WITHDRAW, date(2026, 5, 11))]),  # renewed before
        (membership(withdrawn_on=date(2026, 5, 10)), date(2026, 5, 20), []),  # in the plan, late
        (replace(YEARLY, withdrawn_on=APRIL), date(2026, 4, 17), [(Step.WITHDRAW, MAY)]),
        (replace(YEARLY, withdrawn_on=date(2026, 5, 10)), APRIL, []),  # in the plan of tomorrow
        (YEARLY, date(2026, 4, 17), []),  # it ends as agreed
        (replace(CUT, status=Status.WITHDRAWN), APRIL, []),
    ],
)
def test_a_withdrawal_that_takes_effect_soon_is_foreseen(
    subject: Membership, day: date, coming: list[tuple[Step, date]]
) -> None:
    assert foreseen(subject, on(day), 14) == coming
