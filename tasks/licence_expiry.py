"""The sweep over lapsed licences: planned as a whole, executed portion by portion, each licence looked at again."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import licence_expiry, plans
from lifecycle.persistence.database import transaction
from lifecycle.rendering import chart
from lifecycle.rules.calendar import add_months, first_of_month
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.licence_expiry import (
    CUTTING,
    Decision,
    Held,
    Licence,
    Step,
    Terms,
    base_that_matters,
    brake_holds,
    decide,
    ends_within,
)
from lifecycle.rules.plans import Plan, PlanState
from lifecycle.settings import settings
from tasks.retries import transient

FLOW = "daily-expiry-sweep"
FORESEEN_DAYS = 14
SHOWN_CODES = 50
CHANGED_SINCE = "changed since the plan"


@dataclass(slots=True)
class Outlook:
    """What a plan holds, in figures and codes. `cut_off` of `active` licences would lose their access.

    `active` is the whole base where the brake holds; where it does not, no more of it was counted than tells so.
    """

    plan: Plan
    steps: Counter[tuple[Step, str]] = field(default_factory=Counter)
    held: dict[Held, list[str]] = field(default_factory=lambda: defaultdict(list))
    ending: dict[date, list[str]] = field(default_factory=lambda: defaultdict(list))
    cut_off: int = 0
    active: int = 0


def terms_on(day: date) -> Terms:
    """What holds for a sweep for `day`, by this installation's settings."""
    live = settings().go_live.is_live
    return Terms(
        day=day,
        notices_live=live("customer_notice", day),
        access_live=live("access_change", day),
        warning_days=settings().policy.warning_days,
    )


@task(cache_policy=NO_CACHE, **transient)
def make_plan(day: date, run_id: UUID, *, dry_run: bool) -> Outlook:
    """Write down what is due on `day`; where the brake holds, the plan waits and is all that is written.

    `dry_run`: take it back.
    """
    terms, brake = terms_on(day), settings().brake
    steps: list[tuple[int, Step, date]] = []
    idle: list[tuple[Licence, date | None]] = []
    seen = Outlook(Plan(0, day, "", PlanState.MADE))
    with transaction() as db:
        for licence in licence_expiry.due(db, day + timedelta(days=FORESEEN_DAYS), trial=_trial(terms)):
            if ending := ends_within(licence, terms, FORESEEN_DAYS):
                seen.ending[ending].append(licence.code)
            if licence.due_on is None or licence.due_on > day:
                continue
            decision = decide(licence, terms)
            steps += [(licence.id, step, licence.expires_on) for step in decision.steps]
            seen.steps.update((step, licence.product) for step in decision.steps)
            if decision.held:
                seen.held[decision.held].append(licence.code)
            if not decision.steps:
                idle.append((licence, decision.look_on))
        seen.cut_off = sum(number for (step, _), number in seen.steps.items() if step in CUTTING)
        # The base is only counted where it can matter, and as far as it does.
        enough = base_that_matters(seen.cut_off, brake.share)
        seen.active = licence_expiry.active(db, day, enough) if seen.cut_off > brake.count else 0
        holds = brake_holds(seen.cut_off, seen.active, brake.share, brake.count)
        state = PlanState.WAITING if holds else PlanState.MADE
        seen.plan = plans.write(db, FLOW, day, run_id, steps, state)
        if not holds:
            licence_expiry.look_again(db, idle)
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
    terms = terms_on(plan.business_date)
    counts: Counter[str] = Counter()
    with transaction() as db:
        planned = plans.steps(db, plan.id, *portion)
        licences = licence_expiry.locked(db, sorted({id_ for id_, _, _ in planned}), trial=_trial(terms))
        todo: dict[Step, list[Licence]] = defaultdict(list)
        looks: list[tuple[Licence, date | None]] = []
        for licence in licences:
            decision = decide(licence, terms)
            for step in decision.steps:
                if (licence.id, step, licence.expires_on) in planned:
                    todo[step].append(licence)
            looks.append((licence, _look_on(decision, licence, planned, plan.business_date)))
        for step, theirs in todo.items():
            licence_expiry.record(db, step, theirs, terms, run_id, now)
            counts[step] += len(theirs)
        licence_expiry.look_again(db, looks)
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
        numbers = licence_expiry.expiries_by_month(db, add_months(month, -12), add_months(month, 6))
    return chart.expiries(sorted(numbers.items()), month)


def _trial(terms: Terms) -> bool:
    return not (terms.notices_live and terms.access_live)


def _look_on(decision: Decision, licence: Licence, planned: set[tuple[int, str, date]], day: date) -> date | None:
    """When to look next; a step that is due and was not planned is left to tomorrow's plan."""
    all_planned = all((licence.id, step, licence.expires_on) in planned for step in decision.steps)
    return decision.look_on if all_planned else day + timedelta(days=1)
