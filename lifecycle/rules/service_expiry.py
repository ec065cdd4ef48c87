"""Service expiry: what is due for a service that was not paid, on a day.

Three milestones follow an expiry: some days later the service is suspended, some days before its deletion its customer
is warned, and then it is deleted for good. None of them comes before the service's card was really sent, long enough
ago, and stands open; deletion waits for the warning as well, in the same way. All are due "at or past the milestone and
not yet done": a missed day is made up by the next one.

The safety case. Deletion cannot be undone, so whatever is not known speaks for the customer: without an address, an
open card with the present expiry, its mail sent, and the warning sent, a service is held and looked at again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum

from lifecycle.rules.outbox import Sent, State
from lifecycle.rules.plans import Decision, Held
from lifecycle.rules.subscriptions import Status

CARD_SENT_DAYS = 7
"""So long before any of it the service's card must have been sent."""


class Step(StrEnum):
    """What a sweep does to one service; the values are the names under which it is planned and counted."""

    SUSPEND = "service suspended"
    WARN = "warning of deletion"
    DELETE = "service deleted"
    WITHHOLD_SUSPENDING = "suspension, withheld"
    WITHHOLD_WARNING = "warning of deletion, withheld"
    WITHHOLD_DELETING = "deletion, withheld"


CUTTING = {Step.SUSPEND, Step.DELETE}
"""The steps that the brake looks at."""

_WITHHELD = {
    Step.SUSPEND: Step.WITHHOLD_SUSPENDING,
    Step.WARN: Step.WITHHOLD_WARNING,
    Step.DELETE: Step.WITHHOLD_DELETING,
}


@dataclass(frozen=True, slots=True)
class Service:
    """A service as a sweep sees it: its current lapse, and what was done about it.

    `card` is the open card that it stands on with its present expiry, `card_number` that card's number. `card_mail` is
    the mail of that card which told of this service and was sent first; where none was, the last one that was not. Its
    day, and that of `warning`, is the business date of the run moved on by the days that the mail waited to be sent.
    `due_on`: the day on which a sweep must look at it. `withheld`: the steps recorded as withheld for this lapse, and
    the business dates on which they were.
    """

    id: int
    code: str
    product: str
    expires_on: date
    status: Status
    reachable: bool
    due_on: date | None = None
    card: int | None = None
    card_number: str = ""
    card_mail: Sent | None = None
    warning: Sent | None = None
    withheld: Mapping[Step, date] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for a sweep: the day it acts for, whether the stream is live on it, and the policy's days."""

    day: date
    live: bool
    suspend_after_days: int
    deletion_warning_days: int
    delete_after_days: int

    @property
    def wait(self) -> timedelta:
        """From warning to deletion; a warning on the very day would be none."""
        return timedelta(days=max(1, self.deletion_warning_days))


def suspend_on(expires_on: date, terms: Terms) -> date:
    """The first day on which suspension is due."""
    return expires_on + timedelta(days=terms.suspend_after_days + 1)


def warn_on(expires_on: date, terms: Terms) -> date:
    """The first day on which the warning is due."""
    return expires_on + timedelta(days=terms.delete_after_days + 1) - terms.wait


def delete_on(expires_on: date, warned_on: date, terms: Terms) -> date:
    """The first day on which a service may be deleted, given the business date of its warning."""
    return max(warn_on(expires_on, terms), warned_on) + terms.wait


def decide(service: Service, terms: Terms) -> Decision[Step]:
    """What is due for `service`. Before the go-live what was withheld counts as done, and nothing really is."""
    if terms.live:
        return _due(service, terms)
    trial = _due(_as_if_done(service), terms)
    if not trial.steps and not service.withheld:
        return trial
    return Decision(tuple(_WITHHELD[step] for step in trial.steps), terms.day + timedelta(days=1), Held.NOT_LIVE)


def _as_if_done(service: Service) -> Service:
    status, warning = service.status, service.warning
    if Step.WITHHOLD_SUSPENDING in service.withheld:
        status = Status.SUSPENDED
    if Step.WITHHOLD_DELETING in service.withheld:
        status = Status.DELETED
    if warned_on := service.withheld.get(Step.WITHHOLD_WARNING):
        warning = Sent(State.SENT, warned_on)
    return replace(service, status=status, warning=warning)


