"""The daily sweep over what has lapsed: planned as a whole, executed portion by portion, each one looked at again."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any, Generic, TypeVar
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import (
    erasure,
    licence_expiry,
    membership_expiry,
    plans,
    service_expiry,
    subscription_status,
)
from lifecycle.persistence.database import transaction
from lifecycle.rendering import chart
from lifecycle.rules import licence_expiry as licences
from lifecycle.rules import membership_expiry as memberships
from lifecycle.rules import service_expiry as services
from lifecycle.rules.brake import base_that_matters, brake_holds
from lifecycle.rules.calendar import add_months, first_of_month
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.licence_expiry import Licence
from lifecycle.rules.membership_expiry import Membership
from lifecycle.rules.plans import Decision, Held, Plan, PlanState
from lifecycle.rules.service_expiry import Service
from lifecycle.settings import settings
from tasks.provisioning import calls_on
from tasks.retries import transient

FLOW = "daily-expiry-sweep"
FORESEEN_DAYS = 14
SHOWN_CODES = 50
CHANGED_SINCE = "changed since the plan"

Subject = TypeVar("Subject", Licence, Service, Membership)
Step = TypeVar("Step", licences.Step, services.Step, memberships.Step)


@dataclass(frozen=True, slots=True)
class Swept(Generic[Subject, Step]):
    """One policy, as a sweep for one day finds, decides and records what has lapsed under it.

    `steps` are all there are, in the order in which they are done.
    """

    due: Callable[..., Iterable[Subject]]
    again: Callable[..., Iterable[Subject]]
    decide: Callable[[Subject], Decision[Step]]
    foreseen: Callable[[Subject], list[tuple[Step, date]]]
    record: Callable[..., None]
    steps: type[Step]
    cutting: set[Step]


def licence_terms(day: date) -> licences.Terms:
    """What holds for licences in a sweep for `day`, by this installation's settings."""
    live = settings().go_live.is_live
    return licences.Terms(
        day=day,
        notices_live=live("customer_notice", day),
        access_live=live("access_change", day),
        warning_days=settings().policy.warning_days,
    )


def service_terms(day: date) -> services.Terms:
    """What holds for services in a sweep for `day`, by this installation's settings."""
    policy = settings().policy
    return services.Terms(
        day=day,
        live=settings().go_live.is_live("service_transition", day),
        suspend_after_days=policy.suspend_after_days,
        deletion_warning_days=policy.deletion_warning_days,
        delete_after_days=policy.delete_after_days,
    )


def membership_terms(day: date) -> memberships.Terms:
    """What holds for memberships in a sweep for `day`, by this installation's settings."""
    return memberships.Terms(day=day, live=settings().go_live.is_live("membership", day))


def _licences(day: date) -> Swept[Licence, licences.Step]:
    terms = licence_terms(day)
    trial = not (terms.notices_live and terms.access_live)
    return Swept(
        due=partial(licence_expiry.due, trial=trial),
        again=partial(licence_expiry.again, trial=trial),
        decide=partial(licences.decide, terms=terms),
        foreseen=partial(licences.foreseen, terms=terms, days=FORESEEN_DAYS),
        record=partial(licence_expiry.record, terms=terms),
        steps=licences.Step,
        cutting=licences.CUTTING,
    )


def _services(day: date) -> Swept[Service, services.Step]:
    terms = service_terms(day)
    return Swept(
        due=partial(service_expiry.due, trial=not terms.live),
        again=partial(service_expiry.again, trial=not terms.live),
        decide=partial(services.decide, terms=terms),
        foreseen=partial(services.foreseen, terms=terms, days=FORESEEN_DAYS),
        record=partial(service_expiry.record, terms=terms),
        steps=services.Step,
        cutting=services.CUTTING,
    )


def _memberships(day: date) -> Swept[Membership, memberships.Step]:
    terms = membership_terms(day)
    return Swept(
        due=partial(membership_expiry.due, day=day),
        again=membership_expiry.again,
        decide=partial(memberships.decide, terms=terms),
        foreseen=partial(memberships.foreseen, terms=terms, days=FORESEEN_DAYS),
        record=partial(membership_expiry.record, terms=terms, calls=calls_on(day)),
        steps=memberships.Step,
        cutting=memberships.CUTTING,
    )


def _policies(day: date) -> tuple[Swept[Any, Any], ...]:
    return _licences(day), _services(day), _memberships(day)


@dataclass(slots=True)
class Outlook:
    """What a plan holds, in figures and codes. `cut_off` would lose what they hold; `active` is the base.

    The whole base was counted where the brake holds; where it does not, no more of it than tells so. `coming` is what
    is going to be done in the next days, by step and day.
    """

    plan: Plan
    steps: Counter[tuple[StrEnum, str]] = field(default_factory=Counter)
    held: dict[Held, list[str]] = field(default_factory=lambda: defaultdict(list))
    coming: dict[tuple[StrEnum, date], list[str]] = field(default_factory=lambda: defaultdict(list))
    cut_off: int = 0
    active: int = 0


