from datetime import date

import pytest

from lifecycle.rules.renewals import NotLater, next_term

MARCH = date(2019, 3, 31)


def test_the_new_term_starts_the_day_after_the_expiry_however_late() -> None:
    assert next_term(MARCH, date(2020, 3, 31)) == (date(2019, 4, 1), date(2020, 3, 31))
    assert next_term(date(2020, 2, 28), date(2020, 2, 29)) == (date(2020, 2, 29), date(2020, 2, 29))  # for a day


def test_the_same_renewal_again_is_none() -> None:
    assert next_term(MARCH, MARCH) is None


def test_an_earlier_expiry_is_refused() -> None:
    with pytest.raises(NotLater, match="2019-03-30 is before the present expiry 2019-03-31"):
        next_term(MARCH, date(2019, 3, 30))
