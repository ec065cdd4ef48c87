from datetime import date
from decimal import Decimal

import pytest

from lifecycle.rules.open_cards import Age, Debt, OpenCards, SuspendedService, age_of

DAY = date(2026, 12, 31)


def debt(due_on: date, total: str, paid: str = "0", *, currency: str = "EUR", trial: bool = False) -> Debt:
    return Debt("PF", "C", "Name", currency, date(2026, 9, 1), due_on, 1, Decimal(total), Decimal(paid), trial)


@pytest.mark.parametrize(
    ("days", "age"),
    [
        (-30, Age.NOT_DUE),
        (0, Age.NOT_DUE),  # the expiry is the last day on which the service is valid
        (1, Age.WEEK),
        (7, Age.WEEK),
        (8, Age.MONTH),
        (30, Age.MONTH),
        (31, Age.TWO_MONTHS),
        (60, Age.TWO_MONTHS),
        (61, Age.LONGER),
    ],
)
def test_age_of_an_open_card(days: int, age: Age) -> None:
    assert age_of(days) is age


def test_amounts_are_added_by_age_never_over_currencies_and_without_trial_cards() -> None:
    found = OpenCards(
        DAY,
        [
            debt(DAY, "10"),
            debt(date(2026, 12, 24), "20.50", "0.50"),
            debt(date(2026, 12, 30), "5"),
            debt(date(2026, 12, 30), "7", currency="CHF"),
            debt(date(2026, 12, 30), "1000", trial=True),
        ],
        [],
        [],
        [],
    )
    lines = {
        (line.currency, line.age): (line.cards, str(line.total), str(line.paid), str(line.open))
        for line in found.by_age()
    }
    assert len(lines) == 2 * 6
    assert lines["EUR", Age.NOT_DUE] == (1, "10.00", "0.00", "10.00")
    assert lines["EUR", Age.WEEK] == (2, "25.50", "0.50", "25.00")
    assert lines["EUR", Age.LONGER] == (0, "0.00", "0.00", "0.00")
    assert lines["EUR", None] == (3, "35.50", "0.50", "35.00")
    assert lines["CHF", None] == (1, "7.00", "0.00", "7.00")


def test_a_card_on_which_two_suspended_services_stand_is_owed_once() -> None:
    one, two = (
        SuspendedService(code, "", "Hosting", "C", "Name", DAY, "PF-1", "EUR", Decimal(30)) for code in ("S1", "S2")
    )
    alone = SuspendedService("S3", "", "Hosting", "C", "Name", DAY, None, None, None)
    assert OpenCards(DAY, [], [], [one, two, alone], []).sums() == [
        ("cards of suspended services", "EUR", 1, Decimal(30))
    ]
