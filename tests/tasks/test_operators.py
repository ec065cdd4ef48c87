"""One-time codes: each goes once, wrong ones count whatever becomes of the transaction, and secrets are encrypted."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import text

from lifecycle.persistence.database import transaction
from lifecycle.rules.findings import BadInput
from lifecycle.settings import settings
from tasks.operators import confirm
from tests import cast

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
STEP = timedelta(seconds=30)


@pytest.fixture
def anna(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the codes of an administrator are made from."""
    monkeypatch.setenv("LIFECYCLE_OPERATOR_SECRET", cast.OPERATOR_SECRET)
    settings.cache_clear()
    with transaction() as db:
        cast.operator(db, "ANNA")
        return cast.enrolled(db, "ANNA")


def confirmed(code: str, moment: datetime = NOON, operator: str = "ANNA") -> str:
    """What is said of the code; "": it was right and is used up."""
    try:
        with transaction() as db:
            confirm(db, operator, code, moment)
    except BadInput as refused:
        [finding] = refused.findings
        return finding.problem
    return ""


def wrong(codes_secret: str, moment: datetime = NOON) -> str:
    """No code of these minutes."""
    near = {cast.one_time_code(codes_secret, moment + STEP * steps) for steps in range(-30, 30)}
    return next(code for code in (f"{number:06}" for number in range(100)) if code not in near)


def rows(query: str) -> list[tuple[Any, ...]]:
    with transaction() as db:
        return [tuple(row) for row in db.execute(text(query))]


def test_the_code_that_the_app_shows_is_taken_once(anna: str) -> None:
    code = cast.one_time_code(anna, NOON)
    assert confirmed(code[:3] + " " + code[3:]) == ""
    assert confirmed(code) == "was used before, or a later one was"
    assert confirmed(code, NOON + STEP) == "was used before, or a later one was"
    assert confirmed(cast.one_time_code(anna, NOON + STEP), NOON + STEP) == ""


def test_after_a_later_code_no_earlier_one_is_taken(anna: str) -> None:
    assert confirmed(cast.one_time_code(anna, NOON + STEP)) == ""
    assert confirmed(cast.one_time_code(anna, NOON)) == "was used before, or a later one was"
    assert confirmed(cast.one_time_code(anna, NOON - STEP)) == "was used before, or a later one was"


def test_of_many_at_once_with_the_same_code_one_is_taken(anna: str) -> None:
    code, together = cast.one_time_code(anna, NOON), Barrier(4)

    def at_once(_: int) -> str:
        together.wait(10)
        return confirmed(code)

    with ThreadPoolExecutor(4) as threads:
        said = sorted(threads.map(at_once, range(4)))
    assert said == ["", *["was used before, or a later one was"] * 3]


def test_it_is_the_moment_of_entering_that_counts(anna: str) -> None:
    """However late the worker comes to it."""
    assert confirmed(cast.one_time_code(anna, NOON), NOON + 2 * STEP) == "is the code of an earlier moment"
    assert confirmed(cast.one_time_code(anna, NOON), NOON) == ""


def test_what_is_no_code_is_not_counted_as_a_try(anna: str) -> None:
    assert confirmed("12345") == "is not a code"
    assert rows("SELECT failures FROM enrolments") == [(0,)]


def test_after_five_wrong_codes_not_even_the_right_one_is_taken_for_a_quarter_of_an_hour(anna: str) -> None:
    assert [confirmed(wrong(anna)) for _ in range(5)] == ["is wrong"] * 5
    for minutes in (0, 14):
        moment = NOON + timedelta(minutes=minutes)
        assert confirmed(cast.one_time_code(anna, moment), moment) == "after 5 wrong codes 'ANNA' is locked"
    free = NOON + timedelta(minutes=15)
    assert confirmed(wrong(anna), free) == "is wrong"
    assert confirmed(cast.one_time_code(anna, free), free) == "after 6 wrong codes 'ANNA' is locked"
    free += timedelta(minutes=15)
    assert confirmed(cast.one_time_code(anna, free), free) == ""
    assert rows("SELECT failures, locked_until FROM enrolments") == [(0, None)]


