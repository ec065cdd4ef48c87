"""The daily expiry sweep: who must be is warned, ended or renewed on the day, nobody by mistake."""

from datetime import date, timedelta
from typing import Literal
from uuid import UUID

from prefect import flow
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from pydantic import Field

from flows.business_day import now, refuse_ahead, scheduled_day, superseded
from flows.deliver_outbox import deliver_now
from flows.portions import counted
from lifecycle.rules import licence_expiry, membership_expiry, service_expiry
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.plans import Plan, PlanState
from lifecycle.rules.runs import Summary, Table, WaitsForPerson
from tasks import daily_expiry_sweep as sweeps
from tasks.daily_expiry_sweep import FORESEEN_DAYS, SHOWN_CODES, Outlook
from tasks.runs import recorded

PORTION = 2_000
WAIT_DAYS = 7
PLANNED = "planned: "


class Approval(RunInput):
    """What a person decides about a plan that the brake holds."""

    decision: Literal["refuse", "carry out"] = Field(
        "refuse", title="Decision", description="Carry out exactly this plan, once, or refuse it and change nothing."
    )


def _run_name() -> str:
    return f"daily-expiry-sweep {flow_run.parameters['business_date'] or scheduled_day()}"


@flow(name="daily-expiry-sweep", flow_run_name=_run_name, result_serializer="json")
def daily_expiry_sweep(business_date: date | None = None, dry_run: bool = False, approve_plan: str = "") -> Summary:
    """Act on what lapsed: licences are disabled, unpaid services suspended and deleted, memberships renewed or ended.

    - A milestone is done once per lapse; one that was missed is made up. What is renewed starts afresh.
    - Licences: a warning after 3 months, access disabled after 6 months, its customer told so.
    - Access is never disabled before the warning was really sent and `warning_days` have passed since.
    - Services: suspended `suspend_after_days` after expiry, warned `deletion_warning_days` before they are deleted,
      deleted for good `delete_after_days` after expiry, and their card void.
    - Nothing is suspended or deleted whose open card was not really sent at least 7 days before.
    - Nothing is deleted before its warning was really sent and `deletion_warning_days` have passed since.
    - Whether a card was paid is looked at once more in the transaction that suspends or deletes.
    - Without an address to write to, nobody is cut off.
    - Memberships from month to month: on the day after its expiry each gets its next term, and an instalment due on
      that term's first day, of quantity and price of that day with VAT; none where nothing is to be paid.
    - What was missed is made up, one period after another from the anchor, for up to 12 months; what lapsed longer ago
      is left to a person.
    - No term ends after the withdrawal date; on the day after it the membership is withdrawn, for good.
    - A membership that is not renewed from month to month has ended on the day after its expiry.
    - Before the go-live of memberships nothing is done to any.
    - The sweep first writes down a plan; only what is planned is done, each subscription looked at again.
    - A plan that would cut off too many waits for a person: in the UI the run can be resumed, on the command line the
      plan is approved by its digest.
    - A day more than one ahead of today is refused, except as a dry run.
    - A scheduled run that begins more than a day late leaves everything to the run of a later day.

    Args:
        business_date: The day to act for. Empty: the day for which the run was scheduled.
        dry_run: Only say what would be done.
        approve_plan: The digest of a plan that waits: carry out that plan, and nothing else.
    """
    day = business_date or scheduled_day()
    with recorded("daily-expiry-sweep", day, dry_run=dry_run) as summary:
        summary.images.append(("Expiries per month", sweeps.expiry_chart(day)))
        plan = _plan(summary, day, approve_plan, scheduled=business_date is None, dry_run=dry_run)
        if plan is not None and not dry_run:
            _carry_out(summary, plan)
            deliver_now(summary)
    return summary