def _due(service: Service, terms: Terms) -> Decision[Step]:
    if service.status is Status.ACTIVE:
        due = look = suspend_on(service.expires_on, terms)
    elif service.status is not Status.SUSPENDED:
        return Decision((), None)
    elif service.warning is None:
        due = look = warn_on(service.expires_on, terms)
    else:
        due = warn_on(service.expires_on, terms) + terms.wait
        look = delete_on(service.expires_on, service.warning.business_date, terms)
    if terms.day < due:
        return Decision((), look)
    if hindered := _hindered(service, terms):
        return hindered
    return _suspending(service, terms) if service.status is Status.ACTIVE else _deleting(service, terms)


def _hindered(service: Service, terms: Terms) -> Decision[Step] | None:
    """What stands in the way of any step, if anything does: nobody to tell, or no card that was sent in time."""
    tomorrow = terms.day + timedelta(days=1)
    if not service.reachable:
        return Decision((), tomorrow, Held.NO_ADDRESS)
    if service.card is None:
        return Decision((), tomorrow, Held.NO_CARD)
    mail = service.card_mail
    if mail is not None and mail.refused:
        return Decision((), tomorrow, Held.CARD_REFUSED)
    if mail is None or mail.state is not State.SENT:
        return Decision((), tomorrow, Held.CARD_NOT_SENT)
    long_enough = mail.business_date + timedelta(days=CARD_SENT_DAYS)
    return Decision((), long_enough, Held.CARD_SENT_LATELY) if terms.day < long_enough else None


def _suspending(service: Service, terms: Terms) -> Decision[Step]:
    """Found so late that the warning is due too, it goes out on the same day."""
    if service.warning is not None:
        return Decision((Step.SUSPEND,), delete_on(service.expires_on, service.warning.business_date, terms))
    if terms.day < warn_on(service.expires_on, terms):
        return Decision((Step.SUSPEND,), warn_on(service.expires_on, terms))
    return Decision((Step.SUSPEND, Step.WARN), delete_on(service.expires_on, terms.day, terms))


def _deleting(service: Service, terms: Terms) -> Decision[Step]:
    tomorrow = terms.day + timedelta(days=1)
    if service.warning is None:
        return Decision((Step.WARN,), delete_on(service.expires_on, terms.day, terms))
    if service.warning.refused:
        return Decision((), tomorrow, Held.WARNING_REFUSED)
    if service.warning.state is not State.SENT:
        return Decision((), tomorrow, Held.WARNING_NOT_SENT)
    due = delete_on(service.expires_on, service.warning.business_date, terms)
    return Decision((), due, Held.WARNED_LATELY) if terms.day < due else Decision((Step.DELETE,), None)


def told_day(service: Service, step: Step, terms: Terms) -> date:
    """The day that a notice names: of suspension, of deletion, or the one on which a warned service is deleted."""
    if step in {Step.WARN, Step.WITHHOLD_WARNING}:
        return delete_on(service.expires_on, terms.day, terms)
    return terms.day


def foreseen(service: Service, terms: Terms, days: int) -> list[tuple[Step, date]]:
    """What is going to be done to a service that is not paid, after `terms.day` and within so many days of it.

    Not foreseen is what is held for want of an address or of a card that has left.
    """
    standing = service if terms.live else _as_if_done(service)
    mail = service.card_mail
    owes = standing.status in {Status.ACTIVE, Status.SUSPENDED} and service.card is not None
    if not owes or not service.reachable or mail is None or mail.refused:
        return []
    allowed = max(terms.day, mail.business_date + timedelta(days=CARD_SENT_DAYS))
    coming, suspended = [], allowed
    if standing.status is Status.ACTIVE:
        suspended = max(allowed, suspend_on(service.expires_on, terms))
        coming.append((Step.SUSPEND, suspended))
    warning = standing.warning
    warned = warning.business_date if warning else max(suspended, warn_on(service.expires_on, terms))
    coming.append((Step.DELETE, max(suspended, delete_on(service.expires_on, warned, terms))))
    return [(step, day) for step, day in coming if timedelta() < day - terms.day <= timedelta(days=days)]
