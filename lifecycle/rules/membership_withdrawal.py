"""Withdrawal from memberships: to which it applies, and what it does to terms, instalments and mandates.

The withdrawal date is the last day of validity. What is due on or before it remains owed, what is due from the next day
on is removed; what the bank has already cannot be recalled, and is to be refunded, as is what was paid ahead. Nothing
of it is charged by itself any more, whatever remains. Several memberships are withdrawn all or none.

A membership from month to month whose terms up to that day are not all there yet is renewed until then: what a sweep
will make due for that is owed too.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

from lifecycle.rules import membership_expiry
from lifecycle.rules.calendar import SINCE_EVER
from lifecycle.rules.findings import Finding
from lifecycle.rules.instalments import Instalment, InstalmentStatus
from lifecycle.rules.records import EVIDENCE, LAST_DAY, Malformed
from lifecycle.rules.subscriptions import CHARGED_BY_ITSELF, ChargeMethod, Policy, Status

BASE_TYPE = "withdrawal"
"""That the CRM action type must have."""

ACKNOWLEDGEMENT = "withdrawal-acknowledged"
"""The kind of the mail to the customer."""


class WithdrawalState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, by codes. `on`: the last day of validity.

    `note`, which is personal, empty: one is written that names the date. `assigned_to` empty: nobody.
    """

    customer: str
    memberships: tuple[str, ...]
    action_type: str
    on: date
    note: str
    operator: str
    assigned_to: str


@dataclass(frozen=True, slots=True)
class Term:
    """In its last recorded version. `expires_on` before `starts_on`: it never came into force."""

    starts_on: date
    expires_on: date


@dataclass(frozen=True, slots=True)
class Membership:
    """A subscription as a withdrawal finds it. `terms` and `instalments` are in the order of their days.

    `withdrawn_on`: an earlier withdrawal's date. `mandate`: the code of the mandate or card that it is charged by,
    unless that has ended, and `shared_with` other contracts of the customer that use it and go on, by their codes.
    `unit_price` is the one of now, without VAT, `vat_rate` in percent.
    """

    id: int
    code: str
    customer: str
    product: str
    policy: Policy
    charge_method: ChargeMethod
    auto_renew: bool
    period_months: int
    anchor: date
    quantity: int
    unit_price: Decimal
    vat_rate: Decimal
    currency: str
    status: Status
    terms: tuple[Term, ...]
    instalments: tuple[Instalment, ...]
    withdrawn_on: date | None = None
    mandate: str | None = None
    shared_with: tuple[str, ...] = ()

    @property
    def is_monthly(self) -> bool:
        """Whether it is renewed from month to month, without an end."""
        return self.auto_renew and self.period_months == 1

    @property
    def starts_on(self) -> date:
        return self.terms[0].starts_on

    @property
    def expires_on(self) -> date:
        return self.terms[-1].expires_on


@dataclass(frozen=True, slots=True)
class ToCome:
    """An instalment that is not there yet. `amount` with VAT, in the currency of its membership."""

    due_on: date
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Effect:
    """What a withdrawal does to a membership.

    `cut` are the terms that end earlier, in their new version: one that starts after the date never comes into force.
    `being_collected` is with the bank, was owed and stays as it is. `to_come` will be owed: a sweep makes it, with the
    terms that are missing. `mandate` is the one that ends with it; None: it has none, it has ended, or another contract
    uses it, and it stays.
    """

    membership: Membership
    cut: tuple[Term, ...]
    owed: tuple[Instalment, ...]
    to_come: tuple[ToCome, ...]
    being_collected: tuple[Instalment, ...]
    removed: tuple[Instalment, ...]
    to_be_refunded: tuple[Instalment, ...]
    mandate: str | None


