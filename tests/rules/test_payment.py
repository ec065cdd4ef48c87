"""What a remittance text names, and what a payment does to the cards that it names."""

import time
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.iso11649 import is_valid

from lifecycle.rules.billing_card import CardState, number_of, reference_of
from lifecycle.rules.payment import (
    Allocation,
    Decision,
    Misfit,
    NamedCard,
    Purpose,
    Received,
    Verdict,
    assigned,
    credited,
    decide,
    match,
    named,
    refunded,
    refunded_credit,
)

ONE, TWO = "PF-2026-000123", "PF-2026-000124"
RF = "RF92PF2026000123"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (RF, [ONE]),
        ("Pagamento RF92 PF20 2600 0123 grazie", [ONE]),  # in print form
        ("rf92pf2026000123", [ONE]),
        ("RF92-PF2026/000.123", [ONE]),
        ("BONIFICO RF92PF20\n26000123", [ONE]),  # cut at 35 characters
        ("saldoRF92PF2026000123grazie", [ONE]),
        ("fattura92PF2026000123", [ONE]),  # RF left out
        ("92 PF2026000123 2026", [ONE]),
        ("RF92PF2026000123202604", [ONE]),  # a date glued to it
        ("RF92PF2O26OOOI23", [ONE]),
        ("RF92PF2o26ooo l23", [ONE]),
        ("ΡΦ92ΡΦ2Ο26ΟΟΟΙ23", [ONE]),
        ("εξοφληση ρφ92πφ2026000123", [ONE]),
        ("RF65PF2026000124, RF92PF2026000123 e RF65PF2026000124", [TWO, ONE]),
        ("RF65PF2026000124RF92PF2026000123", [TWO, ONE]),
        # Wrong check digits: perhaps another card is meant.
        ("RF93PF2026000123", []),
        ("RF92PF2026000132", []),
        ("RF 92 PF 2026 000132", []),
        ("RF9PF2026000123", []),
        ("RF920PF2026000123", []),
        # By the card's number.
        ("PF-2026-000123", [ONE]),
        ("pf 2026/123", [ONE]),
        ("PF2026000123", [ONE]),
        ("scheda PF 2026 0123.", [ONE]),
        ("RF PF2026000123", [ONE]),
        ("del 12.04. PF-2026-000123", [ONE]),
        ("πφ-2026-000123", [ONE]),
        ("PF-2026-000123 PF-2026-000124 PF-2026-000123", [ONE, TWO]),
        ("PF-2026-000123 del 15/04/2026", [ONE]),
        ("PF 2026/123 2026-04-15", [ONE]),
        ("PF-2026-0001\n23", [ONE]),
        # It can be read in two ways, or is none.
        ("PF 2026 123\n456", []),
        ("PF-2026-0001234", []),
        ("PF-2026-000000", []),
        ("PF-2O26-OOO123", []),  # a slip without check digits
        ("PF 26 123", []),
        ("XPF", []),
        ("", []),
    ],
)
def test_cards_that_a_text_names(text: str, numbers: list[str]) -> None:
    assert named(text) == numbers


SLIPS = {"0": "0OoΟο", "1": "1IlιΙ", "5": "5Ss", "8": "8BβΒ", "P": "PpΡρΠ", "F": "FfΦφ", "R": "RrΡ"}
cards = st.builds(number_of, st.integers(2000, 2099), st.integers(1, 999_999))


@given(cards, st.data())
def test_a_reference_is_found_however_it_is_written(number: str, data: st.DataObject) -> None:
    reference = reference_of(number)
    assert is_valid(reference)
    written = "".join(
        data.draw(st.sampled_from(SLIPS.get(character, character + character.lower())))
        + data.draw(st.sampled_from(["", "", " ", "-", ".", "/", "\n"]))
        for character in reference
    )
    before = data.draw(st.sampled_from(["", "saldo ", "FATTURA", "del 3/4/2026 ", "ΕΞΟΦΛΗΣΗ\n"]))
    after = data.draw(st.sampled_from(["", " grazie", "2026", "\nEUR 12,00"]))
    # Without the RF every second time.
    begin = data.draw(
        st.sampled_from([0, written.index(next(c for c in written if c.isdigit() or c in "OoΟοIlιΙSsBβΒ"))])
    )
    assert named(before + written[begin:] + after) == [number]


