"""Withdrawal from memberships: what is refused, what stays owed, what is removed, what ends with it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.rules.calendar import add_months
from lifecycle.rules.instalments import Instalment, InstalmentStatus, total
from lifecycle.rules.membership_withdrawal import (
    ActionType,
    Effect,
    Known,
    Membership,
    Request,
    Term,
    digest,
    effects,
    wrong,
)
from lifecycle.rules.money import MOST
from lifecycle.rules.subscriptions import ChargeMethod, Policy, Status

DAY = date(2026, 3, 10)
LAST = date(2026, 4, 1)
DUE, SUBMITTED, PAID, CANCELLED, TO_BE_REFUNDED = InstalmentStatus


def instalment(due_on: date, status: InstalmentStatus = DUE, amount: str = "12.20") -> Instalment:
    return Instalment(due_on.toordinal(), due_on, Decimal(amount), status)


PLAN = Membership(
    id=1,
    code="P1",
    customer="C1",
    product="GOLD",
    policy=Policy.MEMBERSHIP,
    charge_method=ChargeMethod.SEPA,
    auto_renew=False,
    period_months=12,
    anchor=date(2026, 1, 1),
    quantity=1,
    unit_price=Decimal(10),
    vat_rate=Decimal(22),
    currency="EUR",
    status=Status.ACTIVE,
    terms=(Term(date(2026, 1, 1), date(2026, 12, 31)),),
    instalments=tuple(instalment(date(2026, month, 1)) for month in range(1, 13)),
    mandate="RUM1",
)
MONTHLY = replace(
    PLAN,
    id=2,
    code="M1",
    auto_renew=True,
    period_months=1,
    terms=tuple(Term(date(2026, month, 1), add_months(date(2026, month, 1), 1) - timedelta(1)) for month in (1, 2, 3)),
    instalments=tuple(instalment(date(2026, month, 1), PAID) for month in (1, 2, 3)),
)

ASKED = Request("C1", ("P1",), "ENDS", LAST, "", "anna", "")
KNOWN = Known(False, (PLAN,), ActionType("withdrawal", in_agenda=False), {"anna"}, before=False)


def of(membership: Membership, on: date, day: date = DAY) -> Effect:
    (one,) = effects([membership], on, day)
    return one


def what_becomes_of(due_on: date, status: InstalmentStatus, on: date = LAST) -> str:
    one = of(replace(PLAN, instalments=(instalment(due_on, status),)), on)
    named = {"owed": one.owed, "collected": one.being_collected, "removed": one.removed, "refund": one.to_be_refunded}
    return " ".join(name for name, those in named.items() if those) or "untouched"


@pytest.mark.parametrize(
    ("due_on", "status", "becomes"),
    [
        (date(2026, 3, 31), DUE, "owed"),  # the day before
        (date(2026, 4, 1), DUE, "owed"),  # the day: the 1st, with an instalment on the 1st, which stays
        (date(2026, 4, 2), DUE, "removed"),  # the day after
        (date(2026, 3, 31), SUBMITTED, "collected"),  # on its way, and it was owed
        (date(2026, 4, 1), SUBMITTED, "collected"),
        (date(2026, 4, 2), SUBMITTED, "refund"),  # cannot be recalled
        (date(2026, 3, 31), PAID, "untouched"),
        (date(2026, 4, 1), PAID, "untouched"),
        (date(2026, 4, 2), PAID, "refund"),  # paid ahead
        (date(2026, 4, 1), CANCELLED, "untouched"),
        (date(2026, 4, 2), CANCELLED, "untouched"),
        (date(2026, 4, 1), TO_BE_REFUNDED, "untouched"),
        (date(2026, 4, 2), TO_BE_REFUNDED, "untouched"),  # is so already
    ],
)
def test_an_instalment_stays_up_to_the_last_day(due_on: date, status: InstalmentStatus, becomes: str) -> None:
    assert what_becomes_of(due_on, status) == becomes


@pytest.mark.parametrize("on", [date(2026, 2, 28), date(2028, 2, 29), date(2026, 12, 31)])
def test_the_days_around_a_months_end_are_no_different(on: date) -> None:
    assert [what_becomes_of(on + timedelta(days), DUE, on) for days in (-1, 0, 1)] == ["owed", "owed", "removed"]


@pytest.mark.parametrize(
    ("membership", "on", "cut"),
    [
        # The current term ends on the day.
        (PLAN, LAST, [(date(2026, 1, 1), LAST)]),
        # On its last day it would end anyway.
        (PLAN, date(2026, 12, 31), []),
        (PLAN, date(2026, 12, 30), [(date(2026, 1, 1), date(2026, 12, 30))]),
        # On its first day: one day is left of it.
        (PLAN, date(2026, 1, 1), [(date(2026, 1, 1), date(2026, 1, 1))]),
        # A term ahead, sold by then, never comes into force.
        (
            replace(PLAN, terms=(*PLAN.terms, Term(date(2027, 1, 1), date(2027, 12, 31)))),
            LAST,
            [(date(2026, 1, 1), LAST), (date(2027, 1, 1), LAST)],
        ),
        # Dated back over two months that were renewed since.
        (
            MONTHLY,
            date(2026, 1, 20),
            [(date(2026, month, 1), date(2026, 1, 20)) for month in (1, 2, 3)],
        ),
        # On the last day of a term: that one is as it was, the next one is not.
        (MONTHLY, date(2026, 2, 28), [(date(2026, 3, 1), date(2026, 2, 28))]),
        # Far ahead: it is renewed until then.
        (MONTHLY, date(2026, 9, 15), []),
        # A term that never came into force is not cut once more by a later day.
        (replace(PLAN, terms=(*PLAN.terms, Term(date(2027, 1, 1), date(2026, 3, 1)))), date(2026, 12, 31), []),
    ],
)
def test_terms_end_on_the_last_day(membership: Membership, on: date, cut: Sequence[tuple[date, date]]) -> None:
    assert [(term.starts_on, term.expires_on) for term in of(membership, on).cut] == cut


@pytest.mark.parametrize(
    ("membership", "on", "day", "to_come"),
    [
        (MONTHLY, date(2026, 3, 31), DAY, []),  # its last day as it is
        (MONTHLY, date(2026, 3, 30), DAY, []),
        (MONTHLY, date(2026, 4, 1), DAY, ["2026-04-01"]),  # for one day: a whole month, as a sweep charges it
        (MONTHLY, date(2026, 5, 31), DAY, ["2026-04-01", "2026-05-01"]),
        (MONTHLY, date(2026, 5, 15), date(2026, 6, 10), ["2026-04-01", "2026-05-01"]),  # sweeps were missed
        # One that is there already, from an import, is the one, whatever became of it.
        (
            replace(MONTHLY, instalments=(instalment(date(2026, 4, 1), CANCELLED),)),
            date(2026, 5, 31),
            DAY,
            ["2026-05-01"],
        ),
        (replace(MONTHLY, unit_price=Decimal(0)), date(2026, 5, 31), DAY, []),
        (replace(MONTHLY, unit_price=MOST), date(2026, 5, 31), DAY, []),  # no sweep renews it
        (replace(MONTHLY, auto_renew=False), date(2026, 5, 31), DAY, []),
        # Twelve months are made up, and not a day more: such a one is closed without.
        (MONTHLY, date(2026, 4, 30), date(2027, 3, 31), ["2026-04-01"]),
        (MONTHLY, date(2026, 4, 30), date(2027, 4, 1), []),
        (PLAN, LAST, DAY, []),
    ],
)
def test_what_a_sweep_makes_due_up_to_the_last_day_is_owed_too(
    membership: Membership, on: date, day: date, to_come: list[str]
) -> None:
    found = of(membership, on, day).to_come
    assert [str(it.due_on) for it in found] == to_come
    assert {str(it.amount) for it in found} <= {"12.20"}


@pytest.mark.parametrize(
    ("shared_with", "together", "ends"),
    [
        ((), "P1", True),  # nobody else uses it
        (("L7",), "P1", False),  # a contract that goes on does
        (("M1",), "P1", False),
        (("M1",), "P1 M1", True),  # it is withdrawn from along with it
        (("L7", "M1"), "P1 M1", False),
    ],
)
def test_a_mandate_ends_unless_a_contract_that_goes_on_uses_it(
    shared_with: tuple[str, ...], together: str, ends: bool
) -> None:
    those = [
        replace(PLAN, code=code, shared_with=tuple(c for c in shared_with if c != code)) for code in together.split()
    ]
    assert effects(those, LAST, DAY)[0].mandate == ("RUM1" if ends else None)


REFUSED = [
    (
        replace(PLAN, charge_method=ChargeMethod.TRANSFER),
        LAST,
        ["P1 is paid by transfer; expected one charged by SEPA direct debit or card"],
    ),
    (replace(PLAN, policy=Policy.LICENCE), LAST, ["P1 has the policy licence; expected a membership"]),
    (replace(PLAN, policy=Policy.SERVICE), LAST, ["P1 has the policy service; expected a membership"]),
    (replace(PLAN, policy=Policy.CUSTOM), LAST, ["P1 has the policy custom; expected a membership"]),
    (
        PLAN,
        date(2025, 12, 31),
        ["P1 starts on 2026-01-01, after the withdrawal date; expected its first day or a later one"],
    ),
    (
        PLAN,
        date(2027, 1, 1),
        ["P1 ends on 2026-12-31, before the withdrawal date; expected its last day or an earlier one"],
    ),
    (
        replace(PLAN, instalments=()),
        LAST,
        ["P1 is neither paid in instalments nor renewed from month to month; expected one that is"],
    ),
    (
        replace(PLAN, auto_renew=True, instalments=()),  # from year to year
        LAST,
        ["P1 is neither paid in instalments nor renewed from month to month; expected one that is"],
    ),
    (replace(PLAN, customer="C2"), LAST, ["P1 is another customer's; expected one of C1"]),
    (
        replace(PLAN, customer="C2", policy=Policy.LICENCE, charge_method=ChargeMethod.TRANSFER),
        LAST,
        ["P1 is another customer's; expected one of C1"],
    ),
    (
        replace(PLAN, withdrawn_on=date(2026, 3, 31)),
        LAST,
        ["P1 is withdrawn from already, its last day is 2026-03-31; expected one that is not"],
    ),
    (
        replace(PLAN, status=Status.ENDED, terms=(Term(date(2025, 1, 1), date(2025, 12, 31)),)),
        date(2025, 6, 1),
        ["P1 has ended on 2025-12-31; expected one that has not"],
    ),
    # All reasons of one.
    (
        replace(PLAN, charge_method=ChargeMethod.TRANSFER, instalments=()),
        date(2025, 12, 31),
        [
            "P1 is neither paid in instalments nor renewed from month to month; expected one that is",
            "P1 is paid by transfer; expected one charged by SEPA direct debit or card",
            "P1 starts on 2026-01-01, after the withdrawal date; expected its first day or a later one",
        ],
    ),
]


@pytest.mark.parametrize(("membership", "on", "why"), REFUSED)
def test_what_cannot_be_withdrawn_from_is_refused_with_the_reason(
    membership: Membership, on: date, why: list[str]
) -> None:
    found = wrong(replace(ASKED, on=on), replace(KNOWN, memberships=(membership,)))
    assert [f"{finding.problem}; expected {finding.expected}" for finding in found] == why


@pytest.mark.parametrize(
    "membership",
    [
        PLAN,
        MONTHLY,
        replace(PLAN, charge_method=ChargeMethod.CARD),
        replace(MONTHLY, instalments=()),
        replace(MONTHLY, terms=MONTHLY.terms[:1]),  # expired, not renewed yet: until the day it is
        replace(PLAN, terms=(Term(LAST, date(2027, 3, 31)),)),  # on its first day
        replace(PLAN, terms=(Term(date(2025, 4, 2), LAST),)),  # on its last day
        replace(PLAN, mandate=None),
    ],
)
def test_memberships_by_instalments_or_by_the_month_that_are_charged_can_be_withdrawn_from(
    membership: Membership,
) -> None:
    known = replace(KNOWN, memberships=(membership,))
    assert not wrong(replace(ASKED, memberships=(membership.code,)), known)


@pytest.mark.parametrize(
    ("asked", "known", "where", "problem", "expected"),
    [
        ({}, {"erased": None}, "customer", "'C1' is no customer's code", "a code"),
        ({}, {"erased": True}, "customer", "'C1' was erased", "one that was not"),
        ({"operator": "otto"}, {}, "operator", "'otto' is no operator", "the code of one in operators.csv"),
        ({"operator": ""}, {}, "operator", "'' is no operator", "the code of one in operators.csv"),
        (
            {"assigned_to": "otto"},
            {"action_type": ActionType("withdrawal", in_agenda=True)},
            "assigned_to",
            "'otto' is no operator",
            "the code of one in operators.csv",
        ),
        (
            {"assigned_to": "anna"},
            {},
            "assigned_to",
            "'ENDS' stands in no agenda",
            "nobody, or an action type that does",
        ),
        (
            {},
            {"action_type": None},
            "action_type",
            "'ENDS' is no action type",
            "the code of one in action_types.csv",
        ),
        (
            {},
            {"action_type": ActionType("call", in_agenda=False)},
            "action_type",
            "'ENDS' is of the base type 'call'",
            "one of the base type 'withdrawal'",
        ),
        ({"memberships": ()}, {"memberships": ()}, "memberships", "is empty", "the codes of those withdrawn from"),
        ({"memberships": ("P1", "P1")}, {}, "memberships", "'P1' is given 2 times", "each once"),
        ({"memberships": ("P1", "P9")}, {}, "memberships", "'P9' is no subscription's code", "a code"),
        ({"note": "x" * 2_001}, {}, "notes", "is too long", "at most 2000 characters"),
        (
            {"note": "Paula\0"},
            {},
            "notes",
            "has the character U+0000",
            "text in UTF-8 without control characters",
        ),
    ],
)
def test_what_is_wrong_has_its_own_words(
    asked: dict[str, object], known: dict[str, object], where: str, problem: str, expected: str
) -> None:
    (found,) = wrong(replace(ASKED, **asked), replace(KNOWN, **known))  # type: ignore[arg-type]
    assert (found.where, found.problem, found.expected) == (where, problem, expected)


@pytest.mark.parametrize("on", [date(1899, 12, 31), date(3000, 1, 1)])
def test_a_day_that_is_a_typing_error_is_refused(on: date) -> None:
    found = wrong(replace(ASKED, on=on, memberships=("M1",)), replace(KNOWN, memberships=(MONTHLY,)))
    assert (found[0].where, found[0].problem) == ("withdrawal_date", f"{on} is not such a day")


def test_everything_wrong_is_found_at_once() -> None:
    asked = Request("C1", ("P1", "P1", "P9"), "ENDS", date(2027, 1, 1), "\0", "otto", "emma")
    found = wrong(asked, replace(KNOWN, action_type=ActionType("call", in_agenda=False)))
    assert sorted(finding.where for finding in found) == [
        "action_type", "assigned_to", "assigned_to", "memberships", "memberships", "memberships", "notes", "operator",
    ]  # fmt: skip


def test_done_exactly_so_before_nothing_is_in_the_way_of_the_memberships() -> None:
    done = replace(PLAN, withdrawn_on=LAST, status=Status.WITHDRAWN)
    assert not wrong(ASKED, replace(KNOWN, memberships=(done,), before=True))
    assert wrong(replace(ASKED, operator="otto"), replace(KNOWN, memberships=(done,), before=True))


def test_the_digest_stands_for_what_is_asked_for_and_what_it_does() -> None:
    def shown(request: Request = ASKED, *memberships: Membership) -> str:
        return digest(request, effects(memberships or (PLAN,), request.on, DAY))

    paid = tuple(replace(it, status=PAID) if it.due_on.month == 2 else it for it in PLAN.instalments)
    others = [
        shown(replace(ASKED, on=date(2026, 4, 2))),
        shown(replace(ASKED, note="moves")),
        shown(replace(ASKED, operator="berta")),
        shown(replace(ASKED, action_type="QUIET")),
        shown(replace(ASKED, assigned_to="anna")),
        shown(ASKED, replace(PLAN, instalments=paid)),
        shown(ASKED, replace(PLAN, instalments=PLAN.instalments[:-1])),
        shown(ASKED, replace(PLAN, shared_with=("L7",))),
        shown(ASKED, replace(PLAN, terms=(*PLAN.terms, Term(date(2027, 1, 1), date(2027, 12, 31))))),
        shown(ASKED, PLAN, MONTHLY),
        shown(ASKED, PLAN, replace(MONTHLY, unit_price=Decimal(11))),  # and is renewed at another price
    ]
    assert len({shown(), *others}) == len(others) + 1
    assert all(len(one) == 16 for one in others)


def test_the_order_in_which_memberships_are_named_is_of_no_account() -> None:
    both, turned = replace(ASKED, memberships=("P1", "M1")), replace(ASKED, memberships=("M1", "P1"))
    assert digest(both, effects((PLAN, MONTHLY), LAST, DAY)) == digest(turned, effects((MONTHLY, PLAN), LAST, DAY))


days = st.dates(date(2026, 1, 1), date(2027, 12, 31))
plans = st.lists(
    st.builds(
        instalment,
        days,
        st.sampled_from(InstalmentStatus),
        st.decimals(Decimal("0.01"), 999, places=2).map(str),
    ),
    max_size=30,
    unique_by=lambda it: it.due_on,
)


@given(plans, days)
def test_nothing_is_lost_and_nothing_later_stays_due(plan: list[Instalment], on: date) -> None:
    one = of(replace(PLAN, instalments=tuple(plan)), on)
    changed = (*one.removed, *one.to_be_refunded)
    touched = {*one.owed, *changed}
    untouched = [it for it in plan if it not in touched]
    assert len(touched) == len(one.owed) + len(changed)
    assert total(one.owed) + total(changed) + total(untouched) == total(plan)
    assert all(it.due_on > on for it in changed)
    assert {it for it in plan if it.due_on > on and it.status is DUE} == set(one.removed)
    assert {it for it in plan if it.due_on <= on and it.status is DUE} == set(one.owed)
