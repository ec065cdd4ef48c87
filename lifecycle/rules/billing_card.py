"""Billing cards: which services stand on which card, at what price, and when its customer is reminded.

A card is a pro-forma statement of what renewing costs, not a tax document. Its number never changes; a changed price,
quantity or list of services makes a new revision, and only the last revision is payable.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

from lifecycle.rules.calendar import add_months
from lifecycle.rules.languages import Locale
from lifecycle.rules.money import NOTHING, cents, tax_on


class CardState(StrEnum):
    """``void``: nothing can be paid by it any more."""

    OPEN = "open"
    PAID = "paid"
    VOID = "void"


class CardKind(StrEnum):
    """The mails about a card; the values are the messages' kinds in the outside world."""

    CARD = "billing-card"
    REMINDER = "card-reminder"
    CONFIRMATION = "renewal-confirmed"


NUMBER = re.compile(r"PF-([0-9]{4})-([0-9]{6})")


def number_of(year: int, serial: int) -> str:
    """``PF-2026-000123``: the 123rd card of that year."""
    return f"PF-{year:04}-{serial:06}"


def reference_of(number: str) -> str:
    """The creditor reference (ISO 11649) of the card with this number: ``RF``, two check digits, the number's digits.

    The check digits are those of ISO 7064 MOD 97-10 over the reference followed by ``RF00``, letters as 10 to 35.
    """
    reference = number.replace("-", "")
    digits = "".join(str(int(character, 36)) for character in f"{reference}RF00")
    return f"RF{98 - int(digits) % 97:02}{reference}"


def print_form(reference: str) -> str:
    """In groups of four, as it is printed (ISO 11649, 5.2; IBANs alike)."""
    return " ".join(reference[i : i + 4] for i in range(0, len(reference), 4))


@dataclass(frozen=True, slots=True)
class Period:
    """The term by which a service would be renewed, both days included."""

    starts_on: date
    ends_on: date


