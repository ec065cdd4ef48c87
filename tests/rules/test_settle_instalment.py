"""What becomes of an instalment, by how it stands and what is said of it."""

from datetime import date

import pytest

from lifecycle.rules.instalments import InstalmentStatus as It
from lifecycle.rules.instalments import Settlement
from lifecycle.rules.settle_instalment import NotToSettle, Standing, becomes

DUE_ON = date(2026, 3, 1)
BEFORE, AFTER = date(2026, 2, 28), date(2026, 3, 1)  # withdrawal dates before it is due, and not
PAID, RETURNED, REFUNDED = Settlement


@pytest.mark.parametrize(
    ("status", "withdrawn_on", "last", "outcome", "expected"),
    [
        (It.DUE, None, None, PAID, It.PAID),
        (It.SUBMITTED, None, None, PAID, It.PAID),
        (It.DUE, AFTER, None, PAID, It.PAID),  # what is owed after a withdrawal can be paid
        (It.SUBMITTED, None, None, RETURNED, It.DUE),
        (It.PAID, None, PAID, RETURNED, It.DUE),
        (It.SUBMITTED, AFTER, None, RETURNED, It.DUE),  # due on the last day: owed
        (It.SUBMITTED, BEFORE, None, RETURNED, It.CANCELLED),
        (It.TO_BE_REFUNDED, BEFORE, None, RETURNED, It.CANCELLED),
        (It.TO_BE_REFUNDED, BEFORE, PAID, REFUNDED, It.CANCELLED),
        (It.SUBMITTED, None, RETURNED, RETURNED, It.DUE),  # submitted again, and returned again
        (It.PAID, None, PAID, PAID, None),
        (It.DUE, None, RETURNED, RETURNED, None),
        (It.CANCELLED, BEFORE, RETURNED, RETURNED, None),
        (It.CANCELLED, BEFORE, REFUNDED, REFUNDED, None),
    ],
)
def test_what_becomes_of_it(
    status: It, withdrawn_on: date | None, last: Settlement | None, outcome: Settlement, expected: It | None
) -> None:
    assert becomes(Standing(1, DUE_ON, status, withdrawn_on, last), outcome) is expected


@pytest.mark.parametrize(
    ("status", "last", "outcome", "words", "expected"),
    [
        (It.PAID, None, PAID, "is paid", "one that is due or submitted"),  # as it was imported: nobody said so
        (It.PAID, RETURNED, PAID, "is paid", "one that is due or submitted"),
        (It.CANCELLED, None, PAID, "is cancelled", "one that is due or submitted"),
        (It.TO_BE_REFUNDED, PAID, PAID, "is to be refunded", "one that is due or submitted"),
        (It.DUE, None, RETURNED, "is due", "one that is submitted or paid or to be refunded"),
        (It.CANCELLED, REFUNDED, RETURNED, "is cancelled", "one that is submitted or paid or to be refunded"),
        (It.DUE, None, REFUNDED, "is due", "one that is to be refunded"),
        (It.PAID, None, REFUNDED, "is paid", "one that is to be refunded"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(
    status: It, last: Settlement | None, outcome: Settlement, words: str, expected: str
) -> None:
    with pytest.raises(NotToSettle) as error:
        becomes(Standing(1, DUE_ON, status, None, last), outcome)
    assert (str(error.value), error.value.expected) == (words, expected)
