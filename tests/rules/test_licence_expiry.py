from dataclasses import replace
from datetime import date, timedelta

import pytest

from lifecycle.rules.licence_expiry import (
    Licence,
    Step,
    Terms,
    decide,
    foreseen,
    told_end,
    warn_on,
)
from lifecycle.rules.outbox import Sent, State
from lifecycle.rules.plans import Decision, Held
from lifecycle.rules.subscriptions import Status

MARCH = date(2019, 3, 31)
"""The product page's example: the warning is due on 1 July, access ends on 1 October."""
JULY, OCTOBER = date(2019, 7, 1), date(2019, 10, 1)


def licence(
    expires_on: date = MARCH,
    *,
    warned_on: date | None = None,
    state: State = State.SENT,
    disabled_on: date | None = None,
    told_on: date | None = None,
    reachable: bool = True,
    withheld: frozenset[Step] = frozenset(),
) -> Licence:
    return Licence(
        id=1,
        code="L1",
        product="CLOUD",
        expires_on=expires_on,
        status=Status.DISABLED if disabled_on else Status.ACTIVE,
        reachable=reachable,
        disabled_on=disabled_on,
        warning=Sent(state, warned_on) if warned_on else None,
        telling=Sent(State.SENT, told_on) if told_on else None,
        withheld=withheld,
    )


def on(day: date, *, notices: bool = True, access: bool = True, wait: int = 30) -> Terms:
    return Terms(day, notices_live=notices, access_live=access, warning_days=wait)


def tomorrow(day: date) -> date:
    return day + timedelta(days=1)


@pytest.mark.parametrize(
    ("expires_on", "warning", "ends"),
    [
        (date(2019, 3, 31), date(2019, 7, 1), date(2019, 10, 1)),  # the product page's example
        (date(2019, 3, 30), date(2019, 7, 1), date(2019, 10, 1)),  # 30 June and 30 September, clamped or not
        (date(2019, 8, 31), date(2019, 12, 1), date(2020, 3, 1)),  # clamped twice, leap year
        (date(2018, 8, 31), date(2018, 12, 1), date(2019, 3, 1)),  # the same, no leap year
        (date(2018, 8, 28), date(2018, 11, 29), date(2019, 3, 1)),  # four expiries end access on one day
        (date(2018, 11, 30), date(2019, 3, 1), date(2019, 5, 31)),  # clamped at 3 months, not at 6
        (date(2019, 11, 29), date(2020, 3, 1), date(2020, 5, 30)),  # 29 February is there
        (date(2020, 2, 29), date(2020, 5, 30), date(2020, 8, 30)),  # expired on it
        (date(2019, 12, 31), date(2020, 4, 1), date(2020, 7, 1)),  # over the year
        (date(2019, 6, 15), date(2019, 9, 16), date(2019, 12, 16)),  # nothing to clamp
    ],
)
def test_each_milestone_is_due_on_its_day_and_not_the_day_before(expires_on: date, warning: date, ends: date) -> None:
    fresh, warned = licence(expires_on), licence(expires_on, warned_on=warning)
    assert warn_on(expires_on) == warning
    assert decide(fresh, on(warning - timedelta(days=1))) == Decision((), warning)
    assert decide(fresh, on(warning)) == Decision((Step.WARN,), ends)
    assert decide(fresh, on(tomorrow(warning))) == Decision((Step.WARN,), ends)
    assert decide(warned, on(ends - timedelta(days=1))) == Decision((), ends)
    assert decide(warned, on(ends)) == Decision((Step.DISABLE, Step.TELL), None)
    assert decide(warned, on(tomorrow(ends))) == Decision((Step.DISABLE, Step.TELL), None)


