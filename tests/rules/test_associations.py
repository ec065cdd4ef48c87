from datetime import date

import pytest

from lifecycle.rules.associations import NotAssociated, Period, change

START, DAY, BEFORE = date(2019, 1, 1), date(2019, 9, 15), date(2019, 9, 14)


def test_a_customer_nobody_looks_after_is_associated() -> None:
    assert change("associate", "R1", DAY, None) == [Period("R1", DAY)]


def test_associating_again_changes_nothing() -> None:
    assert change("associate", "R1", DAY, Period("R1", START)) == []


def test_associating_takes_back_an_end_that_is_yet_to_come() -> None:
    assert change("associate", "R1", DAY, Period("R1", START, date(2019, 9, 30))) == [Period("R1", START)]


def test_a_move_ends_the_other_period_the_day_before() -> None:
    assert change("associate", "R2", DAY, Period("R1", START)) == [Period("R1", START, BEFORE), Period("R2", DAY)]


def test_a_dissociated_customer_is_not_its_resellers_from_that_day_on() -> None:
    [ended] = change("dissociate", "R1", DAY, Period("R1", START))
    assert ended.holds_on(BEFORE)
    assert not ended.holds_on(DAY)


def test_a_dissociated_customer_can_be_associated_again() -> None:
    assert change("associate", "R1", DAY, Period("R1", START, BEFORE)) == [Period("R1", DAY)]


def test_dissociating_again_changes_nothing() -> None:
    assert change("dissociate", "R1", DAY, Period("R1", START, BEFORE)) == []


@pytest.mark.parametrize("latest", [None, Period("R2", START)])
def test_only_its_own_reseller_can_be_dissociated(latest: Period | None) -> None:
    with pytest.raises(NotAssociated, match="R1"):
        change("dissociate", "R1", DAY, latest)
