from dataclasses import replace
from datetime import date, timedelta

import pytest

from lifecycle.rules.outbox import Sent, State
from lifecycle.rules.plans import Decision, Held
from lifecycle.rules.service_expiry import Service, Step, Terms, decide, foreseen, told_day
from lifecycle.rules.subscriptions import Status

MARCH = date(2026, 3, 1)
"""The product page's example: suspended on 9 March, warned on 24 April, deleted on 1 May."""
SUSPENDED_ON, WARNED_ON, DELETED_ON = date(2026, 3, 9), date(2026, 4, 24), date(2026, 5, 1)
MAILED = Sent(State.SENT, date(2026, 1, 30))
NEVER = date(2000, 1, 1)


def service(
    expires_on: date = MARCH,
    status: Status = Status.ACTIVE,
    *,
    mail: Sent | None = MAILED,
    card: int | None = 1,
    warned_on: date | None = None,
    warning: State = State.SENT,
    reachable: bool = True,
    withheld: dict[Step, date] | None = None,
) -> Service:
    return Service(
        id=1,
        code="S1",
        product="DOMAIN",
        expires_on=expires_on,
        status=status,
        reachable=reachable,
        card=card,
        card_mail=mail,
        warning=Sent(warning, warned_on) if warned_on else None,
        withheld=withheld or {},
    )


def suspended(expires_on: date = MARCH, **about: object) -> Service:
    return service(expires_on, Status.SUSPENDED, **about)  # type: ignore[arg-type]


def on(day: date, *, live: bool = True, suspend: int = 7, warning: int = 7, delete: int = 60) -> Terms:
    return Terms(day, live, suspend_after_days=suspend, deletion_warning_days=warning, delete_after_days=delete)


def after(day: date, days: int = 1) -> date:
    return day + timedelta(days=days)


@pytest.mark.parametrize(
    ("expires_on", "suspension", "warning", "deletion"),
    [
        (MARCH, SUSPENDED_ON, WARNED_ON, DELETED_ON),  # the product page's example
        (date(2026, 1, 28), date(2026, 2, 5), date(2026, 3, 23), date(2026, 3, 30)),  # days, not months
        (date(2026, 1, 29), date(2026, 2, 6), date(2026, 3, 24), date(2026, 3, 31)),
        (date(2026, 1, 30), date(2026, 2, 7), date(2026, 3, 25), date(2026, 4, 1)),
        (date(2026, 1, 31), date(2026, 2, 8), date(2026, 3, 26), date(2026, 4, 2)),
        (date(2026, 2, 28), date(2026, 3, 8), date(2026, 4, 23), date(2026, 4, 30)),  # the last of February
        (date(2028, 2, 28), date(2028, 3, 7), date(2028, 4, 22), date(2028, 4, 29)),  # a leap day lies between
        (date(2028, 2, 29), date(2028, 3, 8), date(2028, 4, 23), date(2028, 4, 30)),  # expired on it
        (date(2026, 12, 31), date(2027, 1, 8), date(2027, 2, 23), date(2027, 3, 2)),  # over the year
    ],
)
def test_each_milestone_is_due_on_its_day_and_not_the_day_before(
    expires_on: date, suspension: date, warning: date, deletion: date
) -> None:
    mail = Sent(State.SENT, expires_on - timedelta(days=30))
    fresh, unwarned = service(expires_on, mail=mail), suspended(expires_on, mail=mail)
    warned = replace(unwarned, warning=Sent(State.SENT, warning))
    assert decide(fresh, on(after(expires_on))) == Decision((), suspension)
    assert decide(fresh, on(after(suspension, -1))) == Decision((), suspension)
    assert decide(fresh, on(suspension)) == Decision((Step.SUSPEND,), warning)
    assert decide(unwarned, on(after(suspension))) == Decision((), warning)
    assert decide(unwarned, on(after(warning, -1))) == Decision((), warning)
    assert decide(unwarned, on(warning)) == Decision((Step.WARN,), deletion)
    assert decide(warned, on(after(warning))) == Decision((), deletion)
    assert decide(warned, on(after(deletion, -1))) == Decision((), deletion)
    assert decide(warned, on(deletion)) == Decision((Step.DELETE,), None)
    assert decide(replace(warned, status=Status.DELETED), on(after(deletion))) == Decision((), None)


