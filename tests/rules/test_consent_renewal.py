"""Who is asked to renew a consent, against what its users would expect."""

from datetime import date

import pytest

from lifecycle.rules.consent_renewal import Left, channel, left
from lifecycle.rules.contact import Consent, ConsentType, ContactChannel, Customer

BULK, SINGLE, CONTACT = ContactChannel
DAY = date(2026, 6, 15)
NEWS = ConsentType("news", 365, frozenset({BULK, SINGLE}))
EVERY = ConsentType("every", None, frozenset({BULK, SINGLE}))
BULKS = ConsentType("bulks", None, frozenset({BULK}))
ALONE = ConsentType("alone", None, frozenset({SINGLE, CONTACT}))
SOON = Consent(1, NEWS, date(2025, 6, 20))  # up to 19 June 2026


def having(*others: Consent, **objections: date) -> Customer:
    return Customer((SOON, *others), {ContactChannel(channel): day for channel, day in objections.items()})


@pytest.mark.parametrize(
    ("customer", "day", "why"),
    [
        (having(), DAY, None),
        (having(), date(2026, 6, 19), None),  # its last day
        (having(), date(2026, 6, 20), Left.LAPSED),
        (having(Consent(2, NEWS, date(2026, 3, 1))), DAY, Left.RENEWED),
        (having(Consent(2, NEWS, date(2024, 3, 1))), DAY, None),  # an older grant of the same
        (having(Consent(2, NEWS, date(2024, 3, 1), date(2026, 1, 1))), DAY, Left.WITHDRAWN),  # that was after it
        (having(Consent(2, NEWS, date(2024, 3, 1), date(2025, 1, 1))), DAY, None),  # and this before
        # another type that allows the same for longer, alone or together
        (having(Consent(2, EVERY, date(2020, 1, 1))), DAY, Left.COVERED),
        (having(Consent(2, BULKS, date(2020, 1, 1))), DAY, None),  # single mails would be lost
        (having(Consent(2, BULKS, date(2020, 1, 1)), Consent(3, ALONE, date(2020, 1, 1))), DAY, Left.COVERED),
        (having(Consent(2, EVERY, date(2020, 1, 1), date(2026, 6, 20))), DAY, None),  # ends on the same day
        (having(Consent(2, EVERY, date(2020, 1, 1), date(2026, 6, 21))), DAY, Left.COVERED),  # a day longer
        # an objection ends what was allowed before it
        (having(Consent(2, EVERY, date(2020, 1, 1)), bulk=date(2021, 1, 1)), DAY, None),
    ],
)  # fmt: skip
def test_nobody_is_asked_who_would_lose_nothing_or_does_not_want_to(
    customer: Customer, day: date, why: Left | None
) -> None:
    assert left(customer, SOON, day) == why


@pytest.mark.parametrize(
    ("withdrawn_on", "why"),
    [(date(2026, 6, 10), Left.WITHDRAWN), (date(2026, 6, 18), Left.WITHDRAWN), (date(2026, 6, 21), None)],
)
def test_a_withdrawal_counts_also_where_it_is_yet_to_come(withdrawn_on: date, why: Left | None) -> None:
    withdrawn = Consent(1, NEWS, date(2025, 6, 20), withdrawn_on)
    assert left(Customer((withdrawn,)), withdrawn, DAY) == why


def test_a_consent_without_an_end_needs_no_renewal() -> None:
    endless = Consent(1, EVERY, DAY)
    assert left(Customer((endless,)), endless, DAY) is Left.ENDLESS


@pytest.mark.parametrize(
    ("allowed", "asked"), [({BULK, SINGLE}, BULK), ({SINGLE, CONTACT}, SINGLE), ({CONTACT}, CONTACT)]
)
def test_it_is_asked_over_a_channel_that_the_consent_allows(
    allowed: set[ContactChannel], asked: ContactChannel
) -> None:
    assert channel(ConsentType("any", 10, frozenset(allowed))) is asked