@pytest.mark.parametrize(
    ("subject", "terms", "decision"),
    [
        # valid, and expired for less than three months
        (licence(), on(date(2019, 3, 31)), Decision((), JULY)),
        (licence(), on(date(2019, 4, 1)), Decision((), JULY)),
        # both milestones passed during 100 days of downtime: the warning first, access 30 days later
        (licence(), on(date(2019, 10, 9)), Decision((Step.WARN,), date(2019, 11, 8))),
        (
            licence(warned_on=date(2019, 10, 9)),
            on(date(2019, 11, 7)),
            Decision((), date(2019, 11, 8), Held.WARNED_LATELY),
        ),
        (licence(warned_on=date(2019, 10, 9)), on(date(2019, 11, 8)), Decision((Step.DISABLE, Step.TELL), None)),
        # warned 29, 30, 31 days before the six months: only the first one waits, one day
        (licence(warned_on=date(2019, 9, 2)), on(OCTOBER), Decision((), date(2019, 10, 2), Held.WARNED_LATELY)),
        (licence(warned_on=date(2019, 9, 1)), on(OCTOBER), Decision((Step.DISABLE, Step.TELL), None)),
        (licence(warned_on=date(2019, 8, 31)), on(OCTOBER), Decision((Step.DISABLE, Step.TELL), None)),
        # warned, and the months have not passed: when access may end is known
        (licence(warned_on=date(2019, 9, 20)), on(date(2019, 9, 21)), Decision((), date(2019, 10, 20))),
        # a warning that was queued and not sent is no warning
        (
            licence(warned_on=JULY, state=State.QUEUED),
            on(OCTOBER),
            Decision((), tomorrow(OCTOBER), Held.WARNING_NOT_SENT),
        ),
        (
            licence(warned_on=JULY, state=State.SENDING),
            on(OCTOBER),
            Decision((), tomorrow(OCTOBER), Held.WARNING_NOT_SENT),
        ),
        (
            licence(warned_on=JULY, state=State.IN_DOUBT),
            on(OCTOBER),
            Decision((), tomorrow(OCTOBER), Held.WARNING_NOT_SENT),
        ),
        # one that was refused needs a person
        (
            licence(warned_on=JULY, state=State.FAILED),
            on(OCTOBER),
            Decision((), tomorrow(OCTOBER), Held.WARNING_REFUSED),
        ),
        (
            licence(warned_on=JULY, state=State.CANCELLED),
            on(OCTOBER),
            Decision((), tomorrow(OCTOBER), Held.WARNING_REFUSED),
        ),
        # before the six months nobody minds
        (licence(warned_on=JULY, state=State.FAILED), on(tomorrow(JULY)), Decision((), OCTOBER)),
        # nobody can be warned without an address, and so nobody cut off
        (licence(reachable=False), on(JULY), Decision((), tomorrow(JULY), Held.NO_ADDRESS)),
        (licence(reachable=False), on(OCTOBER), Decision((), tomorrow(OCTOBER), Held.NO_ADDRESS)),
        # warned while there was an address: cut off, and told when there is one again
        (
            licence(warned_on=JULY, reachable=False),
            on(OCTOBER),
            Decision((Step.DISABLE,), tomorrow(OCTOBER), Held.NO_ADDRESS),
        ),
        (licence(warned_on=JULY, disabled_on=OCTOBER), on(date(2020, 1, 1)), Decision((Step.TELL,), None)),
        # told: nothing more before a renewal
        (licence(warned_on=JULY, disabled_on=OCTOBER, told_on=OCTOBER), on(date(2020, 1, 1)), Decision((), None)),
        # renewed on the very day, before the sweep: the new lapse is far away
        (licence(date(2020, 3, 31)), on(JULY), Decision((), date(2020, 7, 1))),
        # renewed too short, long after: it lapses again, and is warned again
        (licence(date(2019, 6, 30)), on(OCTOBER), Decision((Step.WARN,), date(2019, 12, 31))),
    ],
)
def test_what_is_due_and_when_to_look_again(subject: Licence, terms: Terms, decision: Decision[Step]) -> None:
    assert decide(subject, terms) == decision


@pytest.mark.parametrize(
    ("subject", "terms", "decision"),
    [
        # notices are not live: what would be sent is shown once, and looked at daily
        (licence(), on(JULY, notices=False), Decision((Step.WITHHOLD_WARNING,), tomorrow(JULY), Held.NOT_LIVE)),
        (
            licence(withheld=frozenset({Step.WITHHOLD_WARNING})),
            on(tomorrow(JULY), notices=False),
            Decision((), date(2019, 7, 3), Held.NOT_LIVE),
        ),
        # the first live day: it is done once; what was withheld before is no warning, so access waits
        (
            licence(withheld=frozenset({Step.WITHHOLD_WARNING})),
            on(date(2019, 9, 20)),
            Decision((Step.WARN,), date(2019, 10, 20)),
        ),
        # go-live between the milestones and after both: 30 days always
        (licence(), on(date(2020, 2, 1)), Decision((Step.WARN,), date(2020, 3, 2))),
        # access is not live: shown once, nothing changes, and the customer is told nothing yet
        (
            licence(warned_on=JULY),
            on(OCTOBER, access=False),
            Decision((Step.WITHHOLD_DISABLING,), tomorrow(OCTOBER), Held.NOT_LIVE),
        ),
        (
            licence(warned_on=JULY, withheld=frozenset({Step.WITHHOLD_DISABLING})),
            on(tomorrow(OCTOBER), access=False),
            Decision((), date(2019, 10, 3), Held.NOT_LIVE),
        ),
        (
            licence(warned_on=JULY, withheld=frozenset({Step.WITHHOLD_DISABLING})),
            on(date(2019, 12, 1)),
            Decision((Step.DISABLE, Step.TELL), None),
        ),
        # access is live, notices are not any more: cut off, and told once they are
        (
            licence(warned_on=JULY),
            on(OCTOBER, notices=False),
            Decision((Step.DISABLE, Step.WITHHOLD_TELLING), tomorrow(OCTOBER), Held.NOT_LIVE),
        ),
        (
            licence(warned_on=JULY, disabled_on=OCTOBER, withheld=frozenset({Step.WITHHOLD_TELLING})),
            on(date(2019, 10, 9), notices=False),
            Decision((), date(2019, 10, 10), Held.NOT_LIVE),
        ),
        (
            licence(warned_on=JULY, disabled_on=OCTOBER, withheld=frozenset({Step.WITHHOLD_TELLING})),
            on(date(2019, 10, 9)),
            Decision((Step.TELL,), None),
        ),
    ],
)
def test_before_go_live_everything_is_shown_and_nothing_done(
    subject: Licence, terms: Terms, decision: Decision[Step]
) -> None:
    assert decide(subject, terms) == decision


