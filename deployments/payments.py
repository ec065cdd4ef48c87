"""``lifecycle payments``: money that a person must decide on, and what the person decides.

Who paid and what for is shown here, on a terminal, and nowhere in Prefect.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from lifecycle.persistence import card_renewals, payments
from lifecycle.persistence.database import Transaction, transaction
from lifecycle.persistence.subscription_status import Learned
from lifecycle.rules import payment as rules
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.money import NOTHING
from lifecycle.rules.payment import Decided, Misfit, Received
from lifecycle.rules.records import shown
from lifecycle.settings import settings
from tasks.operators import unknown
from tasks.provisioning import calls_on, state_on


def listing() -> None:
    """A line for each payment with unassigned money, and for each that the bank took back."""
    with transaction() as db:
        for each in payments.unassigned(db):
            money = f"{each.amount} {each.currency}  unassigned {each.rest}"
            taken = f"  takes back {each.reverses}" if each.reverses is not None else ""
            said = f"{shown(each.payer, 70)}  {shown(' '.join(each.remittance.split()), 300)}"
            print(f"{each.id}  {each.received_on}  {money}{taken}  {' '.join(each.numbers) or 'no card'}  {said}")


def assign(id_: int, number: str, amount: Decimal | None, operator: str) -> None:
    """Put a payment's unassigned money onto a card, or take what the bank took back away from it."""
    with transaction() as db:
        payments.take_turn(db)
        findings = unknown(db, operator, "--operator")
        payment = _payment(db, id_, findings)
        card = payments.locked(db, [number]).get(number)
        if card is None:
            findings.append(Finding("--card", f"{number!r} is no card's number", "one such as PF-2026-000123"))
        if findings or payment is None or card is None:
            raise BadInput(findings)
        part = _fitting(payment, lambda: rules.assigned(payment, card, amount))
        learned = _learned()
        payments.place(db, id_, payment.currency, [part], Decided.ASSIGNED, operator, learned)
        if part.amount < 0:
            payments.reopen(db, [card.id])
        card_renewals.settle(db, [card.id], learned, state_on("billing_card", learned.day))
    print(f"{part.amount} {payment.currency} of payment {id_} on card {number}")


def credit(id_: int, code: str, operator: str) -> None:
    """Give a payment's unassigned money to a customer's credit, or take what the bank took back away from it."""
    with transaction() as db:
        payments.take_turn(db)
        findings = unknown(db, operator, "--operator")
        payment, customer = _payment(db, id_, findings), _customer(db, code, findings)
        if findings or payment is None or customer is None:
            raise BadInput(findings)
        there = _credit(db, customer, payment.currency)
        part = _fitting(payment, lambda: rules.credited(payment, customer, there))
        payments.place(db, id_, payment.currency, [part], Decided.CREDITED, operator, _learned())
    print(f"{part.amount} {payment.currency} of payment {id_} in credit of {code}")


def refund(id_: int, amount: Decimal | None, operator: str) -> None:
    """Record that a payment's unassigned money went back to where it came from."""
    with transaction() as db:
        payments.take_turn(db)
        findings = unknown(db, operator, "--operator")
        payment = _payment(db, id_, findings)
        if findings or payment is None:
            raise BadInput(findings)
        part = _fitting(payment, lambda: rules.refunded(payment, amount))
        payments.place(db, id_, payment.currency, [part], Decided.REFUNDED, operator, _learned())
    print(f"{part.amount} {payment.currency} of payment {id_} refunded")


def refund_credit(code: str, currency: str, amount: Decimal, operator: str) -> None:
    """Record that a part of a customer's credit went back to the customer."""
    with transaction() as db:
        payments.take_turn(db)
        findings = unknown(db, operator, "--operator")
        customer = _customer(db, code, findings)
        if findings or customer is None:
            raise BadInput(findings)
        there = _credit(db, customer, currency)
        try:
            parts = rules.refunded_credit(customer, amount, there, currency)
        except Misfit as misfit:
            raise BadInput([Finding("--amount", str(misfit), "at most as much")]) from None
        payments.place(db, None, currency, parts, Decided.REFUNDED, operator, _learned())
    print(f"{amount} {currency} of the credit of {code} refunded")


def _payment(db: Transaction, id_: int, findings: list[Finding]) -> Received | None:
    """The payment; where there is none, that is added to the findings."""
    found = payments.read(db, [id_])
    if not found:
        findings.append(Finding("ID", f"{id_} is no payment", "an id that `lifecycle payments` lists"))
        return None
    return found[0]


def _customer(db: Transaction, code: str, findings: list[Finding]) -> int | None:
    """The customer's id; where there is none, that is added to the findings."""
    customer = payments.customer_of(db, code)
    if customer is None:
        findings.append(Finding("--customer", f"{code!r} is no customer's code", "a customer's code"))
    return customer


def _credit(db: Transaction, customer: int, currency: str) -> Decimal:
    return payments.credit_of(db, [customer]).get((customer, currency), NOTHING)


def _fitting(payment: Received, decide: Callable[[], rules.Allocation]) -> rules.Allocation:
    try:
        return decide()
    except Misfit as misfit:
        raise BadInput([Finding(f"payment {payment.id}", str(misfit), "what `lifecycle payments` lists")]) from None


def _learned() -> Learned:
    now = datetime.now(UTC)
    day = now.astimezone(settings().zone).date()
    return Learned(day, now, None, calls_on(day))
