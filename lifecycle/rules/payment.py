"""Payments: which cards a bank entry pays, and what of it a person must decide.

Nothing is guessed: an entry that does not clearly say what it pays is kept unassigned and listed. Whatever happens to
money is an allocation, and allocations are only added: what came in is at any time what is on cards, in credit,
refunded and unassigned.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from lifecycle.rules.billing_card import CardState, reference_of
from lifecycle.rules.money import NOTHING
from lifecycle.rules.records import Block


class Purpose(StrEnum):
    """Where a part of a payment went: onto a card, to its customer's credit, or back out of the house."""

    CARD = "card"
    CREDIT = "credit"
    REFUND = "refund"


class Verdict(StrEnum):
    """What became of a payment; the words stand in summaries and, as the rule, beside each allocation."""

    PAID = "paid in full"
    PART = "paid in part"
    OVER = "paid, the rest to credit"
    SEVERAL = "several cards paid by their sum"
    REPEATED = "card was paid already: to credit"
    VOID = "card is void: to credit"
    CURRENCY = "card has another currency"
    TRIAL = "names a card of the trial time"
    UNKNOWN = "names a card that is unknown"
    UNNAMED = "names no card"
    OTHER_SUM = "names several cards, is not their sum"
    REVERSED = "taken back by the bank"
    UNMATCHED = "taken back by the bank, of no payment that is known"

    @property
    def is_settled(self) -> bool:
        """Whether nobody needs to look at it."""
        return self in {Verdict.PAID, Verdict.PART, Verdict.OVER, Verdict.SEVERAL}


class Decided(StrEnum):
    """What an operator decided, as the rule beside the allocations."""

    ASSIGNED = "assigned by an operator"
    CREDITED = "credited by an operator"
    REFUNDED = "refunded by an operator"


@dataclass(frozen=True, slots=True)
class Entry:
    """One booked movement of money, as a bank tells it. `amount` is negative where the bank took money back.

    `remittance` keeps the bank's lines, of which one may end within a word. `originals` are the bank references that a
    taking back gives for what it takes back.
    """

    bank_reference: str
    received_on: date
    amount: Decimal
    currency: str
    remittance: str
    payer: str | None = None
    iban: str | None = None
    originals: tuple[str, ...] = ()


def listed(block: Block) -> Iterator[tuple[int, Entry]]:
    """The sound rows of a block of ``payments.csv``, each with its line."""
    absent = [None] * len(block.lines)
    names = ("bank_reference", "received_on", "amount", "currency", "remittance", "payer", "iban")
    columns = (block.values.get(name, absent) for name in names)
    for line, reference, day, amount, currency, remittance, payer, iban in zip(block.lines, *columns, strict=True):
        if reference and day and amount and currency and remittance is not None:
            received_on = date.fromisoformat(day)
            yield line, Entry(reference, received_on, Decimal(amount), currency, remittance, payer, iban)


# -- which cards a text names ----------------------------------------------------------------------------------------

# Greek letters that look or sound like those of RF and PF, or like digits.
_LATIN = str.maketrans("ΡΠΦΟΙΒ", "PPFOIB")
_DIGITS = str.maketrans("OILSB", "01158")
_CHECKED = re.compile(r"([0-9OILSB]{2})PF([0-9OILSB]{4})([0-9OILSB]{6})")
_REFERENCE_BEGUN = re.compile(r"[RP]F[0-9OILSB]{1,3}")
_NUMBER = re.compile(r"P[\s./_-]{0,3}F[\s./_-]{0,3}([0-9]{4})[\s./_-]{0,3}([0-9]{1,6})(?![0-9])")
_GOES_ON = re.compile(r"[\s./_-]{1,3}([0-9]{1,6})(?![0-9])")


def named(remittance: str) -> list[str]:
    """The numbers of the cards that a text names, each once, in their order.

    First by creditor reference (ISO 11649), however it is broken up, glued to other words or misread, RF or not, as
    long as its check digits agree; one whose check digits do not agree names nothing. Then by the card's number itself,
    with or without leading zeros. Linear in the text's length.
    """
    text = remittance.upper().translate(_LATIN)
    compact = "".join(filter(str.isalnum, text))
    found: dict[str, None] = {}
    places: list[int] = []
    at = compact.find("PF")
    while at >= 0:
        number = _by_reference(compact, at)
        if number is None and not _is_damaged_reference(compact, at):
            places = places or [place for place, character in enumerate(text) if character.isalnum()]
            number = _by_number(text, places[at])
        if number:
            found[number] = None
        at = compact.find("PF", at + 2)
    return list(found)


def _by_reference(compact: str, at: int) -> str | None:
    if at < 2 or not (match := _CHECKED.match(compact, at - 2)):
        return None
    check, year, serial = (part.translate(_DIGITS) for part in match.groups())
    number = f"PF-{year}-{serial}"
    return number if reference_of(number)[2:4] == check else None


def _is_damaged_reference(compact: str, at: int) -> bool:
    return any(_REFERENCE_BEGUN.fullmatch(compact, at - before, at) for before in (3, 4, 5) if before <= at)


