"""Dates, amounts, countries and unknown customers as each language writes them."""

from decimal import Decimal

import pytest
from babel.numbers import format_currency
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.rendering.locales import country, customer_name, money, percentage
from lifecycle.rules.languages import LOCALES, Locale


@given(st.decimals(-(10**10), 10**10, places=2), st.sampled_from(["EUR", "USD", "GBP"]), st.sampled_from(LOCALES))
def test_amounts_are_written_as_babel_writes_them(amount: Decimal, currency: str, locale: Locale) -> None:
    babel = {"it": "it_IT", "el": "el_GR", "en": "en_GB"}[locale]
    if amount:  # Babel writes -0
        assert money(amount, currency, locale) == format_currency(amount, currency, locale=babel)


@pytest.mark.parametrize(
    ("locale", "written"),
    [
        ("it", ["1.234,50\xa0CHF", "22%", "5,5%", "Grecia"]),
        ("el", ["1.234,50\xa0CHF", "22%", "5,5%", "Ελλάδα"]),
        ("en", ["CHF\xa01,234.50", "22%", "5.5%", "Greece"]),
    ],
)
def test_each_language_has_its_signs(locale: Locale, written: list[str]) -> None:
    assert [
        money(Decimal("1234.5"), "CHF", locale),
        percentage(Decimal("22.00"), locale),
        percentage(Decimal("5.50"), locale),
        country("GR", locale),
    ] == written
    assert country("Hellas", locale) == "Hellas"


@pytest.mark.parametrize(
    ("locale", "written"), [("it", "Cliente sconosciuto"), ("el", "Άγνωστος πελάτης"), ("en", "Unknown customer")]
)
def test_who_has_no_name_any_more_is_an_unknown_customer(locale: Locale, written: str) -> None:
    assert customer_name("", locale) == written
    assert customer_name("Rossi S.r.l.", locale) == "Rossi S.r.l."
