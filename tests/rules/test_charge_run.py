"""Which instalments are charged, and why the others are not."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from lifecycle.rules.charge_run import Charge, Mandate, Reason, collect_on, debits, message_id, reason_against
from lifecycle.rules.subscriptions import ChargeMethod

SEPA, CARD = ChargeMethod.SEPA, ChargeMethod.CARD
DAY = date(2026, 11, 20)
YESTERDAY, TOMORROW = date(2026, 11, 19), date(2026, 11, 21)
MANDATE = Mandate("M1", SEPA, date(2020, 1, 1), None, "Anna", "IT60X0542811101000000123456", None)
A_CARD = Mandate("C1", CARD, None, None, "Anna", "tok_1", None)
CHARGE = Charge(7, "S1", "Gym", DAY, Decimal("12.20"), "EUR", SEPA, 0, is_withdrawn=False, mandate=MANDATE)
BY_CARD = replace(CHARGE, method=CARD, mandate=A_CARD)


@pytest.mark.parametrize(
    ("charge", "changed", "of_mandate", "expected"),
    [
        (CHARGE, {}, {}, None),
        (CHARGE, {"is_withdrawn": True}, {}, Reason.WITHDRAWN),
        (CHARGE, {"mandate": None}, {}, Reason.NO_MANDATE),
        (CHARGE, {"mandate": A_CARD}, {}, Reason.OTHER_KIND),
        (CHARGE, {}, {"ended_on": YESTERDAY}, Reason.ENDED),
        (CHARGE, {}, {"ended_on": DAY}, Reason.ENDED),  # from that day on nothing is charged by it
        (CHARGE, {}, {"ended_on": TOMORROW}, None),
        (CHARGE, {}, {"signed_on": None}, Reason.NOT_SIGNED),
        (CHARGE, {}, {"signed_on": DAY}, None),
        (CHARGE, {}, {"signed_on": TOMORROW}, Reason.NOT_SIGNED),
        (CHARGE, {}, {"account": None}, Reason.NO_ACCOUNT),
        (CHARGE, {"currency": "CHF"}, {}, Reason.NO_EURO),
        (CHARGE, {"amount": Decimal("999999999.99")}, {}, None),
        (CHARGE, {"amount": Decimal("1000000000.00")}, {}, Reason.TOO_MUCH),  # a file's sum would stop all others
        (BY_CARD, {"amount": Decimal("1000000000.00")}, {}, Reason.TOO_MUCH),
        (BY_CARD, {}, {}, None),  # a card is not signed
        (BY_CARD, {"currency": "CHF"}, {}, None),
        (BY_CARD, {"mandate": MANDATE}, {}, Reason.OTHER_KIND),
        (BY_CARD, {}, {"ended_on": DAY}, Reason.ENDED),
        (BY_CARD, {}, {"account": None}, Reason.NO_ACCOUNT),
        (BY_CARD, {"is_withdrawn": True}, {}, Reason.WITHDRAWN),
    ],
)
def test_what_speaks_against_charging(
    charge: Charge, changed: dict[str, Any], of_mandate: dict[str, Any], expected: Reason | None
) -> None:
    if of_mandate and charge.mandate:
        changed = changed | {"mandate": replace(charge.mandate, **of_mandate)}
    charge = replace(charge, **changed)
    assert reason_against(charge, DAY) == expected
    assert len(list(debits([charge], DAY))) == (expected is None)


def test_an_instalment_that_came_back_has_another_id_at_the_bank() -> None:
    assert [replace(CHARGE, returned=times).end_to_end_id for times in range(3)] == ["I7", "I7-2", "I7-3"]


def test_banks_are_told_ahead_payment_providers_are_not() -> None:
    assert collect_on(SEPA, DAY, 2) == date(2026, 11, 24), "a Friday and a weekend"
    assert collect_on(CARD, DAY, 2) == DAY


def test_the_id_of_a_file_is_short_and_in_characters_that_banks_take() -> None:
    made = message_id(SEPA, DAY, UUID(int=2**128 - 1))
    assert made == "SEPA-20261120-FFFFFFFFFFFF"
    assert len(f"{made}") <= 35