def _by_number(text: str, place: int) -> str | None:
    match = _NUMBER.match(text, place)
    if not match:
        return None
    year, serial = match.groups()
    more = _GOES_ON.match(text, match.end())
    if more and len(serial) + len(more[1]) == 6:
        # "0001 23" can only be 000123; "123 456" can be 123456 as well as 123 and something else.
        serial = serial + more[1] if serial.startswith("0") else ""
    return f"PF-{year}-{int(serial):06}" if serial.strip("0") else None


# -- what a payment does ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NamedCard:
    """A card as it stands at this moment. `paid` is what was paid of it so far."""

    id: int
    number: str
    customer_id: int
    currency: str
    state: CardState
    total: Decimal
    paid: Decimal
    trial: bool = False

    @property
    def left(self) -> Decimal:
        return self.total - self.paid


@dataclass(frozen=True, slots=True)
class Allocation:
    """Where a part of a payment goes: `amount` is negative where it is taken away from there."""

    purpose: Purpose
    amount: Decimal
    customer_id: int | None
    card_id: int | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A payment: `numbers` are the cards that it names, `allocations` what became of it so far.

    `reverses` is the payment that it takes back, `reversed` whether it was taken back itself.
    """

    id: int
    amount: Decimal
    currency: str
    numbers: tuple[str, ...]
    bank_reference: str = ""
    originals: tuple[str, ...] = ()
    allocations: tuple[Allocation, ...] = field(default=())
    reversed: bool = False

    @property
    def rest(self) -> Decimal:
        """What of it is unassigned."""
        return self.amount - sum((each.amount for each in self.allocations), NOTHING)


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a payment. `reverses` is the id of the payment that it takes back."""

    payment: Received
    verdict: Verdict
    allocations: tuple[Allocation, ...] = ()
    reverses: int | None = None


def decide(payment: Received, cards: Mapping[str, NamedCard], originals: Sequence[Received] = ()) -> Decision:
    """What a payment does to the cards that it names; `cards` are those that exist, by number.

    `originals` are earlier payments that a taking back may be of. Only exactly one of the same amount will do.
    """
    if payment.amount < 0:
        return _taken_back(payment, originals, cards)
    if not payment.numbers:
        return Decision(payment, Verdict.UNNAMED)
    if any(number not in cards for number in payment.numbers):
        return Decision(payment, Verdict.UNKNOWN)
    meant = [cards[number] for number in payment.numbers]
    if any(card.currency != payment.currency for card in meant):
        return Decision(payment, Verdict.CURRENCY)
    if any(card.trial for card in meant):
        # Nobody was sent it: somebody means another paper with that number.
        return Decision(payment, Verdict.TRIAL)
    return _of_several(payment, meant) if len(meant) > 1 else _of_one(payment, meant[0])


def _of_one(payment: Received, card: NamedCard) -> Decision:
    credit = Allocation(Purpose.CREDIT, payment.amount, card.customer_id)
    if card.state is CardState.VOID:
        return Decision(payment, Verdict.VOID, (credit,))
    if card.state is CardState.PAID or card.left <= 0:
        return Decision(payment, Verdict.REPEATED, (credit,))
    if payment.amount <= card.left:
        verdict = Verdict.PAID if payment.amount == card.left else Verdict.PART
        return Decision(payment, verdict, (_onto(card, payment.amount),))
    rest = replace(credit, amount=payment.amount - card.left)
    return Decision(payment, Verdict.OVER, (_onto(card, card.left), rest))


def _of_several(payment: Received, cards: list[NamedCard]) -> Decision:
    all_open = all(card.state is CardState.OPEN and card.left > 0 for card in cards)
    if not all_open or sum(card.left for card in cards) != payment.amount:
        return Decision(payment, Verdict.OTHER_SUM)
    return Decision(payment, Verdict.SEVERAL, tuple(_onto(card, card.left) for card in cards))


def _onto(card: NamedCard, amount: Decimal) -> Allocation:
    return Allocation(Purpose.CARD, amount, card.customer_id, card.id)


def _taken_back(payment: Received, originals: Sequence[Received], cards: Mapping[str, NamedCard]) -> Decision:
    """What the original gave is taken away again; what of it was refunded is a loss that a person must see."""
    fitting = [each for each in originals if _may_be_of(payment, each)]
    named = [each for each in fitting if each.bank_reference in payment.originals]
    if len(named or fitting) != 1:
        return Decision(payment, Verdict.UNMATCHED)
    [original] = named or fitting
    paid = {card.id: card.paid for number in original.numbers if (card := cards.get(number))}
    given = (each for each in original.allocations if each.purpose is not Purpose.REFUND)
    back = tuple(taken for each in given for taken in _taken_away(each, paid))
    return Decision(payment, Verdict.REVERSED, back, original.id)


def _taken_away(part: Allocation, paid: Mapping[int, Decimal]) -> Iterator[Allocation]:
    """From a card at most what is still on it: what a void card, or one that became cheaper, gave back is in credit."""
    there = max(paid[part.card_id], NOTHING) if part.card_id is not None else NOTHING
    from_card = min(part.amount, there)
    if from_card:
        yield replace(part, amount=-from_card)
    if part.amount > from_card:
        yield Allocation(Purpose.CREDIT, from_card - part.amount, part.customer_id)