def _plan(summary: Summary, day: date, approve_plan: str, *, scheduled: bool, dry_run: bool) -> Plan | None:
    """The plan to carry out; None where a person refused it, or the run of a later day makes one."""
    if approve_plan and dry_run:
        raise BadInput([Finding("dry_run", "an approval carries its plan out", "approve_plan without a dry run")])
    if approve_plan:
        plan = sweeps.approve(approve_plan.strip())
        summary.business_date = plan.business_date
        return plan
    if not dry_run:
        refuse_ahead(day)
    written = sweeps.plan_of(UUID(flow_run.id)) if flow_run.id else None
    if written is not None:
        # This run was here before: it has waited for a person, or died while it carried the plan out.
        return _decided(summary, written) if written.state is PlanState.WAITING else written
    if scheduled and superseded(summary):
        return None
    outlook = sweeps.make_plan(day, summary.run_id, dry_run=dry_run)
    _describe(summary, outlook)
    if dry_run or outlook.plan.state is not PlanState.WAITING:
        return outlook.plan
    if not deployment.id:
        digest = outlook.plan.digest
        raise WaitsForPerson(
            summary, f"stopped by the brake; look at the plan, then approve it with --approve_plan {digest}"
        )
    return _decided(summary, outlook.plan)


def _decided(summary: Summary, plan: Plan) -> Plan | None:
    """What a person says of the plan. Until then this process ends here, and is started again from the flow's top."""
    approval = suspend_flow_run(
        wait_for_input=Approval.with_initial_data(
            description=f"The brake holds plan `{plan.digest}` for {plan.business_date}: it would cut off "
            # A run that died after it had written its plan knows no figures when it is started again.
            f"**{summary.counts['held by brake'] or 'too many'}** subscriptions.\n\n"
            # No more than lets the form below be seen.
            + "".join(f"- {what}: {n}\n" for what, n in sorted(summary.counts.items()) if what.startswith(PLANNED))
            + "\nBy product, with all else, it is in the summary among this run's artifacts."
        ),
        timeout=int(timedelta(days=WAIT_DAYS).total_seconds()),
        # Prefect gives an answer again to whoever asks under the same key: a run that is started anew after its plan
        # was done or refused makes another plan, and that one was not approved.
        key=f"brake-plan-{plan.id}",
    )
    if approval.decision == "carry out":
        return sweeps.approve(plan.digest)
    sweeps.refuse(plan)
    summary.counts["plan refused"] = 1
    return None


def _carry_out(summary: Summary, plan: Plan) -> None:
    summary.notes.append(f"plan `{plan.digest}`")
    portions = sweeps.cut(plan, PORTION)
    done = counted(
        sweeps.execute, "portion", portions, "subscriptions done", plan=plan, run_id=summary.run_id, now=now()
    )
    sweeps.finish(plan)
    summary.counts.update(done)


def _describe(summary: Summary, outlook: Outlook) -> None:
    """What is planned by rule and product, what is left as it is and why, who is going to be cut off soon."""
    for (step, _), number in outlook.steps.items():
        summary.counts[f"{PLANNED}{step}"] += number
    summary.counts.update({f"left: {why}": len(codes) for why, codes in outlook.held.items()})
    for step in licence_expiry.CUTTING | service_expiry.CUTTING | membership_expiry.CUTTING:
        coming = sum(len(codes) for (what, _), codes in outlook.coming.items() if what is step)
        summary.counts[f"in the next {FORESEEN_DAYS} days: {step}"] = coming
    steps = [(step, product, number) for (step, product), number in sorted(outlook.steps.items())]
    summary.tables.append(Table("Planned", ("what", "product", "subscriptions"), [*steps]))
    held = [(why, len(codes), _listed(codes)) for why, codes in sorted(outlook.held.items())]
    summary.tables.append(Table("Left as they are", ("why", "subscriptions", "which"), [*held]))
    days = sorted((str(day), step, len(codes), _listed(codes)) for (step, day), codes in outlook.coming.items())
    title = f"In the next {FORESEEN_DAYS} days, unless renewed or paid"
    summary.tables.append(Table(title, ("day", "what", "subscriptions", "which"), [*days]))
    if outlook.plan.state is PlanState.WAITING:
        summary.notes.append(
            f"held by the brake: {outlook.cut_off} of {outlook.active} active subscriptions would be cut off; "
            f"plan `{outlook.plan.digest}` waits for a person"
        )
        summary.counts["held by brake"] = outlook.cut_off


def _listed(codes: list[str]) -> str:
    more = f" and {len(codes) - SHOWN_CODES} more" if len(codes) > SHOWN_CODES else ""
    return ", ".join(sorted(codes)[:SHOWN_CODES]) + more