@pytest.mark.parametrize(
    ("subject", "day", "decision"),
    [
        (licence(), JULY, Decision((Step.WARN,), OCTOBER)),  # the warning is sent as ever
        (licence(), OCTOBER, Decision((Step.DISABLE, Step.TELL), None)),  # never warned: "three months left" is untrue
        (licence(warned_on=date(2019, 9, 30)), OCTOBER, Decision((Step.DISABLE, Step.TELL), None)),  # yesterday
        (licence(warned_on=JULY, state=State.FAILED), OCTOBER, Decision((Step.DISABLE, Step.TELL), None)),
        (licence(reachable=False), OCTOBER, Decision((Step.DISABLE,), tomorrow(OCTOBER), Held.NO_ADDRESS)),
    ],
)
def test_no_warning_days_turn_the_wait_off(subject: Licence, day: date, decision: Decision[Step]) -> None:
    assert decide(subject, on(day, wait=0)) == decision


def test_a_longer_wait_counts_from_the_warning() -> None:
    assert decide(licence(), on(JULY, wait=120)).look_on == date(2019, 10, 29)
    assert decide(licence(warned_on=JULY), on(date(2019, 10, 28), wait=120)).held is Held.WARNED_LATELY
    assert decide(licence(warned_on=JULY), on(date(2019, 10, 29), wait=120)).steps == (Step.DISABLE, Step.TELL)


@pytest.mark.parametrize(
    ("subject", "step", "day", "end"),
    [
        (licence(), Step.WARN, JULY, OCTOBER),  # in time
        (licence(), Step.WARN, date(2019, 9, 10), date(2019, 10, 10)),  # late: 30 days from the notice
        (licence(), Step.WITHHOLD_WARNING, JULY, OCTOBER),
        (licence(warned_on=JULY), Step.TELL, OCTOBER, OCTOBER),  # cut off by this very run
        (licence(warned_on=JULY, disabled_on=OCTOBER), Step.TELL, date(2019, 11, 5), OCTOBER),  # by an earlier one
    ],
)
def test_a_notice_names_the_day_on_which_access_ends(subject: Licence, step: Step, day: date, end: date) -> None:
    assert told_end(subject, step, on(day)) == end


@pytest.mark.parametrize(
    ("subject", "day", "ending"),
    [
        (licence(warned_on=JULY), date(2019, 9, 16), None),  # in 15 days
        (licence(warned_on=JULY), date(2019, 9, 17), OCTOBER),  # in 14
        (licence(warned_on=JULY), date(2019, 9, 30), OCTOBER),  # tomorrow
        (licence(warned_on=JULY), OCTOBER, None),  # today: it is in the plan
        (licence(warned_on=date(2019, 9, 10)), date(2019, 10, 1), date(2019, 10, 10)),  # it waits for the warning
        (licence(), date(2019, 9, 30), None),  # not warned: not within 14 days
        (licence(warned_on=JULY, disabled_on=OCTOBER), date(2019, 9, 30), None),  # is disabled
    ],
)
def test_who_loses_access_in_the_next_days_is_foreseen(subject: Licence, day: date, ending: date | None) -> None:
    assert foreseen(subject, on(day), 14) == ([(Step.DISABLE, ending)] if ending else [])


def test_what_was_done_is_not_done_again() -> None:
    told = replace(licence(warned_on=JULY, disabled_on=OCTOBER), telling=Sent(State.QUEUED, OCTOBER))
    for terms in (on(JULY), on(OCTOBER), on(date(2021, 1, 1))):
        assert decide(told, terms).steps == ()
    for state in State:
        assert Step.WARN not in decide(licence(warned_on=JULY, state=state), on(JULY)).steps
