"""RFC 6238: which codes are taken, and when nobody is listened to any more."""

from base64 import b32encode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyotp import TOTP

from lifecycle.rules.one_time_code import (
    LOCKED_FOR,
    MOST_FAILURES,
    Operator,
    Tries,
    digits,
    heard,
    matched,
    mismatch,
    step_at,
)

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
STEP = step_at(NOON)
MINUTE = timedelta(minutes=1)


def code_of(step: int) -> str:
    """Another one for each step, so that we see which one was taken."""
    return f"{step % 1_000_000:06}"


@pytest.mark.parametrize(
    ("unix", "code"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_standard(unix: int, code: str) -> None:
    """RFC 6238, appendix B, whose codes have two more digits in front."""
    app = TOTP(b32encode(b"12345678901234567890").decode())
    assert app.generate_otp(step_at(datetime.fromtimestamp(unix, UTC))) == code


@pytest.mark.parametrize(
    ("steps", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)  # from the step of the moment to that of the code
@pytest.mark.parametrize("seconds", [0, 29])
def test_the_code_of_this_step_and_of_those_beside_it_is_taken(steps: int, seconds: int, taken: bool) -> None:
    at = NOON + timedelta(seconds=seconds)
    assert matched(code_of(STEP + steps), at, code_of) == (STEP + steps if taken else None)


@given(st.integers(0, 10**10), st.integers(-100, 100))
def test_a_code_is_taken_for_half_a_minute_or_more_and_less_than_a_minute_to_either_side(
    unix: int, seconds: int
) -> None:
    moment, shown = (datetime.fromtimestamp(second, UTC) for second in (unix, unix + seconds))
    step = matched(code_of(step_at(shown)), moment, code_of)
    assert step in {step_at(shown), None}
    assert step is not None if abs(seconds) <= 30 else step is None or abs(seconds) < 60


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        (-2, "is the code of an earlier moment"),
        (-21, "is the code of an earlier moment"),
        (-22, "is wrong"),
        (2, "is wrong"),
    ],
)
def test_a_code_that_was_right_within_ten_minutes_is_called_stale(steps: int, problem: str) -> None:
    assert mismatch(code_of(STEP + steps), NOON, code_of, Tries(1)).problem == problem


def test_the_code_that_locks_says_so() -> None:
    finding = mismatch("000000", NOON, code_of, Tries(4).one_more(NOON))
    assert finding.expected == "the six digits that the app shows now, in 15 minutes: until then none is looked at"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("123456", "123456"),
        (" 123 456\n", "123456"),
        ("012345", "012345"),
        ("12345", None),
        ("1234567", None),
        ("12345a", None),
        ("１２３４５６", None),
        ("", None),
    ],
)
def test_a_code_is_six_digits_with_or_without_blanks(typed: str, code: str | None) -> None:
    assert digits(typed) == code


def test_after_five_wrong_codes_in_a_row_and_after_each_further_one_nobody_is_listened_to() -> None:
    tries, moment = Tries(), NOON
    for number in range(1, 9):
        assert not tries.is_locked(moment)
        tries = tries.one_more(moment)
        assert tries.failures == number
        assert tries.is_locked(moment) is (number >= 5)
        moment = tries.locked_until or moment
    assert moment - NOON == timedelta(hours=1), "four locks of 15 minutes"


@given(st.lists(st.integers(0, 20 * 60), max_size=60))
def test_whoever_guesses_is_heard_at_most_five_times_and_then_once_in_15_minutes(pauses: list[int]) -> None:
    """However tries are spread in time, in seconds from one to the next."""
    tries, moment, heard = Tries(), NOON, 0
    for pause in pauses:
        moment += timedelta(seconds=pause)
        if not tries.is_locked(moment):
            tries, heard = tries.one_more(moment), heard + 1
    assert heard <= MOST_FAILURES + (moment - NOON) // LOCKED_FOR


LOCKED = Tries(5, NOON)


@pytest.mark.parametrize(
    ("operator", "moment", "said"),
    [
        (None, NOON, "operator: 'ANNA' is no operator's code; expected a code that `lifecycle operators` lists"),
        (
            Operator("ANNA", "Anna", False, b"secret", NOON, Tries()),
            NOON,
            "operator: 'ANNA' is not an administrator; expected one who is: see `lifecycle operators`",
        ),
        (
            Operator("ANNA", "Anna", True, None, None, Tries()),
            NOON,
            "operator: 'ANNA' is not enrolled for codes; expected one who is: `lifecycle operators enrol ANNA`",
        ),
        (
            Operator("ANNA", "Anna", True, b"secret", NOON, LOCKED),
            NOON - timedelta(minutes=3, seconds=1),
            "one_time_code: after 5 wrong codes 'ANNA' is locked; expected another try in 4 minutes",
        ),
        (
            Operator("ANNA", "Anna", True, b"secret", NOON, LOCKED),
            NOON - MINUTE,
            "one_time_code: after 5 wrong codes 'ANNA' is locked; expected another try in 1 minute",
        ),
    ],
)
def test_who_is_not_heard_is_told_why(operator: Operator | None, moment: datetime, said: str) -> None:
    assert str(heard(operator, "ANNA", moment)) == said


def test_an_enrolled_administrator_is_heard_from_the_moment_the_lock_ends() -> None:
    anna = Operator("ANNA", "Anna", True, b"secret", NOON, LOCKED)
    assert heard(anna, "ANNA", NOON) == anna