@pytest.mark.parametrize(
    ("subject", "day", "decision"),
    [
        # downtime over the suspension, over the warning, over all: what was missed is made up, in order
        (service(), date(2026, 3, 20), Decision((Step.SUSPEND,), WARNED_ON)),
        (suspended(), date(2026, 4, 29), Decision((Step.WARN,), date(2026, 5, 6))),
        (suspended(warned_on=date(2026, 4, 29)), DELETED_ON, Decision((), date(2026, 5, 6), Held.WARNED_LATELY)),
        (suspended(warned_on=date(2026, 4, 29)), date(2026, 5, 6), Decision((Step.DELETE,), None)),
        (service(), date(2026, 4, 23), Decision((Step.SUSPEND,), WARNED_ON)),
        (service(), WARNED_ON, Decision((Step.SUSPEND, Step.WARN), DELETED_ON)),
        (service(), date(2026, 8, 1), Decision((Step.SUSPEND, Step.WARN), date(2026, 8, 8))),
        # downtime over the deletion
        (suspended(warned_on=WARNED_ON), date(2026, 9, 1), Decision((Step.DELETE,), None)),
        # a warning that was queued and not sent is no warning, one that was refused needs a person
        (
            suspended(warned_on=WARNED_ON, warning=State.QUEUED),
            DELETED_ON,
            Decision((), after(DELETED_ON), Held.WARNING_NOT_SENT),
        ),
        (
            suspended(warned_on=WARNED_ON, warning=State.IN_DOUBT),
            DELETED_ON,
            Decision((), after(DELETED_ON), Held.WARNING_NOT_SENT),
        ),
        (
            suspended(warned_on=WARNED_ON, warning=State.FAILED),
            DELETED_ON,
            Decision((), after(DELETED_ON), Held.WARNING_REFUSED),
        ),
        (
            suspended(warned_on=WARNED_ON, warning=State.CANCELLED),
            DELETED_ON,
            Decision((), after(DELETED_ON), Held.WARNING_REFUSED),
        ),
        # reactivated and expired as before, though warned: suspended before it is deleted
        (service(warned_on=WARNED_ON), date(2026, 6, 1), Decision((Step.SUSPEND,), DELETED_ON)),
        # never ours to cut off
        (service(status=Status.WITHDRAWN), DELETED_ON, Decision((), None)),
        (service(status=Status.DISABLED), DELETED_ON, Decision((), None)),
    ],
)
def test_what_is_due_and_when_to_look_again(subject: Service, day: date, decision: Decision[Step]) -> None:
    assert decide(subject, on(day)) == decision


@pytest.mark.parametrize(("status", "day"), [(Status.ACTIVE, SUSPENDED_ON), (Status.SUSPENDED, WARNED_ON)])
@pytest.mark.parametrize(
    ("about", "held"),
    [
        ({"reachable": False}, Held.NO_ADDRESS),
        ({"card": None, "mail": None}, Held.NO_CARD),
        ({"mail": None}, Held.CARD_NOT_SENT),  # in the trial time, or queued by nobody yet
        ({"mail": Sent(State.QUEUED, NEVER)}, Held.CARD_NOT_SENT),
        ({"mail": Sent(State.SENDING, NEVER)}, Held.CARD_NOT_SENT),
        ({"mail": Sent(State.IN_DOUBT, NEVER)}, Held.CARD_NOT_SENT),
        ({"mail": Sent(State.FAILED, NEVER)}, Held.CARD_REFUSED),
        ({"mail": Sent(State.CANCELLED, NEVER)}, Held.CARD_REFUSED),
    ],
)
def test_without_an_address_or_a_card_that_was_sent_nothing_is_done(
    status: Status, day: date, about: dict[str, object], held: Held
) -> None:
    subject = service(status=status, **about)  # type: ignore[arg-type]
    assert decide(subject, on(after(day, -1))).held is None  # nothing is due: nothing is in the way
    assert decide(subject, on(day)) == Decision((), after(day), held)
    warned = replace(subject, status=Status.SUSPENDED, warning=Sent(State.SENT, WARNED_ON))
    assert decide(warned, on(DELETED_ON)) == Decision((), after(DELETED_ON), held)


