"""What needs a person, told from measured values; and why it waits for nobody before that."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from lifecycle.rules.calendar import first_of_month
from lifecycle.rules.periods import PERIODIC

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Matter(StrEnum):
    """What can wait, or be left over."""

    OVERDUE = "messages that are due and not sent"
    MAILINGS = "mails of mailings that are due, of which none leaves"
    IN_DOUBT = "messages in doubt"
    FAILED = "messages that could not be delivered"
    HELD = "plans that the brake holds"
    WITHDRAWALS = "withdrawals that nobody decides on"
    ERASURES = "erasures that nobody decides on"
    NOT_ERASED = "erasures that are approved and not carried out"
    NOT_IN_LEDGER = "portions erased that are not in the ledger"
    PAYMENTS = "payments that nobody decides on"
    NOT_FILED = "files of instalments that are not among the documents"
    NO_END = "runs that do not end"
    NOT_RUN = "flows that do not run"
    GROWN = "databases that doubled within a week"
    NO_SPACE = "disks without space"


@dataclass(frozen=True, slots=True)
class Care:
    """How long a matter may stand before a person is called, and what that person does."""

    patience: timedelta
    to_do: str


_UPKEEP = "look at the last run of `erasure-upkeep`"

CARE = {
    # Deliveries run every five minutes: twelve of them have not sent it.
    Matter.OVERDUE: Care(HOUR, "`lifecycle check`, and look at the last runs of `deliver-outbox`"),
    Matter.MAILINGS: Care(HOUR, "`lifecycle check`, and look at the last runs of `deliver-outbox`"),
    # What evidence can settle was settled by the delivery before.
    Matter.IN_DOUBT: Care(
        HOUR, "`lifecycle outbox`, then `lifecycle outbox resolve KEY --as sent`, `again` or `cancel`"
    ),
    Matter.FAILED: Care(timedelta(), "`lifecycle outbox`, then `lifecycle outbox resolve KEY --as again` or `cancel`"),
    # Until somebody decides, nobody is warned, suspended or cut off.
    Matter.HELD: Care(timedelta(), "look at the summary of the run that waits, then resume it"),
    Matter.WITHDRAWALS: Care(DAY, "resume the run of `membership-withdrawal` that waits, or cancel it"),
    Matter.ERASURES: Care(DAY, "resume the run of `gdpr-erasure-batch` that waits, or cancel it"),
    # It is carried out within minutes, or taken up by the upkeep that runs every five.
    Matter.NOT_ERASED: Care(HOUR, _UPKEEP),
    Matter.NOT_IN_LEDGER: Care(HOUR, "`lifecycle check`: an older backup would bring these customers back"),
    # Accounting has the day on which they were imported.
    Matter.PAYMENTS: Care(DAY, "`lifecycle payments`, then `assign`, `credit` or `refund`"),
    Matter.NOT_FILED: Care(DAY, "run `charge-run` again"),
    # No flow works for so long, and crashed ones are recognised sooner.
    Matter.NO_END: Care(DAY, "look at the run; `make-up` says that it crashed where its process is gone"),
}
"""Of what is counted. Sooner than that it is on its way, or a person has had no time for it."""

ACTING_DAYS = 2
"""So long ago a flow that acts may have done its work: the run of the next day makes it up, and `make-up` has tried."""

REPORT_DAYS = 2
"""From the 3rd of a month on its report is missed."""

FREQUENT = ("deliver-outbox", "erasure-upkeep", "process-unsubscribes")
"""What runs every few minutes."""

IDLE = HOUR
"""So long a flow that runs every few minutes may be without a run that completed: a restart is over sooner."""

GROWTH = 2
GROWTH_FROM_MB = 1_000
"""A store that is small may double: an import does that."""

SPACE_MB = 2_000
"""Free on a disk. PostgreSQL stops when there is none, and a vacuum or an upgrade needs some."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How many there are, and since when the oldest; None: there is none."""

    number: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class LastRun:
    """A flow's last completed run for a whole period: when it ended, and the last day such runs were for."""

    ended_at: datetime
    day: date


@dataclass(frozen=True, slots=True)
class Store:
    """What takes space on a disk, in MB; `before` is a week ago, where that is known."""

    name: str
    size: int
    before: int | None


@dataclass(frozen=True, slots=True)
class Call:
    """One reason to call a person."""

    matter: Matter
    what: str
    number: int
    since: datetime | date | None
    to_do: str


def standing(found: Mapping[Matter, Standing], now: datetime) -> list[Call]:
    """The matters that stand for longer than they may."""
    return [
        Call(matter, matter.value, there.number, there.since, CARE[matter].to_do)
        for matter, there in found.items()
        if there.number and there.since is not None and now - there.since >= CARE[matter].patience
    ]


def missed(
    expected: Iterable[str], last: Mapping[str, LastRun], installed: datetime, now: datetime, today: date
) -> list[Call]:
    """The flows among `expected` that should have completed since they last did, or since the installation began.

    `installed` and `today` are in the business time zone.
    """
    calls = []
    for flow in expected:
        ran = last.get(flow)
        since: datetime | date | None = None
        if flow in FREQUENT:
            ended = ran.ended_at if ran else installed
            since = ended if now - ended > IDLE else None
        elif periodic := PERIODIC.get(flow):
            # The day of the installation has had no run of its own.
            day = ran.day if ran else installed.date()
            due = first_of_month(today) if periodic.monthly else today - timedelta(days=ACTING_DAYS)
            settled = today.day > REPORT_DAYS if periodic.monthly else True
            since = day if day < due and settled else None
        if since is not None:
            calls.append(Call(Matter.NOT_RUN, f"{flow} has not completed", 1, since, f"look at the runs of `{flow}`"))
    return calls


def outgrown(stores: Iterable[Store]) -> list[Call]:
    """The stores that have more than doubled, and are large."""
    return [
        Call(
            Matter.GROWN,
            f"{store.name}: {store.before} MB a week ago, {store.size} MB now",
            1,
            None,
            "look for what grew among the largest tables below",
        )
        for store in stores
        if store.before is not None and store.size > GROWTH_FROM_MB and store.size > GROWTH * store.before
    ]


def short_of_space(free_mb: int) -> list[Call]:
    if free_mb >= SPACE_MB:
        return []
    what = f"the disk of LIFECYCLE_HOME has {free_mb} MB left"
    return [Call(Matter.NO_SPACE, what, 1, None, "make room: nothing can be recorded once it is full")]
