"""How dates, numbers and who is erased are written in each language."""

from datetime import date, datetime
from decimal import Decimal
from functools import cache, lru_cache

from babel import Locale as Babel
from babel.dates import format_date, format_skeleton
from babel.numbers import format_currency, format_decimal, get_decimal_symbol, get_group_symbol

from lifecycle.rules.languages import Locale

_BABEL = {"it": "it_IT", "el": "el_GR", "en": "en_GB"}

_UNKNOWN: dict[Locale, str] = {
    "it": "Cliente sconosciuto",
    "el": "Άγνωστος πελάτης",
    "en": "Unknown customer",
}

# Babel takes 12 µs for a date; the reports of one month write the same few hundred dates a hundred thousand times.
_cached = lru_cache(maxsize=4096)


@_cached
def long_day(day: date, locale: Locale) -> str:
    """``30 settembre 2019``: for running text. Italian writes the first of a month as an ordinal."""
    text = format_date(day, "long", _BABEL[locale])
    return text.replace("1", "1º", 1) if locale == "it" and day.day == 1 else text


@_cached
def short_day(day: date, locale: Locale) -> str:
    """``30 set 2019``: for tables. The month is a word, so that nobody takes it for the day."""
    return format_date(day, "medium", _BABEL[locale])


def moment(instant: datetime, locale: Locale) -> str:
    """``22 novembre 2026, 14:03:22 CET``, in the time zone that `instant` is in."""
    return f"{long_day(instant.date(), locale)}, {instant:%H:%M:%S %Z}"


@_cached
def month(day: date, locale: Locale) -> str:
    """``settembre 2019``, the month in which `day` lies."""
    return format_skeleton("yMMMM", day, locale=_BABEL[locale])


@_cached
def number(value: int | Decimal, locale: Locale) -> str:
    """``1.234``, with the language's separator of thousands; ``5,5`` without decimals that say nothing."""
    return format_decimal(value, locale=_BABEL[locale])


def money(amount: Decimal, currency: str, locale: Locale) -> str:
    """``1.234,50 €``, to the cent. As Babel writes it, which takes 35 µs for each."""
    before, after, separators = _around_amounts(currency, locale)
    return f"{'-' if amount < 0 else ''}{before}{f'{abs(amount):,.2f}'.translate(separators)}{after}"


@cache
def _around_amounts(currency: str, locale: Locale) -> tuple[str, str, dict[int, str]]:
    """What stands before and after an amount, and the language's separators in place of Python's.

    A currency without a symbol of its own is parted from the figures, as CLDR has it and Babel has not.
    """
    babel = _BABEL[locale]
    point = get_decimal_symbol(babel)
    before, after = format_currency(0, currency, locale=babel, currency_digits=False).split(f"0{point}00")
    separators = str.maketrans({",": get_group_symbol(babel), ".": point})
    return (f"{before}\xa0" if before[-1:].isalpha() else before), after, separators


@_cached
def percentage(rate: Decimal, locale: Locale) -> str:
    """``5,5%`` of `rate` 5.50."""
    return f"{format_decimal(rate, locale=_BABEL[locale])}%"


@_cached
def country(code: str, locale: Locale) -> str:
    """The name of a country by its code of two letters (ISO 3166); anything else stays as it is."""
    return str(Babel(locale).territories.get(code.upper(), code))


def customer_name(name: str, locale: Locale) -> str:
    """`name`, or in its place ``Cliente sconosciuto``: an erased customer's is empty."""
    return name or _UNKNOWN[locale]