@pytest.mark.parametrize(
    ("mailed_on", "decision"),
    [
        (date(2026, 3, 2), Decision((Step.SUSPEND,), WARNED_ON)),  # seven days before
        (date(2026, 3, 3), Decision((), date(2026, 3, 10), Held.CARD_SENT_LATELY)),  # six: tomorrow
        (SUSPENDED_ON, Decision((), date(2026, 3, 16), Held.CARD_SENT_LATELY)),  # today
    ],
)
def test_a_card_that_was_sent_late_is_waited_for(mailed_on: date, decision: Decision[Step]) -> None:
    assert decide(service(mail=Sent(State.SENT, mailed_on)), on(SUSPENDED_ON)) == decision


def test_a_new_card_is_waited_for_before_deletion_too() -> None:
    subject = suspended(mail=Sent(State.SENT, date(2026, 4, 28)), warned_on=WARNED_ON)
    assert decide(subject, on(DELETED_ON)) == Decision((), date(2026, 5, 5), Held.CARD_SENT_LATELY)
    assert decide(subject, on(date(2026, 5, 5))) == Decision((Step.DELETE,), None)


@pytest.mark.parametrize(
    ("subject", "terms", "decision"),
    [
        # suspended on the first day without a term
        (service(), on(MARCH, suspend=0), Decision((), date(2026, 3, 2))),
        (service(), on(date(2026, 3, 2), suspend=0), Decision((Step.SUSPEND,), WARNED_ON)),
        # no days between warning and deletion: there is a night between them all the same
        (suspended(), on(date(2026, 4, 29), warning=0), Decision((), date(2026, 4, 30))),
        (suspended(), on(date(2026, 4, 30), warning=0), Decision((Step.WARN,), DELETED_ON)),
        (suspended(), on(date(2026, 5, 9), warning=0), Decision((Step.WARN,), date(2026, 5, 10))),
        # deletion before suspension: suspended and warned, and deleted after the wait
        (service(), on(SUSPENDED_ON, delete=0), Decision((Step.SUSPEND, Step.WARN), date(2026, 3, 16))),
        (
            service(),
            on(date(2026, 3, 2), suspend=0, warning=0, delete=0),
            Decision((Step.SUSPEND, Step.WARN), date(2026, 3, 3)),
        ),
        # other terms
        (service(), on(date(2026, 3, 16), suspend=14), Decision((Step.SUSPEND,), WARNED_ON)),
        (suspended(), on(date(2026, 4, 1), warning=30), Decision((Step.WARN,), DELETED_ON)),
        (suspended(warned_on=WARNED_ON), on(DELETED_ON, delete=90), Decision((), date(2026, 5, 31))),
    ],
)
def test_the_policy_s_days_are_followed(subject: Service, terms: Terms, decision: Decision[Step]) -> None:
    assert decide(subject, terms) == decision


SHOWN = {Step.WITHHOLD_SUSPENDING: SUSPENDED_ON}
WARNED_IN_TRIAL = SHOWN | {Step.WITHHOLD_WARNING: WARNED_ON}
DELETED_IN_TRIAL = WARNED_IN_TRIAL | {Step.WITHHOLD_DELETING: DELETED_ON}


@pytest.mark.parametrize(
    ("withheld", "day", "steps", "held"),
    [
        ({}, date(2026, 3, 8), (), None),
        ({}, SUSPENDED_ON, (Step.WITHHOLD_SUSPENDING,), Held.NOT_LIVE),
        (SHOWN, after(SUSPENDED_ON), (), Held.NOT_LIVE),
        (SHOWN, WARNED_ON, (Step.WITHHOLD_WARNING,), Held.NOT_LIVE),
        ({}, WARNED_ON, (Step.WITHHOLD_SUSPENDING, Step.WITHHOLD_WARNING), Held.NOT_LIVE),
        (WARNED_IN_TRIAL, after(DELETED_ON, -1), (), Held.NOT_LIVE),
        (WARNED_IN_TRIAL, DELETED_ON, (Step.WITHHOLD_DELETING,), Held.NOT_LIVE),
        (DELETED_IN_TRIAL, date(2026, 6, 1), (), Held.NOT_LIVE),
    ],
)
def test_before_go_live_everything_is_shown_once_and_looked_at_daily(
    withheld: dict[Step, date], day: date, steps: tuple[Step, ...], held: Held | None
) -> None:
    look_on = after(day) if held else SUSPENDED_ON
    assert decide(service(withheld=withheld), on(day, live=False)) == Decision(steps, look_on, held)


