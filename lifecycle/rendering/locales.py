"""How dates and numbers are written in each language."""

from datetime import date
from decimal import Decimal
from functools import lru_cache

from babel.dates import format_date, format_skeleton
from babel.numbers import format_currency, format_decimal

from lifecycle.rules.languages import Locale

_BABEL = {"it": "it_IT", "el": "el_GR", "en": "en_GB"}

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


@_cached
def month(day: date, locale: Locale) -> str:
    """``settembre 2019``, the month in which `day` lies."""
    return format_skeleton("yMMMM", day, locale=_BABEL[locale])


@_cached
def number(value: int | Decimal, locale: Locale) -> str:
    """``1.234``, with the language's separator of thousands; ``5,5`` without decimals that say nothing."""
    return format_decimal(value, locale=_BABEL[locale])


@_cached
def money(amount: Decimal, currency: str, locale: Locale) -> str:
    """``1.234,50 €``, with the currency where the language puts it."""
    return format_currency(amount, currency, locale=_BABEL[locale])
