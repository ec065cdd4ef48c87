"""The mails about a billing card, in its customer's language: the card itself, reminders, what its payment renewed."""

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from lifecycle.rendering.locales import long_day, money, number, short_day
from lifecycle.rendering.templates import Content, Issuer, render
from lifecycle.rules.billing_card import Card, Confirmation, Item, Payee, Renewed, print_form

SHOWN = 200
"""Services in the mail itself; the card's PDF has them all. That many make a page of about 60 kB, and some large
mailbox providers cut what is longer than 100."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line with its dates and amounts written out. Without VAT, `unit_price` and `vat_rate` are ""."""

    item: Item
    expires_on: str
    starts_on: str
    ends_on: str
    quantity: str
    unit_price: str
    vat_rate: str
    amount: str


@dataclass(frozen=True, slots=True)
class _RateTotal:
    rate: str
    net: str
    vat: str


@dataclass(frozen=True, slots=True)
class _Renewed:
    item: Renewed
    starts_on: str
    ends_on: str


def card(card: Card, payee: Payee, issuer: Issuer) -> Content:
    """The mail that brings a card, with the facts of the PDF that is attached to it."""
    locale, currency = card.locale, card.currency
    return render(
        "billing_card",
        locale,
        **_common(card, payee, issuer),
        revision=card.revision,
        issued_on=long_day(card.issued_on, locale),
        rates=[_rate_total(card, total.rate, total.net, total.vat) for total in card.totals] if card.shows_vat else [],
        paid=money(-card.paid, currency, locale) if card.paid else "",
        to_pay=money(card.to_pay, currency, locale) if card.to_pay else "",
    )


def reminder(card: Card, paid: Decimal, day: date, payee: Payee, issuer: Issuer) -> Content:
    """The mail that says on `day` that the card is still to be paid. `paid` is all that was paid so far; what was
    paid before the card was made or revised stands apart from what came since.

    It says what happens to what is not paid, and never after how many days, which a late run would get wrong.
    """
    locale, currency = card.locale, card.currency
    before = min(card.paid, paid)
    return render(
        "card_reminder",
        locale,
        **_common(card, payee, issuer),
        overdue=day > card.due_on,
        days_left=(card.due_on - day).days,
        paid=money(-before, currency, locale) if before else "",
        received=money(before - paid, currency, locale) if paid > before else "",
        to_pay=money(card.total - paid, currency, locale),
    )


def confirmation(done: Confirmation, issuer: Issuer) -> Content:
    """The mail that says that a card is paid, and to which expiry each of its services is renewed."""
    shown = done.services[:SHOWN]
    more = len(done.services) - len(shown)
    return render(
        "renewal_confirmed",
        done.locale,
        customer_name=done.customer_name,
        number=done.number,
        total=money(done.total, done.currency, done.locale),
        lines=[_Renewed(it, short_day(it.starts_on, done.locale), short_day(it.ends_on, done.locale)) for it in shown],
        more=number(more, done.locale) if more else "",
        reactivated=any(service.reactivated for service in done.services),
        issuer=issuer,
    )


def _common(card: Card, payee: Payee, issuer: Issuer) -> dict[str, object]:
    more = len(card.items) - SHOWN
    return {
        "customer_name": card.payer.name,
        "number": card.number,
        "due_on": long_day(card.due_on, card.locale),
        "lines": [_line(card, item) for item in card.items[:SHOWN]],
        "more": number(more, card.locale) if more > 0 else "",
        "total": money(card.total, card.currency, card.locale),
        "payee": replace(payee, iban=print_form(payee.iban)),
        "remittance": print_form(card.reference),
        "issuer": issuer,
    }


def _line(card: Card, item: Item) -> _Line:
    line, currency, locale = item.line, card.currency, card.locale
    return _Line(
        item,
        short_day(line.expires_on, locale),
        short_day(line.period.starts_on, locale),
        short_day(line.period.ends_on, locale),
        number(line.quantity, locale),
        money(line.unit_price, currency, locale) if card.shows_vat else "",
        _percent(line.vat_rate, card) if card.shows_vat else "",
        money(line.net if card.shows_vat else item.gross, currency, locale),
    )


def _rate_total(card: Card, rate: Decimal, net: Decimal, vat: Decimal) -> _RateTotal:
    return _RateTotal(
        _percent(rate, card), money(net, card.currency, card.locale), money(vat, card.currency, card.locale)
    )


def _percent(rate: Decimal, card: Card) -> str:
    return f"{number(rate, card.locale)}%"