def test_on_the_first_live_day_what_is_still_due_is_done_in_order() -> None:
    """What was withheld warned nobody."""
    day = date(2026, 6, 1)
    assert decide(service(withheld=DELETED_IN_TRIAL), on(day)) == Decision((Step.SUSPEND, Step.WARN), date(2026, 6, 8))


@pytest.mark.parametrize(
    ("subject", "step", "day", "told"),
    [
        (service(), Step.SUSPEND, date(2026, 3, 20), date(2026, 3, 20)),
        (suspended(), Step.WARN, WARNED_ON, DELETED_ON),  # in time
        (suspended(), Step.WARN, date(2026, 4, 29), date(2026, 5, 6)),  # late: seven days from the warning
        (service(), Step.WITHHOLD_WARNING, WARNED_ON, DELETED_ON),
        (suspended(warned_on=WARNED_ON), Step.DELETE, DELETED_ON, DELETED_ON),
    ],
)
def test_a_notice_names_the_day_of_its_step(subject: Service, step: Step, day: date, told: date) -> None:
    assert told_day(subject, step, on(day)) == told


@pytest.mark.parametrize(
    ("subject", "day", "coming"),
    [
        (service(), date(2026, 2, 22), []),  # in 15 days
        (service(), date(2026, 2, 23), [(Step.SUSPEND, SUSPENDED_ON)]),  # in 14
        (service(), date(2026, 3, 8), [(Step.SUSPEND, SUSPENDED_ON)]),  # tomorrow
        (service(), SUSPENDED_ON, []),  # today: it is in the plan
        (service(mail=Sent(State.SENT, date(2026, 3, 6))), SUSPENDED_ON, [(Step.SUSPEND, date(2026, 3, 13))]),
        (service(mail=Sent(State.QUEUED, date(2026, 3, 6))), SUSPENDED_ON, [(Step.SUSPEND, date(2026, 3, 13))]),
        (service(mail=Sent(State.FAILED, date(2026, 3, 6))), date(2026, 3, 8), []),  # nothing will be, as it is
        (service(card=None, mail=None), date(2026, 3, 8), []),
        (service(reachable=False), date(2026, 3, 8), []),
        (suspended(), date(2026, 4, 16), []),
        (suspended(), date(2026, 4, 17), [(Step.DELETE, DELETED_ON)]),  # not warned yet: it will be in time
        (suspended(), date(2026, 4, 29), [(Step.DELETE, date(2026, 5, 6))]),  # late
        (suspended(warned_on=WARNED_ON), date(2026, 4, 30), [(Step.DELETE, DELETED_ON)]),
        (suspended(warned_on=WARNED_ON), DELETED_ON, []),  # in the plan
        (service(), date(2026, 8, 1), [(Step.DELETE, date(2026, 8, 8))]),  # suspended and warned today
        (service(status=Status.DELETED), date(2026, 4, 17), []),
    ],
)
def test_what_is_cut_off_in_the_next_days_is_foreseen(
    subject: Service, day: date, coming: list[tuple[Step, date]]
) -> None:
    assert foreseen(subject, on(day), 14) == coming


def test_in_the_trial_time_is_foreseen_what_would_be_withheld() -> None:
    shown = service(withheld=SHOWN)
    assert foreseen(shown, on(date(2026, 4, 23), live=False), 14) == [(Step.DELETE, DELETED_ON)]
    assert foreseen(service(withheld=DELETED_IN_TRIAL), on(date(2026, 5, 2), live=False), 14) == []


def test_what_is_foreseen_is_what_comes() -> None:
    """Day by day, all mails sent: each cut was announced on each of the fourteen days before it."""
    subject, announced = service(), dict[Step, list[date]]()
    for day in (MARCH + timedelta(days=n) for n in range(-20, 90)):
        for step, coming_on in foreseen(subject, on(day), 14):
            announced.setdefault(step, []).append(coming_on)
        for step in decide(subject, on(day)).steps:
            match step:
                case Step.SUSPEND:
                    assert announced[step] == [day] * 14
                    subject = replace(subject, status=Status.SUSPENDED)
                case Step.WARN:
                    subject = replace(subject, warning=Sent(State.SENT, day))
                case Step.DELETE:
                    assert announced[step] == [day] * 14
                    subject = replace(subject, status=Status.DELETED)
    assert subject.status is Status.DELETED