@task(cache_policy=NO_CACHE, **transient)
def make_plan(day: date, run_id: UUID, *, dry_run: bool) -> Outlook:
    """Write down what is due on `day`; where the brake holds, the plan waits and is all that is written.

    `dry_run`: take it back.
    """
    brake = settings().brake
    steps: list[tuple[int, StrEnum, date]] = []
    idle: list[tuple[int, date, date | None]] = []
    seen = Outlook(Plan(0, day, "", PlanState.MADE))
    with transaction() as db:
        for policy in _policies(day):
            for subject in policy.due(db, day + timedelta(days=FORESEEN_DAYS)):
                for step, coming_on in policy.foreseen(subject):
                    seen.coming[step, coming_on].append(subject.code)
                if subject.due_on is None or subject.due_on > day:
                    continue
                decision = policy.decide(subject)
                steps += [(subject.id, step, subject.expires_on) for step in decision.steps]
                seen.steps.update((step, subject.product) for step in decision.steps)
                seen.cut_off += len(policy.cutting.intersection(decision.steps))
                if decision.held:
                    seen.held[decision.held].append(subject.code)
                if not decision.steps:
                    idle.append((subject.id, subject.expires_on, decision.look_on))
        # The base is only counted where it can matter, and as far as it does.
        enough = base_that_matters(seen.cut_off, brake.share)
        seen.active = subscription_status.active(db, day, enough) if seen.cut_off > brake.count else 0
        holds = brake_holds(seen.cut_off, seen.active, brake.share, brake.count)
        state = PlanState.WAITING if holds else PlanState.MADE
        seen.plan = plans.write(db, FLOW, day, run_id, steps, state)
        if not holds:
            subscription_status.look_again(db, idle)
        if dry_run:
            db.rollback()
    return seen


@task(cache_policy=NO_CACHE, **transient)
def approve(stamp: str) -> Plan:
    """Approve the waiting plan of that digest, once: others that say the same are refused.

    Raises BadInput where none waits.
    """
    with transaction() as db:
        plan = plans.waiting(db, FLOW, stamp)
        if plan is None or not plans.move(db, plan.id, PlanState.WAITING, PlanState.APPROVED):
            raise BadInput([Finding("approve_plan", f"no plan {stamp!r} waits", "the digest of a plan that waits")])
        while twin := plans.waiting(db, FLOW, stamp):
            plans.move(db, twin.id, PlanState.WAITING, PlanState.REFUSED)
    return replace(plan, state=PlanState.APPROVED)


@task(cache_policy=NO_CACHE, **transient)
def refuse(plan: Plan) -> None:
    with transaction() as db:
        plans.move(db, plan.id, PlanState.WAITING, PlanState.REFUSED)


@task(cache_policy=NO_CACHE, **transient)
def plan_of(prefect_id: UUID) -> Plan | None:
    """The plan that this Prefect run has written before and must go on with."""
    with transaction() as db:
        return plans.of_prefect_run(db, prefect_id)


@task(cache_policy=NO_CACHE, **transient)
def cut(plan: Plan, at_once: int) -> list[tuple[int, int]]:
    """The plan's portions, as ranges of ids."""
    with transaction() as db:
        return plans.portions(db, plan.id, at_once)


@task(cache_policy=NO_CACHE, **transient)
def execute(plan: Plan, portion: tuple[int, int], run_id: UUID, now: datetime) -> Counter[str]:
    """Do what is planned for one portion and still due. Returns counts by step, and what had changed since the plan.

    One transaction: transitions, messages, calls and statuses of the portion become true together or not at all.
    """
    counts: Counter[str] = Counter()
    looks: list[tuple[int, date, date | None]] = []
    with transaction() as db:
        erasure.keep_out(db)
        planned = plans.steps(db, plan.id, *portion)
        locked = subscription_status.lock(db, sorted({id_ for id_, _, _ in planned}))
        for policy in _policies(plan.business_date):
            todo: dict[StrEnum, list[Any]] = defaultdict(list)
            for subject in policy.again(db, locked):
                decision = policy.decide(subject)
                still = [step for step in decision.steps if (subject.id, step, subject.expires_on) in planned]
                for step in still:
                    todo[step].append(subject)
                # A step that is due and was not planned is left to tomorrow's plan.
                tomorrow = plan.business_date + timedelta(days=1)
                look_on = decision.look_on if len(still) == len(decision.steps) else tomorrow
                looks.append((subject.id, subject.expires_on, look_on))
            for step in policy.steps:
                if theirs := todo[step]:
                    policy.record(db, step, theirs, run_id=run_id, now=now)
                    counts[step] += len(theirs)
        subscription_status.look_again(db, looks)
    counts[CHANGED_SINCE] = len(planned) - counts.total()
    return +counts


@task(cache_policy=NO_CACHE, **transient)
def finish(plan: Plan) -> None:
    with transaction() as db:
        plans.move(db, plan.id, plan.state, PlanState.DONE)


@task(cache_policy=NO_CACHE, **transient)
def expiry_chart(day: date) -> str:
    """Expiries per month, twelve months back and six ahead, as SVG."""
    month = first_of_month(day)
    with transaction() as db:
        numbers = subscription_status.expiries_by_month(db, add_months(month, -12), add_months(month, 6))
    return chart.monthly("Expiries per month", sorted(numbers.items()), month)