@given(cards, st.integers(0, 98))
def test_wrong_check_digits_are_no_match(number: str, check: int) -> None:
    reference = reference_of(number)
    wrong = f"RF{check:02}{reference[4:]}"
    assert named(wrong) == ([number] if wrong == reference else [])


@given(st.text(max_size=300))
def test_random_text_names_nothing(text: str) -> None:
    assert named(text) == []


@pytest.mark.parametrize("text", ["PF", "RF", "RF12PF", "PF2026", "P.F", "PF ", "0", " ", "PF-2026-0 ", "P" * 9 + "F1"])
def test_hostile_texts_take_linear_time(text: str) -> None:
    def seconds(length: int) -> float:
        started = time.process_time()
        named((text * length)[:length])
        return time.process_time() - started

    assert seconds(160_000) < 100 * max(min(seconds(10_000) for _ in range(3)), 0.001)


# -- decisions -------------------------------------------------------------------------------------------------------

OPEN = NamedCard(1, ONE, 10, "EUR", CardState.OPEN, Decimal(100), Decimal(0))
OTHER = NamedCard(2, TWO, 20, "EUR", CardState.OPEN, Decimal(50), Decimal(0))
VOID = NamedCard(3, "PF-2026-000003", 30, "EUR", CardState.VOID, Decimal(70), Decimal(0))
PAID = NamedCard(4, "PF-2026-000004", 40, "EUR", CardState.PAID, Decimal(150), Decimal(150))
DOLLARS = NamedCard(5, "PF-2026-000005", 50, "USD", CardState.OPEN, Decimal(100), Decimal(0))
FREE = NamedCard(6, "PF-2026-000006", 60, "EUR", CardState.OPEN, Decimal(0), Decimal(0))
TRIAL = NamedCard(7, "PF-2026-000007", 70, "EUR", CardState.OPEN, Decimal(100), Decimal(0), trial=True)
CARDS = {card.number: card for card in (OPEN, OTHER, VOID, PAID, DOLLARS, FREE, TRIAL)}
UNKNOWN = "PF-2026-999999"


def payment(amount: int, *numbers: str, id_: int = 1, currency: str = "EUR") -> Received:
    return Received(id_, Decimal(amount), currency, numbers, f"B{id_}")


def card(of: NamedCard, amount: int) -> Allocation:
    return Allocation(Purpose.CARD, Decimal(amount), of.customer_id, of.id)


def credit(of: NamedCard, amount: int) -> Allocation:
    return Allocation(Purpose.CREDIT, Decimal(amount), of.customer_id)


