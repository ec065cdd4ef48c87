"""The acknowledgement of a withdrawal as a mail, in the customer's language."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from lifecycle.rendering.locales import long_day, moment, money, short_day
from lifecycle.rendering.templates import Content, Issuer, render
from lifecycle.rules.billing_card import print_form
from lifecycle.rules.instalments import total
from lifecycle.rules.withdrawal_acknowledgement import Acknowledgement, Withdrawn


@dataclass(frozen=True, slots=True)
class _Instalment:
    due_on: str
    amount: str


@dataclass(frozen=True, slots=True)
class _Line:
    item: Withdrawn
    owed: list[_Instalment]


def content(withdrawal: Acknowledgement, issuer: Issuer) -> Content:
    """The mail. It is evidence: it repeats whose withdrawal of what it is, and when it was submitted."""
    locale, payee = withdrawal.locale, withdrawal.payee

    def sums(amount: Callable[[Withdrawn], Decimal]) -> str:
        return " + ".join(money(*each, locale) for each in withdrawal.sums(amount))

    return render(
        "withdrawal_acknowledged",
        locale,
        number=withdrawal.number,
        submitted_at=moment(withdrawal.submitted_at, locale),
        customer=withdrawal.customer,
        customer_name=withdrawal.customer_name,
        last_day=long_day(withdrawal.last_day, locale),
        lines=[_line(membership, withdrawal) for membership in withdrawal.memberships],
        going_on=", ".join(membership.code for membership in withdrawal.memberships if membership.goes_on),
        owed=sums(lambda it: total(it.owed)),
        in_collection=sums(lambda it: it.in_collection),
        removed=sums(lambda it: it.removed),
        to_be_refunded=sums(lambda it: it.to_be_refunded),
        mandates=withdrawal.mandates,
        payee=payee and replace(payee, iban=print_form(payee.iban)),
        remittance=f"{withdrawal.number} {withdrawal.customer}",
        contact=withdrawal.contact,
        issuer=issuer,
    )


def _line(membership: Withdrawn, withdrawal: Acknowledgement) -> _Line:
    locale, currency = withdrawal.locale, membership.currency
    return _Line(
        membership,
        [_Instalment(short_day(it.due_on, locale), money(it.amount, currency, locale)) for it in membership.owed],
    )