@dataclass(frozen=True, slots=True)
class ActionType:
    """What an operator calls an action in the CRM history. `base_type`: what it means to the program."""

    base_type: str
    in_agenda: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of what is asked for. `erased`: the customer is. It, or `action_type`, is None where there is none.

    `memberships` are those found by the codes asked for, in the order of their codes, and `operators` those of the
    codes that are an operator's. `before`: exactly these memberships were withdrawn from by one withdrawal, on that
    date, for that customer.
    """

    erased: bool | None
    memberships: tuple[Membership, ...]
    action_type: ActionType | None
    operators: Collection[str]
    before: bool


def wrong(request: Request, known: Known) -> list[Finding]:
    """All that is in the way of the request."""
    findings = [*_unrecorded(request, known), *_unusable(request, known.action_type), *_misnamed(request, known)]
    if known.erased is None or known.before:
        return findings
    return [*findings, *refusals(known.memberships, request.customer, request.on)]


def _unrecorded(request: Request, known: Known) -> Iterable[Finding]:
    if known.erased is None:
        yield Finding("customer", f"{request.customer!r} is no customer's code", "a code")
    elif known.erased:
        yield Finding("customer", f"{request.customer!r} was erased", "one that was not")
    for where, operator in (("operator", request.operator), ("assigned_to", request.assigned_to)):
        if operator not in known.operators and (operator or where == "operator"):
            yield Finding(where, f"{operator!r} is no operator", "the code of one in operators.csv")


def _unusable(request: Request, action_type: ActionType | None) -> Iterable[Finding]:
    if action_type is None:
        yield Finding(
            "action_type", f"{request.action_type!r} is no action type", "the code of one in action_types.csv"
        )
    elif action_type.base_type != BASE_TYPE:
        problem = f"{request.action_type!r} is of the base type {action_type.base_type!r}"
        yield Finding("action_type", problem, f"one of the base type {BASE_TYPE!r}")
    if request.assigned_to and action_type and not action_type.in_agenda:
        yield Finding(
            "assigned_to", f"{request.action_type!r} stands in no agenda", "nobody, or an action type that does"
        )
    if not SINCE_EVER <= request.on <= LAST_DAY:
        yield Finding("withdrawal_date", f"{request.on} is not such a day", f"a day from {SINCE_EVER} to {LAST_DAY}")
    try:
        EVIDENCE([request.note])
    except Malformed as error:
        yield Finding("notes", error.problem, error.expected)


def _misnamed(request: Request, known: Known) -> Iterable[Finding]:
    if not request.memberships:
        yield Finding("memberships", "is empty", "the codes of those withdrawn from")
    found = {membership.code for membership in known.memberships}
    for code, times in Counter(request.memberships).items():
        if times > 1:
            yield Finding("memberships", f"{code!r} is given {times} times", "each once")
        if code not in found:
            yield Finding("memberships", f"{code!r} is no subscription's code", "a code")


def refusals(memberships: Iterable[Membership], customer: str, on: date) -> list[Finding]:
    """Why these memberships cannot be withdrawn, all reasons of all of them. `on` is the withdrawal date."""
    return [
        Finding("memberships", f"{membership.code} {problem}", expected)
        for membership in memberships
        for problem, expected in _refusals(membership, customer, on)
    ]


def _refusals(membership: Membership, customer: str, on: date) -> Iterable[tuple[str, str]]:
    if membership.customer != customer:
        # Nothing else is said of what somebody else has.
        yield "is another customer's", f"one of {customer}"
        return
    if membership.policy is not Policy.MEMBERSHIP:
        yield f"has the policy {membership.policy}", "a membership"
        return
    if membership.withdrawn_on is not None:
        yield f"is withdrawn from already, its last day is {membership.withdrawn_on}", "one that is not"
        return
    if not (membership.is_monthly or membership.instalments):
        yield "is neither paid in instalments nor renewed from month to month", "one that is"
    if membership.charge_method not in CHARGED_BY_ITSELF:
        yield f"is paid by {membership.charge_method}", "one charged by SEPA direct debit or card"
    if membership.status is Status.ENDED:
        yield f"has ended on {membership.expires_on}", "one that has not"
    if on < membership.starts_on:
        yield f"starts on {membership.starts_on}, after the withdrawal date", "its first day or a later one"
    if not membership.is_monthly and on > membership.expires_on:
        yield f"ends on {membership.expires_on}, before the withdrawal date", "its last day or an earlier one"


def effects(memberships: Iterable[Membership], on: date, day: date) -> tuple[Effect, ...]:
    """What withdrawing from all of these memberships at once does on `day`, with `on` as their last day."""
    memberships = tuple(memberships)
    withdrawn = frozenset(membership.code for membership in memberships)
    return tuple(effect(membership, on, day, withdrawn) for membership in memberships)


def effect(membership: Membership, on: date, day: date, withdrawn: frozenset[str]) -> Effect:
    """What withdrawing from the membership does on `day`, with `on` as its last day.

    `withdrawn` are all codes withdrawn from. Its mandate ends unless a contract that goes on uses it.
    """
    until = [instalment for instalment in membership.instalments if instalment.due_on <= on]
    after = [instalment for instalment in membership.instalments if instalment.due_on > on]
    taken = {InstalmentStatus.SUBMITTED, InstalmentStatus.PAID}
    return Effect(
        membership,
        cut=tuple(Term(term.starts_on, on) for term in membership.terms if term.expires_on > on),
        owed=tuple(it for it in until if it.status is InstalmentStatus.DUE),
        to_come=_to_come(membership, on, day),
        being_collected=tuple(it for it in until if it.status is InstalmentStatus.SUBMITTED),
        removed=tuple(it for it in after if it.status is InstalmentStatus.DUE),
        to_be_refunded=tuple(it for it in after if it.status in taken),
        mandate=None if set(membership.shared_with) - withdrawn else membership.mandate,
    )


def _to_come(membership: Membership, on: date, day: date) -> tuple[ToCome, ...]:
    """What the first sweep after `day` that finds it expired, or one after that, makes due up to `on`."""
    swept = membership_expiry.Membership(
        id=membership.id,
        code=membership.code,
        product=membership.product,
        expires_on=membership.expires_on,
        status=membership.status,
        anchor=membership.anchor,
        last_start=membership.terms[-1].starts_on,
        auto_renew=membership.auto_renew,
        period_months=membership.period_months,
        quantity=membership.quantity,
        unit_price=membership.unit_price,
        vat_rate=membership.vat_rate,
        currency=membership.currency,
        withdrawn_on=on,
    )
    sweep = membership_expiry.Terms(max(day, swept.expires_on + timedelta(days=1)), live=True)
    if membership_expiry.Step.RENEW not in membership_expiry.decide(swept, sweep).steps or not swept.amount:
        return ()
    there = {instalment.due_on for instalment in membership.instalments}
    starts = (period.starts_on for period in membership_expiry.missing_terms(swept, on))
    return tuple(ToCome(start, swept.amount) for start in starts if start not in there)


def digest(request: Request, effects: Iterable[Effect]) -> str:
    """Stands for what is asked for and exactly what it does: 16 hexadecimal digits. A confirmation is bound to it."""
    asked = replace(request, memberships=tuple(sorted(request.memberships)))
    written = hashlib.sha256(repr(asked).encode())
    for one in sorted(effects, key=lambda one: one.membership.code):
        touched = [(it.due_on, it.amount, it.status.value) for it in (*one.owed, *one.removed, *one.to_be_refunded)]
        to_come = [(it.due_on, it.amount) for it in one.to_come]
        written.update(repr((one.membership.code, one.cut, sorted(touched), to_come, one.mandate)).encode())
    return written.hexdigest()[:16]