@pytest.mark.parametrize(
    ("given", "verdict", "allocations"),
    [
        (payment(100, ONE), Verdict.PAID, [card(OPEN, 100)]),
        (payment(99, ONE), Verdict.PART, [card(OPEN, 99)]),
        (payment(101, ONE), Verdict.OVER, [card(OPEN, 100), credit(OPEN, 1)]),
        (payment(150, TWO, ONE), Verdict.SEVERAL, [card(OTHER, 50), card(OPEN, 100)]),
        (payment(151, TWO, ONE), Verdict.OTHER_SUM, []),
        (payment(100, ONE, PAID.number), Verdict.OTHER_SUM, []),
        (payment(170, ONE, VOID.number), Verdict.OTHER_SUM, []),
        (payment(100, PAID.number), Verdict.REPEATED, [credit(PAID, 100)]),
        (payment(5, FREE.number), Verdict.REPEATED, [credit(FREE, 5)]),
        (payment(100, ONE, FREE.number), Verdict.OTHER_SUM, []),
        (payment(70, VOID.number), Verdict.VOID, [credit(VOID, 70)]),
        (payment(100, DOLLARS.number), Verdict.CURRENCY, []),
        (payment(200, ONE, DOLLARS.number), Verdict.CURRENCY, []),
        (payment(100, TRIAL.number), Verdict.TRIAL, []),
        (payment(200, ONE, TRIAL.number), Verdict.TRIAL, []),
        (payment(100, UNKNOWN), Verdict.UNKNOWN, []),
        (payment(100, ONE, UNKNOWN), Verdict.UNKNOWN, []),
        (payment(100), Verdict.UNNAMED, []),
        (payment(-100, ONE), Verdict.UNMATCHED, []),
    ],
)
def test_what_a_payment_does(given: Received, verdict: Verdict, allocations: list[Allocation]) -> None:
    assert decide(given, CARDS) == Decision(given, verdict, tuple(allocations))


def test_a_taking_back_takes_exactly_what_was_given() -> None:
    given = payment(101, ONE)
    back = payment(-101, ONE, id_=2)
    (first, second), afterwards = match([given, back], CARDS, [])
    assert second == Decision(back, Verdict.REVERSED, (card(OPEN, -100), credit(OPEN, -1)), given.id)
    assert afterwards == CARDS
    assert first.verdict is Verdict.OVER


@pytest.mark.parametrize(
    ("now", "taken"),
    [
        # Void: all that was paid of it is in credit.
        (replace(OPEN, state=CardState.VOID), [credit(OPEN, -100)]),
        # It has become cheaper: 40 of what was paid of it is in credit.
        (replace(OPEN, total=Decimal(60), paid=Decimal(60)), [card(OPEN, -60), credit(OPEN, -40)]),
    ],
)
def test_a_taking_back_follows_the_money_into_credit(now: NamedCard, taken: list[Allocation]) -> None:
    given = replace(payment(100, ONE), allocations=(card(OPEN, 100),))
    back = payment(-100, ONE, id_=2)
    (decision,), _ = match([back], CARDS | {ONE: now}, [given])
    assert decision == Decision(back, Verdict.REVERSED, tuple(taken), given.id)


@pytest.mark.parametrize("back", [-99, -102])
def test_a_taking_back_of_another_amount_is_a_persons(back: int) -> None:
    decisions, _ = match([payment(100, ONE), payment(back, ONE, id_=2)], CARDS, [])
    assert decisions[1].verdict is Verdict.UNMATCHED


def test_a_taking_back_that_may_be_of_two_is_a_persons_unless_it_says_which() -> None:
    twice = [payment(100, ONE), payment(100, ONE, id_=2)]
    back = payment(-100, ONE, id_=3)
    assert match([*twice, back], CARDS, [])[0][2].verdict is Verdict.UNMATCHED
    told = Received(3, Decimal(-100), "EUR", (), "B3", ("E2E-1", "B2"))
    assert match([*twice, told], CARDS, [])[0][2].reverses == 2


def test_a_payment_is_taken_back_once() -> None:
    back = [payment(-100, ONE, id_=2), payment(-100, ONE, id_=3)]
    decisions, _ = match([payment(100, ONE), *back], CARDS, [])
    assert [each.verdict for each in decisions] == [Verdict.PAID, Verdict.REVERSED, Verdict.UNMATCHED]


def test_payments_of_one_file_see_what_the_ones_before_left() -> None:
    three = [payment(60, ONE, id_=id_) for id_ in (1, 2, 3)]
    decisions, afterwards = match(three, CARDS, [])
    assert [each.verdict for each in decisions] == [Verdict.PART, Verdict.OVER, Verdict.REPEATED]
    assert afterwards[ONE] == replace(OPEN, state=CardState.PAID, paid=Decimal(100))


