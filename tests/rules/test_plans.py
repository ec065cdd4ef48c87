from datetime import date

from lifecycle.rules.plans import digest

DAY = date(2019, 10, 1)
STEPS = [(1, "access disabled", date(2019, 3, 31)), (2, "notice after 3 months", date(2019, 6, 30))]


def test_the_digest_stands_for_the_steps_whatever_their_order() -> None:
    assert digest(DAY, STEPS) == digest(DAY, reversed(STEPS))
    assert len(digest(DAY, STEPS)) == 16


def test_any_difference_makes_another_digest() -> None:
    others = [
        digest(date(2019, 10, 2), STEPS),
        digest(DAY, STEPS[:1]),
        digest(DAY, []),
        digest(DAY, [(3, *STEPS[0][1:]), STEPS[1]]),
        digest(DAY, [(1, "notice of disabled access", STEPS[0][2]), STEPS[1]]),
        digest(DAY, [(1, STEPS[0][1], date(2019, 3, 30)), STEPS[1]]),
    ]
    assert len({digest(DAY, STEPS), *others}) == 7
