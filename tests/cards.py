"""Billing cards as tests and benchmarks show them: no database, everything by number."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import cycle, islice
from typing import Any

from lifecycle.rendering.templates import Issuer
from lifecycle.rules.billing_card import (
    Card,
    Item,
    Line,
    Payee,
    Payer,
    gross_amounts,
    number_of,
    period_after,
    rate_totals,
)
from lifecycle.rules.calendar import add_months
from lifecycle.rules.languages import Locale
from lifecycle.rules.money import NOTHING

ISSUER = Issuer("Lifecycle S.r.l.", "Via Roma 1, 33100 Udine", "IT01234567890")
PAYEE = Payee("Lifecycle S.r.l.", "IT60X0542811101000000123456", "BPPIITRRXXX")

PAYERS: dict[Locale, Payer] = {
    "it": Payer(
        "C-0042", "D'Alò & Figli S.n.c.", "Corso Vittorio Emanuele II 118", "10121", "Torino", "IT", "IT09876543210"
    ),
    "el": Payer(
        "C-0043", "Ανθοπωλείο Παπαδόπουλος & Υιοί", "Λεωφ. Κηφισίας 12", "115 23", "Αθήνα", "GR", "EL123456783"
    ),
    "en": Payer("C-0044", "O'Brien & Sons Ltd", "12 Harbour Row", "D01 F5P2", "Dublin", "IE", "IE6388047V"),
}

# Product, months, price and VAT rate.
_PRODUCTS = (
    ("Web hosting Pro", 12, "120.00", "22"),
    ("Dominio .it", 12, "14.90", "22"),
    ("Φιλοξενία ηλεκτρονικού ταχυδρομείου", 12, "36.00", "24"),
    ("E-book library", 1, "9.99", "4"),
    ("Backup, 500 GB", 6, "27.50", "22"),
)


def line(at: int, expires_on: date, months: int, price: str, rate: str) -> Line:
    period = period_after(expires_on, add_months(expires_on, -12) + timedelta(days=1), months, expires_on)
    return Line(at, expires_on, period, 1 + at % 3, Decimal(price), Decimal(rate))


def card(lines: int = 5, locale: Locale = "it", **changes: Any) -> Card:
    """An open card of `lines` services that expire one day after the other; any field of it can be given."""
    first = date(2026, 4, 30)
    products = list(islice(cycle(_PRODUCTS), lines))
    drawn = [
        line(at, first + timedelta(days=at % 28), months, price, rate)
        for at, (_, months, price, rate) in enumerate(products)
    ]
    items = tuple(
        Item(f"sito-{at}.example", product, f"S-{at:04}", each, gross)
        for at, ((product, *_), each, gross) in enumerate(zip(products, drawn, gross_amounts(drawn), strict=True))
    )
    made = Card(
        number=number_of(2026, 123),
        revision=1,
        issued_on=date(2026, 3, 31),
        due_on=first,
        trial=False,
        shows_vat=True,
        payer=PAYERS[locale],
        locale=locale,
        currency="EUR",
        items=items,
        totals=rate_totals(drawn),
        paid=NOTHING,
    )
    return replace(made, **changes)