amounts = st.integers(-200, 200).filter(bool)
histories = st.lists(
    st.tuples(
        amounts, st.lists(st.sampled_from([*CARDS, UNKNOWN]), max_size=3, unique=True), st.sampled_from(["EUR", "USD"])
    ),
    max_size=12,
)


@given(histories, histories)
def test_no_money_is_lost_or_made(
    first: list[tuple[int, list[str], str]], then: list[tuple[int, list[str], str]]
) -> None:
    """Over two files: what came in is on cards, in credit or unassigned; what a card lost is what was put on it."""
    numbered = [payment(a, *n, id_=i, currency=c) for i, (a, n, c) in enumerate([*first, *then], 1)]
    one, between = match(numbered[: len(first)], CARDS, [])
    taken = {each.reverses for each in one}
    earlier = [
        Received(p.id, p.amount, p.currency, p.numbers, p.bank_reference, (), each.allocations, p.id in taken)
        for each in one
        if (p := each.payment).amount > 0
    ]
    two, afterwards = match(numbered[len(first) :], between, earlier)
    decisions = [*one, *two]
    assert match(numbered, CARDS, []) == (decisions, afterwards)
    for each in decisions:
        placed = sum(part.amount for part in each.allocations)
        assert placed in {0, each.payment.amount}
        assert all(part.amount * each.payment.amount > 0 for part in each.allocations)
    for number, before in CARDS.items():
        on_card = sum(part.amount for each in decisions for part in each.allocations if part.card_id == before.id)
        assert afterwards[number].left == before.left - on_card
        assert before.paid <= afterwards[number].paid <= before.total
    reversed_ = [each.reverses for each in decisions if each.reverses is not None]
    assert len(reversed_) == len(set(reversed_))


# -- operators -------------------------------------------------------------------------------------------------------

BACK = payment(-100)


def test_an_operator_assigns_what_fits() -> None:
    assert assigned(payment(80), OPEN, None) == card(OPEN, 80)
    assert assigned(payment(120), OPEN, None) == card(OPEN, 100)
    assert assigned(payment(120), OPEN, Decimal(30)) == card(OPEN, 30)
    assert assigned(BACK, PAID, None) == card(PAID, -100)
    assert credited(payment(80), 10, Decimal(0)) == credit(OPEN, 80)
    assert credited(BACK, 10, Decimal(100)) == credit(OPEN, -100)
    assert refunded(payment(80), Decimal(30)).amount == 30
    assert refunded(BACK, None).amount == -100
    assert sum(part.amount for part in refunded_credit(10, Decimal(5), Decimal(5), "EUR")) == 0


@pytest.mark.parametrize(
    ("decide", "message"),
    [
        (lambda: assigned(payment(80), DOLLARS, None), "in EUR, card PF-2026-000005 in USD"),
        (lambda: assigned(payment(80), VOID, None), "is void"),
        (lambda: assigned(payment(80), PAID, None), "is paid"),
        (lambda: assigned(payment(80), OPEN, Decimal(81)), "more than the 80.00 unassigned"),
        (lambda: assigned(payment(180), OPEN, Decimal(101)), "more than the 100 left to pay"),
        (lambda: assigned(BACK, OPEN, None), "more than the 0 paid of"),
        (lambda: credited(BACK, 10, Decimal(99)), "more than the 99 of credit"),
        (lambda: refunded(payment(80), Decimal(81)), "more than the 80.00 unassigned"),
        (lambda: refunded_credit(10, Decimal(5), Decimal(4), "EUR"), "more than the 4 of credit"),
        (
            lambda: refunded(Received(1, Decimal(9), "EUR", (), allocations=(card(OPEN, 9),)), None),
            "nothing of payment 1 is unassigned",
        ),
        (lambda: refunded(Received(1, Decimal(9), "EUR", (), reversed=True), None), "was taken back by the bank"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(decide: object, message: str) -> None:
    with pytest.raises(Misfit, match=message):
        decide()  # type: ignore[operator]
