"""The withdrawal from memberships, as the customer's CRM history tells it."""

from datetime import date

from lifecycle.rendering.locales import long_day
from lifecycle.rules.languages import Locale

# The day stands behind a colon: so its form never has to follow from what is before it.
_NOTE: dict[Locale, str] = {
    "it": "Recesso, ultimo giorno di validità: {day}",
    "el": "Διακοπή συνδρομής, τελευταία ημέρα ισχύος: {day}",
    "en": "Withdrawal, last day of validity: {day}",
}


def automatic_note(on: date, locale: Locale) -> str:
    """What the history says where the operator wrote nothing. `on`: the last day of validity."""
    return _NOTE[locale].format(day=long_day(on, locale))
