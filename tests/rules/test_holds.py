from datetime import date, timedelta

import pytest

from lifecycle.rules.holds import Hold

TODAY = date(2026, 6, 15)
YESTERDAY, TOMORROW, NEXT_WEEK = (TODAY + timedelta(days=days) for days in (-1, 1, 7))


def wrong(until: date, known: date | None = None, *, reason: str = "lawsuit 7") -> list[str]:
    return [finding.where for finding in Hold.asked(reason, until, "OP1").wrong(known, TODAY)]


@pytest.mark.parametrize(
    ("until", "known", "accepted"),
    [
        (TODAY, None, True),  # the day itself is held
        (NEXT_WEEK, None, True),
        (TODAY, NEXT_WEEK, True),  # shortened
        (YESTERDAY, NEXT_WEEK, True),  # ended
        (YESTERDAY, TODAY, True),
        (YESTERDAY, YESTERDAY, True),  # the same once more: it was ended already
        (YESTERDAY, None, False),  # nothing to end
        (YESTERDAY, YESTERDAY - timedelta(days=1), False),  # it would be prolonged into the past
        (YESTERDAY - timedelta(days=1), NEXT_WEEK, False),  # what was held was held
    ],
)
def test_a_hold_lasts_until_a_day_that_is_not_past_or_is_ended(until: date, known: date | None, accepted: bool) -> None:
    assert wrong(until, known) == ([] if accepted else ["until"])


def test_what_is_refused_says_how_a_hold_is_ended() -> None:
    [finding] = Hold.asked("lawsuit 7", YESTERDAY, "OP1").wrong(None, TODAY)
    assert str(finding) == (
        "until: 2026-06-14 is past; "
        "expected 2026-06-15 or a later day; 2026-06-14 ends a hold that lasts, given with exactly its reason"
    )


def test_everything_that_is_wrong_is_named_at_once() -> None:
    assert wrong(YESTERDAY, reason=" \n") == ["reason", "until"]
    assert wrong(TODAY, reason="a\0b") == ["reason"]
    assert wrong(TODAY, reason="x" * 301) == ["reason"]
    assert wrong(TODAY, reason="x" * 300) == []


def test_white_space_makes_no_other_reason() -> None:
    assert Hold.asked(" lawsuit\n 7 ", TODAY, " OP1 ") == Hold("lawsuit 7", TODAY, "OP1")


@pytest.mark.parametrize(
    ("until", "known", "effect"),
    [
        (TODAY, None, "placed"),
        (TODAY, YESTERDAY, "placed"),  # it had ended
        (NEXT_WEEK, TODAY, "prolonged"),
        (TOMORROW, NEXT_WEEK, "shortened"),
        (TODAY, NEXT_WEEK, "shortened"),
        (YESTERDAY, TODAY, "ended"),
        (TODAY, TODAY, "unchanged"),
        (YESTERDAY, YESTERDAY, "unchanged"),
    ],
)
def test_what_it_does_is_said(until: date, known: date | None, effect: str) -> None:
    assert Hold("lawsuit 7", until, "OP1").effect(known, TODAY) == effect
