"""Memberships of the sample's customers, and by what they are charged: for the demo and for tests, the same always.

At the end of August 2019 there are plans of a year that are paid in twelve instalments, some of them paid, one with the
bank, the others due; and memberships from month to month, one of which falls due on most days of September. Accounts
are made up, and their check digits are right.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from stdnum import iban

from deployments import sample
from deployments.sample import Row, write
from lifecycle.rules.calendar import add_months
from lifecycle.rules.instalments import InstalmentStatus, amount_of

LEAVES = "C0021"
"""A customer with a plan, Y0021, and a membership from month to month, B0021, who both charge one account."""

LEFT = "left"
"""A type of CRM action: a withdrawal, in nobody's agenda."""

LEFT_CALL = "left-call"
"""A type of CRM action: a withdrawal, which can be assigned to a consultant."""

_ACTION_TYPES = (
    (LEFT, "Withdrawal in writing", "withdrawal", "false"),
    (LEFT_CALL, "Withdrawal, to be called back", "withdrawal", "true"),
    ("complaint", "Complaint by telephone", "complaint", "true"),
)

_YEAR, _CLUB, _GOLD = "MEM-YEAR", "MEM-CLUB", "MEM-GOLD"
_PRODUCTS = (
    (_YEAR, "Tessera annuale", "membership", 12, "360.00", "EUR", "22"),
    (_CLUB, "Bibliothèque Club", "membership", 1, "25.00", "EUR", "22"),
)
_VAT = Decimal(22)
_PART_OF_YEAR, _CLUB_MONTH, _GOLD_MONTH = Decimal("30.00"), Decimal("25.00"), "35.00"

# By customer, the first day; some on days that not every month has.
_PLANS = {
    21: date(2019, 1, 31),
    32: date(2018, 10, 15),  # ends in October
    43: date(2019, 3, 1),
    61: date(2019, 8, 29),
    102: date(2018, 12, 31),
    203: date(2019, 6, 15),
}
_CLUBS = {21: date(2019, 8, 31), 43: date(2019, 8, 9), 112: date(2019, 8, 30), 133: date(2019, 8, 20)}
_BY_CARD = {102, 112}
_OF_ANOTHER = {203: "Condominio di Via Garibaldi 12"}

_PAID_BEFORE, _SUBMITTED_BEFORE = date(2019, 8, 1), date(2019, 9, 1)

_ACCOUNTS = (
    ("IT", "X0542811101{:012}", "BLOPIT22"),
    ("GR", "0110125{:016}", ""),
    ("GB", "NWBK601613{:08}", "NWBKGB2L"),
)


@dataclass(frozen=True, slots=True)
class _Member:
    """A membership of the sample: `row` is that of its subscription, `amount` that of an instalment."""

    number: int
    row: Row
    starts_on: date
    instalments: int
    amount: Decimal

    @property
    def code(self) -> str:
        return str(self.row[0])

    @property
    def mandate(self) -> str:
        return f"{'CARD' if self.number in _BY_CARD else 'UMR'}-{self.number:04}"


def write_memberships(folder: Path) -> None:
    """Write products, mandates, subscriptions, instalments and types of CRM actions into `folder`, which is made.

    To be imported after the sample business, whose members get the mandates that they are charged by.
    """
    folder.mkdir(parents=True, exist_ok=True)
    members = [*_sold(), *_gold()]
    write(folder, "action_types", _ACTION_TYPES)
    write(folder, "products", _PRODUCTS)
    write(folder, "mandates", map(_mandate, sorted({member.number for member in members})))
    write(folder, "subscriptions", ((*member.row, member.mandate) for member in members), "mandate")
    write(folder, "instalments", (row for member in members for row in _instalments(member)))


def _sold() -> Iterator[_Member]:
    for number, starts_on in _PLANS.items():
        yield _Member(number, _subscription("Y", number, _YEAR, starts_on, 12), starts_on, 12, _amount(_PART_OF_YEAR))
    for number, starts_on in _CLUBS.items():
        yield _Member(number, _subscription("B", number, _CLUB, starts_on, 1), starts_on, 1, _amount(_CLUB_MONTH))


def _gold() -> Iterator[_Member]:
    """The sample business has them: the same rows again, with a mandate."""
    for row in sample.held(_GOLD):
        _, customer, _, starts_on, _, _, quantity, unit_price, *_ = map(str, row)
        amount = _amount(Decimal(unit_price or _GOLD_MONTH), int(quantity))
        yield _Member(int(customer[1:]), row, date.fromisoformat(starts_on), 1, amount)


def _amount(unit_price: Decimal, quantity: int = 1) -> Decimal:
    return amount_of(quantity, unit_price, _VAT)


def _subscription(letter: str, number: int, product: str, starts_on: date, months: int) -> Row:
    return (
        f"{letter}{number:04}",
        f"C{number:04}",
        product,
        starts_on,
        add_months(starts_on, months) - timedelta(days=1),
        "",
        1,
        "",
        "true" if months == 1 else "false",
        "card" if number in _BY_CARD else "sepa",
        f"{starts_on - timedelta(days=7)}T10:00:00",
    )


def _mandate(number: int) -> Row:
    code = f"C{number:04}"
    signed_on = date(2018, 9, 1) + timedelta(days=number % 30)
    if number in _BY_CARD:
        return f"CARD-{number:04}", code, "card", "", "", "", f"tok_sample_{number:04}", signed_on
    country, account, bic = _ACCOUNTS[number % len(_ACCOUNTS)]
    basic = account.format(number * 7919)
    electronic = f"{country}{iban.calc_check_digits(f'{country}00{basic}')}{basic}"
    return f"UMR-{number:04}", code, "sepa", _OF_ANOTHER.get(number, ""), electronic, bic, "", signed_on


def _instalments(member: _Member) -> Iterator[Row]:
    for month in range(member.instalments):
        due_on = add_months(member.starts_on, month)
        yield member.code, due_on, member.amount, _status(due_on)


def _status(due_on: date) -> InstalmentStatus:
    if due_on < _PAID_BEFORE:
        return InstalmentStatus.PAID
    return InstalmentStatus.SUBMITTED if due_on < _SUBMITTED_BEFORE else InstalmentStatus.DUE
