"""What an operator decides about money, at the command line."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from deployments import payments
from lifecycle.persistence.database import transaction
from lifecycle.rules.findings import BadInput
from lifecycle.rules.payment import Verdict
from tests import cast
from tests.deployments.test_cli import lifecycle
from tests.paying import bring, credit, open_cards, ref, rows, states


@pytest.fixture
def cards(home: Path) -> Path:
    open_cards()
    with transaction() as db:
        cast.operator(db, "OP1")
        cast.operator(db, "OP2")
    return home


@pytest.fixture
def waiting(cards: Path) -> Path:
    """Payment 1 of 70 that names nothing, payment 2 of 61 for card 124, payment 3 taken back that names nothing."""
    bring(cards, "B1,2026-04-01,70,EUR,\x22saldo\nscheda\x22,Anna Bianchi,", f"B2,2026-04-01,61,EUR,{ref(124)},,")
    bring(cards, "B3,2026-04-02,-40,EUR,storno,Anna Bianchi,")
    return cards


def decided() -> list[tuple[object, ...]]:
    return rows("SELECT payment_id, purpose, amount, operator FROM allocations WHERE operator IS NOT NULL ORDER BY id")


def test_what_waits_is_listed_with_payer_and_text(waiting: Path, capsys: pytest.CaptureFixture[str]) -> None:
    payments.listing()
    assert capsys.readouterr().out.splitlines() == [
        "1  2026-04-01  70.00 EUR  unassigned 70.00  no card  Anna Bianchi  saldo scheda",
        "3  2026-04-02  -40.00 EUR  unassigned -40.00  no card  Anna Bianchi  storno",
    ]


def test_what_was_taken_back_is_listed_while_its_card_is_open(cards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bring(cards, f"B1,2026-04-01,61,EUR,{ref(124)},,", f"B2,2026-04-02,-61,EUR,{ref(124)},,")
    payments.listing()
    assert "2  2026-04-02  -61.00 EUR  unassigned 0.00  takes back 1  PF-2026-000124" in capsys.readouterr().out
    bring(cards, f"B3,2026-04-03,61,EUR,{ref(124)},,")
    payments.listing()
    assert capsys.readouterr().out == ""


def test_assigned_money_pays_a_card(waiting: Path) -> None:
    payments.assign(1, "PF-2026-000126", Decimal(50), "OP1")
    payments.assign(1, "PF-2026-000126", None, "OP1")
    assert states()[126] == ("open", "70.00", True)
    assert decided() == [(1, "card", Decimal(50), "OP1"), (1, "card", Decimal(20), "OP1")]
    bring(waiting, f"B4,2026-04-03,80,EUR,{ref(126)},,")
    assert states()[126] == ("paid", "150.00", False)


def test_assigned_money_that_pays_a_card_in_full_closes_it(waiting: Path) -> None:
    bring(waiting, f"B4,2026-04-03,80,EUR,{ref(126)},,")
    payments.assign(1, "PF-2026-000126", None, "OP1")
    assert states()[126] == ("paid", "150.00", False)


def test_an_assigned_taking_back_opens_the_card(waiting: Path) -> None:
    payments.assign(3, "PF-2026-000124", None, "OP1")
    assert states()[124] == ("open", "21.00", True)


def test_money_goes_to_credit_and_back_to_the_customer(waiting: Path) -> None:
    payments.credit(1, "C126", "OP1")
    payments.refund_credit("C126", "EUR", Decimal(30), "OP2")
    assert credit() == {"C126": Decimal(40)}
    payments.credit(3, "C126", "OP1")
    assert credit() == {}
    assert [row[:3] for row in decided()] == [
        (1, "credit", 70),
        (None, "credit", -30),
        (None, "refund", 30),
        (3, "credit", -40),
    ]


def test_money_goes_back_to_where_it_came_from(waiting: Path) -> None:
    payments.refund(1, Decimal("0.50"), "OP1")
    payments.refund(1, None, "OP1")
    assert decided() == [(1, "refund", Decimal("0.50"), "OP1"), (1, "refund", Decimal("69.50"), "OP1")]


def test_what_the_bank_took_back_takes_back_what_was_assigned(cards: Path) -> None:
    bring(cards, "B1,2026-04-01,70,EUR,?,,")
    payments.assign(1, "PF-2026-000124", None, "OP1")
    payments.credit(1, "C124", "OP1")
    taken = bring(cards, f"B2,2026-04-09,-70,EUR,{ref(124)},,")
    assert taken.counts == {Verdict.REVERSED: 1, "cards opened again": 1}
    assert (states()[124], credit()) == (("open", "0.00", True), {})


@pytest.mark.parametrize(
    ("decide", "problem"),
    [
        (lambda: payments.assign(9, "PF-2026-000124", None, "OP1"), "9 is no payment"),
        (lambda: payments.assign(1, "PF-2026-999999", None, "OP1"), "is no card's number"),
        (lambda: payments.assign(1, "PF-2026-000124", None, "OP1"), "card PF-2026-000124 is paid"),
        (lambda: payments.assign(1, "PF-2026-000126", Decimal(71), "OP1"), "more than the 70.00 unassigned"),
        (lambda: payments.assign(2, "PF-2026-000126", None, "OP1"), "nothing of payment 2 is unassigned"),
        (lambda: payments.credit(1, "NOBODY", "OP1"), "is no customer's code"),
        (lambda: payments.credit(9, "NOBODY", "OP9"), "is no customer's code.*is no operator.*9 is no payment"),
        (lambda: payments.assign(9, "PF-2026-999999", None, "OP9"), "is no card's number.*is no operator.*9 is no pay"),
        (lambda: payments.refund(1, None, "OP9"), "--operator: 'OP9' is no operator; expected the code of one in"),
        (lambda: payments.refund_credit("C126", "EUR", Decimal(1), "OP9"), "is no operator"),
        (lambda: payments.credit(3, "C126", "OP1"), "more than the 0.00 of credit"),
        (lambda: payments.refund(1, Decimal(71), "OP1"), "more than the 70.00 unassigned"),
        (lambda: payments.refund_credit("C126", "EUR", Decimal(1), "OP1"), "more than the 0.00 of credit"),
    ],
)
def test_what_does_not_fit_changes_nothing(waiting: Path, decide: Callable[[], None], problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        decide()
    assert decided() == []


def test_the_command_line_asks_for_what_it_needs(home: Path) -> None:
    both = lifecycle("payments", "refund", "1", "--customer", "C1", "--operator", "OP1")
    assert (both.returncode, "either ID, or --customer" in both.stderr) == (2, True)
    assert lifecycle("payments", "assign", "1", "--card", "PF-2026-000001").returncode != 0
    assert lifecycle("payments", "refund", "1", "--operator", "OP1", "--amount", "nan").returncode == 2
    gone = lifecycle("payments", "refund", "9", "--operator", "OP1", "--amount", "1.50")
    first = "expected the code of one in operators.csv, which is to be imported first: there are no operators yet"
    assert (gone.returncode, gone.stderr.splitlines()) == (
        2,
        [
            f"--operator: 'OP1' is no operator; {first}",
            "ID: 9 is no payment; expected an id that `lifecycle payments` lists",
        ],
    )