def test_a_right_code_takes_back_that_others_were_wrong(anna: str) -> None:
    for number in range(3):
        moment = NOON + number * STEP
        assert [confirmed(wrong(anna), moment) for _ in range(4)] == ["is wrong"] * 4
        assert confirmed(cast.one_time_code(anna, moment), moment) == ""


def test_many_at_once_are_heard_no_more_often(anna: str) -> None:
    guess, together = wrong(anna), Barrier(6)

    def at_once(_: int) -> str:
        together.wait(10)
        return confirmed(guess)

    with ThreadPoolExecutor(6) as threads:
        said = sorted(threads.map(at_once, range(6)))
    assert said == ["after 5 wrong codes 'ANNA' is locked"] + ["is wrong"] * 5


def test_what_is_confirmed_and_the_code_go_together_while_the_try_counts(anna: str) -> None:
    code = cast.one_time_code(anna, NOON)
    with transaction() as db:
        confirm(db, "ANNA", code, NOON)
        db.rollback()
    assert rows("SELECT last_step, failures FROM enrolments") == [(None, 1)]
    assert confirmed(code) == ""
    assert rows("SELECT failures FROM enrolments") == [(0,)]


def test_who_is_no_enrolled_administrator_is_not_heard(anna: str) -> None:
    with transaction() as db:
        cast.operator(db, "BERT", administrator=False)
        cast.operator(db, "CARL")
        bert = cast.enrolled(db, "BERT")
    assert confirmed(cast.one_time_code(bert, NOON), operator="BERT") == "'BERT' is not an administrator"
    assert confirmed("123456", operator="CARL") == "'CARL' is not enrolled for codes"
    assert confirmed("123456", operator="NOBODY") == "'NOBODY' is no operator's code"


def test_nobody_confirms_with_the_codes_of_another(anna: str) -> None:
    with transaction() as db:
        cast.operator(db, "BERT")
        cast.enrolled(db, "BERT")
    assert confirmed(cast.one_time_code(anna, NOON), operator="BERT") == "is wrong"
    with transaction() as db:
        db.execute(text("UPDATE enrolments SET secret = (SELECT secret FROM enrolments WHERE operator_id = 1)"))
    said = "'BERT' was enrolled under another LIFECYCLE_OPERATOR_SECRET"
    assert confirmed(cast.one_time_code(anna, NOON), operator="BERT") == said
    assert confirmed(cast.one_time_code(anna, NOON)) == ""


def test_the_database_alone_makes_no_codes(anna: str) -> None:
    [(sealed,)] = rows("SELECT secret FROM enrolments")
    assert anna.encode() not in sealed
    assert anna not in repr(rows("SELECT * FROM enrolments"))


def test_under_another_secret_operators_are_told_to_enrol_again(anna: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFECYCLE_OPERATOR_SECRET", "another one, of some length")
    settings.cache_clear()
    said = "'ANNA' was enrolled under another LIFECYCLE_OPERATOR_SECRET"
    assert confirmed(cast.one_time_code(anna, NOON)) == said
    monkeypatch.delenv("LIFECYCLE_OPERATOR_SECRET")
    settings.cache_clear()
    assert confirmed(cast.one_time_code(anna, NOON)) == "is missing"


def test_enrolled_again_the_former_codes_are_wrong_and_the_lock_ends(anna: str) -> None:
    assert [confirmed(wrong(anna)) for _ in range(5)] == ["is wrong"] * 5
    with transaction() as db:
        codes_secret = cast.enrolled(db, "ANNA")
    assert confirmed(cast.one_time_code(anna, NOON)) == "is wrong"
    assert confirmed(cast.one_time_code(codes_secret, NOON)) == ""