def _may_be_of(payment: Received, original: Received) -> bool:
    same_money = (original.amount, original.currency) == (-payment.amount, payment.currency)
    is_named = original.bank_reference in payment.originals or not set(payment.numbers).isdisjoint(original.numbers)
    return same_money and is_named and not original.reversed


def match(
    payments: Iterable[Received], cards: Mapping[str, NamedCard], earlier: Iterable[Received]
) -> tuple[list[Decision], dict[str, NamedCard]]:
    """Decide on payments one after the other, each on the cards as the ones before it leave them.

    `earlier` are payments recorded before that takings back may be of. Returns the decisions and the cards afterwards.
    """
    standing = dict(cards)
    number_of = {card.id: number for number, card in cards.items()}
    before = {each.id: each for each in earlier}
    by_trace: dict[str, dict[int, None]] = {}
    for each in before.values():
        _trace(by_trace, each)
    decisions = []
    for payment in payments:
        traces = (*payment.originals, *payment.numbers) if payment.amount < 0 else ()
        candidates = {id_: None for trace in traces for id_ in by_trace.get(trace, ())}
        decision = decide(payment, standing, [before[id_] for id_ in candidates])
        decisions.append(decision)
        for allocation in decision.allocations:
            if allocation.card_id is not None:
                number = number_of[allocation.card_id]
                standing[number] = _changed(standing[number], allocation.amount)
        if decision.reverses is not None:
            before[decision.reverses] = replace(before[decision.reverses], reversed=True)
        if payment.amount > 0:
            before[payment.id] = replace(payment, allocations=decision.allocations)
            _trace(by_trace, payment)
    return decisions, standing


def _trace(by_trace: dict[str, dict[int, None]], payment: Received) -> None:
    for trace in (payment.bank_reference, *payment.numbers):
        by_trace.setdefault(trace, {})[payment.id] = None


def _changed(card: NamedCard, amount: Decimal) -> NamedCard:
    changed = replace(card, paid=card.paid + amount)
    if card.state is CardState.VOID:
        return changed
    return replace(changed, state=CardState.OPEN if changed.left > 0 else CardState.PAID)


# -- what an operator decides ----------------------------------------------------------------------------------------


class Misfit(Exception):
    """What an operator wants to do with money does not fit; the message says why."""


def assigned(payment: Received, card: NamedCard, amount: Decimal | None) -> Allocation:
    """`amount` of what is unassigned onto the card, by default as much as fits; of a taking back, away from it.

    Raises Misfit.
    """
    if card.currency != payment.currency:
        raise Misfit(f"payment {payment.id} is in {payment.currency}, card {card.number} in {card.currency}")
    if payment.amount > 0 and (card.trial or card.state is not CardState.OPEN):
        what = "of the trial time" if card.trial else card.state
        raise Misfit(f"card {card.number} is {what}: nothing can be paid by it")
    room = card.left if payment.amount > 0 else card.paid
    fitting = min(abs(payment.rest), max(room, NOTHING)) or abs(payment.rest)
    part = _part_of(payment, amount or fitting)
    if abs(part) > room:
        fact = "left to pay" if payment.amount > 0 else "paid"
        raise Misfit(f"{abs(part)} {payment.currency} is more than the {room} {fact} of card {card.number}")
    return _onto(card, part)


def credited(payment: Received, customer_id: int, credit: Decimal) -> Allocation:
    """All that is unassigned to the customer's credit; of a taking back, away from the `credit` there is.

    Raises Misfit.
    """
    part = _part_of(payment, abs(payment.rest))
    if part < 0:
        _require_credit(-part, credit, payment.currency)
    return Allocation(Purpose.CREDIT, part, customer_id)


def refunded(payment: Received, amount: Decimal | None) -> Allocation:
    """`amount` of what is unassigned, by default all, back to where it came from. Raises Misfit."""
    return Allocation(Purpose.REFUND, _part_of(payment, amount or abs(payment.rest)), None)


def refunded_credit(customer_id: int, amount: Decimal, credit: Decimal, currency: str) -> tuple[Allocation, Allocation]:
    """`amount` of a customer's credit back to the customer. Raises Misfit."""
    _require_credit(amount, credit, currency)
    return Allocation(Purpose.CREDIT, -amount, customer_id), Allocation(Purpose.REFUND, amount, customer_id)


def _part_of(payment: Received, amount: Decimal) -> Decimal:
    """`amount` with the payment's sign."""
    if payment.reversed:
        raise Misfit(f"payment {payment.id} was taken back by the bank")
    if payment.rest * payment.amount <= 0:
        raise Misfit(f"nothing of payment {payment.id} is unassigned")
    if amount > abs(payment.rest):
        raise Misfit(f"{amount} {payment.currency} is more than the {abs(payment.rest)} unassigned of it")
    return amount if payment.amount > 0 else -amount


def _require_credit(amount: Decimal, credit: Decimal, currency: str) -> None:
    if amount > credit:
        raise Misfit(f"{amount} {currency} is more than the {credit} of credit")