def period_after(expires_on: date, anchor: date, months: int, last_start: date) -> Period:
    """The period that follows `expires_on`, of `months` months, however late it is paid.

    Periods follow one another from the anchor, so that month ends do not drift. Where a term was sold that breaks this
    rhythm, they go on from the start of that last term.
    """
    starts_on = expires_on + timedelta(days=1)
    for beginning in (anchor, last_start):
        passed = (starts_on.year - beginning.year) * 12 + starts_on.month - beginning.month
        if passed % months == 0 and add_months(beginning, passed) == starts_on:
            return Period(starts_on, add_months(beginning, passed + months) - timedelta(days=1))
    return Period(starts_on, add_months(starts_on, months) - timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Line:
    """One service on a card: the period it would be renewed for after `expires_on`. Amounts in the card's currency.

    `unit_price` is without VAT, `vat_rate` in percent.
    """

    subscription_id: int
    expires_on: date
    period: Period
    quantity: int
    unit_price: Decimal
    vat_rate: Decimal

    @property
    def net(self) -> Decimal:
        return self.quantity * self.unit_price


@dataclass(frozen=True, slots=True)
class RateTotal:
    """What all lines of one VAT rate add up to."""

    rate: Decimal
    net: Decimal
    vat: Decimal


def rate_totals(lines: Iterable[Line]) -> tuple[RateTotal, ...]:
    """Totals per VAT rate, the lowest rate first; VAT on the sum of the lines, half up to the cent."""
    nets: dict[Decimal, Decimal] = defaultdict(lambda: NOTHING)
    for line in lines:
        nets[line.vat_rate] += line.net
    return tuple(RateTotal(rate, net, tax_on(net, rate)) for rate, net in sorted(nets.items()))


def total_of(lines: Iterable[Line]) -> Decimal:
    """What a card of these lines costs, VAT included."""
    return sum((total.net + total.vat for total in rate_totals(lines)), NOTHING)


def gross_amounts(lines: Sequence[Line]) -> list[Decimal]:
    """Each line's amount with VAT, such that they add up to the total.

    For cards that do not show VAT: rounding line by line would not add up.
    """
    nets: dict[Decimal, Decimal] = defaultdict(lambda: NOTHING)
    amounts = []
    for line in lines:
        rate, before = line.vat_rate, nets[line.vat_rate]
        nets[rate] = before + line.net
        amounts.append(line.net + tax_on(nets[rate], rate) - tax_on(before, rate))
    return amounts


@dataclass(frozen=True, slots=True)
class Service:
    """A service that is due, as it is now, with the line that it calls for. `card` is the open card it stands on."""

    currency: str
    line: Line
    card: int | None = None


@dataclass(frozen=True, slots=True)
class OpenCard:
    """A card that can be paid, as it was last revised.

    `paid` is what was paid of it so far, by credit too; `paid_in_part` says whether the customer paid any of that now.
    Without lines it has renewed its services already, by a payment that was taken back.
    """

    id: int
    currency: str
    trial: bool
    due_on: date
    revised_on: date
    reminded_for: date | None
    paid: Decimal
    paid_in_part: bool
    lines: frozenset[Line]


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one card: a new one (`card` is None), a new revision, or, without lines, a void one."""

    customer_id: int
    currency: str
    card: OpenCard | None
    lines: tuple[Line, ...]

    @property
    def total(self) -> Decimal:
        return total_of(self.lines)

    @property
    def paid(self) -> Decimal:
        return self.card.paid if self.card else NOTHING


def changes(
    customer: int, services: Iterable[Service], cards: Collection[OpenCard], day: date, *, live: bool
) -> list[Change]:
    """What a run for `day` does to a customer's cards, given all its services that are due and its open cards.

    What falls due joins the customer's card in its currency as a new revision, unless that card is overdue: nobody
    shall be cut off from one service for not having paid another. What a card has renewed is owed as it stands: such a
    card is left alone. `live`: a card of the trial time becomes a real one.
    """
    payable = [card for card in cards if card.lines]
    wanted: dict[int, list[Line]] = {card.id: [] for card in payable}
    joining = {card.currency: card for card in sorted(payable, key=lambda card: card.id) if card.due_on >= day}
    fresh: dict[str, list[Line]] = defaultdict(list)
    for service in services:
        host = joining.get(service.currency)
        if service.card is not None:
            wanted[service.card].append(service.line)
        elif host is not None:
            wanted[host.id].append(service.line)
        else:
            fresh[service.currency].append(service.line)
    revised = [
        Change(customer, card.currency, card, _in_order(wanted[card.id]))
        for card in payable
        if frozenset(wanted[card.id]) != card.lines or (card.trial and live)
    ]
    return revised + [Change(customer, currency, None, _in_order(lines)) for currency, lines in sorted(fresh.items())]


def _in_order(lines: Iterable[Line]) -> tuple[Line, ...]:
    return tuple(sorted(lines, key=lambda line: (line.expires_on, line.subscription_id)))


def from_credit(credit: Decimal, total: Decimal, paid: Decimal) -> Decimal:
    """What moves from a customer's credit to a card of `total` of which `paid` is paid; negative: back to credit.

    Credit is used first. A card that has become cheaper than what was paid of it gives the rest back.
    """
    missing = total - paid
    return min(missing, max(credit, NOTHING)) if missing > 0 else missing


def reminder_due(card: OpenCard, day: date, reminder_days: Iterable[int]) -> date | None:
    """The reminder day that a run for `day` must make up: the last one that has passed and was not done; None: none.

    Reminder days are so many days before the first expiry. One on which the customer just had the card, or before, is
    passed over. A card that is paid in part is not reminded of unless it is overdue.
    """
    passed = [card.due_on - timedelta(days=days) for days in reminder_days]
    last = max((due for due in passed if card.revised_on < due <= day), default=None)
    if last is None or (card.reminded_for is not None and card.reminded_for >= last):
        return None
    return None if card.paid_in_part and day <= card.due_on else last


# -- what a card says, for whoever renders it ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Payer:
    """To whom a card is addressed. Empty texts are left out."""

    code: str
    name: str
    street: str
    postcode: str
    city: str
    country: str
    tax_id: str


@dataclass(frozen=True, slots=True)
class Payee:
    """Whom the money goes to. `iban` is without blanks; `bic` may be empty."""

    beneficiary: str
    iban: str
    bic: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A line as it is shown. `reference` ("" for none) is what the customer knows the service by, a domain say.

    `gross` is the line's amount with VAT, shown instead of prices where a card does not show VAT.
    """

    reference: str
    product: str
    code: str
    line: Line
    gross: Decimal


@dataclass(frozen=True, slots=True)
class Card:
    """A billing card as it is shown: one revision of it, in its customer's language.

    `paid` is what was paid already when the revision was made, by credit say: `total` - `paid` is left to pay. `due_on`
    is the first expiry among its lines. A `trial` card is made before the go-live and is nobody's to pay.
    """

    number: str
    revision: int
    issued_on: date
    due_on: date
    trial: bool
    shows_vat: bool
    payer: Payer
    locale: Locale
    currency: str
    items: tuple[Item, ...]
    totals: tuple[RateTotal, ...]
    paid: Decimal

    @property
    def total(self) -> Decimal:
        return sum((each.net + each.vat for each in self.totals), NOTHING)

    @property
    def to_pay(self) -> Decimal:
        return cents(self.total - self.paid)

    @property
    def reference(self) -> str:
        return reference_of(self.number)


@dataclass(frozen=True, slots=True)
class Renewed:
    """A service that a paid card has renewed, for the new period. `reactivated`: it was suspended until then."""

    reference: str
    product: str
    code: str
    starts_on: date
    ends_on: date
    reactivated: bool


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What the customer of a paid card is told: what it has renewed. `total` is the card's, VAT included."""

    number: str
    customer_name: str
    locale: Locale
    currency: str
    total: Decimal
    services: tuple[Renewed, ...]
