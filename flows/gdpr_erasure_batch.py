"""Erases customers that have been inactive for long: shown first, approved by an administrator, never taken back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from prefect import flow
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from pydantic import BeforeValidator, Field

from flows.business_day import Day, now, scheduled_day, today
from flows.deliver_outbox import deliver_now
from flows.import_records import describe_findings
from flows.portions import done
from lifecycle.rules.erasure import AS_DAYS, MOST_SHOWN, Criteria, Erasure, ErasureState, listed
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.runs import Summary, Table, WaitsForPerson
from lifecycle.rules.segment import Segment, parts_of
from lifecycle.settings import settings
from tasks import gdpr_erasure_batch as erasures
from tasks.erasure_certificate import finish
from tasks.erasure_stores import clear_stores
from tasks.gdpr_erasure_batch import MOST_ANSWERS, SHOWN_CODES, Answer, Order, Shown
from tasks.runs import blank, recorded

NAME = "gdpr-erasure-batch"

Period = Literal["as inactive_days", "30 days", "90 days", "180 days", "1 year", "2 years", "3 years", "5 years"]


class Approval(RunInput):
    """What an administrator decides about the customers that are shown."""

    decision: Literal["refuse", "erase"] = Field(
        "refuse", title="Decision", description="Erase them, for ever, or refuse it and change nothing."
    )
    leave_out: str = Field(
        "", title="Leave out", description="Codes of those who are shown and must stay, separated by commas or lines."
    )
    operator: str = Field("", title="Operator", description="Your code as an operator; you must be an administrator.")
    # Without a pattern: the server accepts what pydantic then refuses, and the run would fail with the code in its log.
    one_time_code: str = Field(
        "", title="One-time code", description="The six digits that your app shows now; empty to refuse."
    )


def _typed(given: Any) -> Any:
    return parts_of(given) if isinstance(given, str) else given


def _run_name() -> str:
    return f"{NAME} {flow_run.parameters['business_date'] or scheduled_day()}"


@flow(name=NAME, flow_run_name=_run_name, result_serializer="json")
def gdpr_erasure_batch(
    inactive_days: int = 0,
    preset: Period = "as inactive_days",
    segment: Annotated[Segment, BeforeValidator(_typed)] = Segment(),  # noqa: B008 - it cannot be changed
    exclude: str = "",
    operator: str = "",
    one_time_code: str = "",
    approve_plan: str = "",
    dry_run: bool = False,
    business_date: Day | None = None,
) -> Summary:
    """Erase customers without an appointment in a period up to now, and none to come. It cannot be undone.

    - Who was recorded after the period began is not found; a cancelled appointment counts as one.
    - Kept, with the reason: unexpired or unclosed subscriptions, an open card, money owed either way, a hold.
    - The run shows who would be erased, by name, in an artifact that is removed when the run ends, however it ends.
    - It then waits: an administrator takes some out, and confirms with a one-time code. After `erasure_preview_days`
      it lapses.
    - Only who was shown is erased. Each one is looked at once more: who has become active since is left out and listed.
    - Killed at any moment, it is carried to the same end by `erasure-upkeep`, or where it is run again.
    - On the command line a first run shows, and ends with status 3; a second one with operator and code approves.
    - A wrong, used or stale code, somebody who is no administrator, nobody's code: refused, nothing changed.

    Args:
        inactive_days: The period of inactivity, in days. 0: as the preset says.
        preset: The period of inactivity, in days or calendar years.
        segment: Among whom: all that is given must be true; nothing given: among all. On the command line for example
            "reseller=R1,R2 country=IT"; there are product, policy, status and language too.
        exclude: Codes of customers to leave out, separated by commas. They must be among those who are shown.
        operator: Command line only: the administrator's code, to approve what was shown before.
        one_time_code: Command line only: the administrator's one-time code. It is used up, and taken out of the run.
        approve_plan: Command line only: the digest of what was shown before, instead of a period and a segment. Needed
            where lists that are not the same wait under them.
        dry_run: Only count and list who would be erased. The command line can then approve it.
        business_date: The day up to which they were inactive. Empty: the day for which the run was scheduled.
    """
    blank()
    answer = Answer(operator.strip(), one_time_code, now(), listed(exclude)) if operator or one_time_code else None
    waiting = UUID(flow_run.id) if deployment.id and not (dry_run or answer) else None
    day, asks = business_date or scheduled_day(), bool(inactive_days or preset != AS_DAYS or segment.given)
    with recorded(NAME, day, dry_run=dry_run) as summary, erasures.shown_until_the_end(waiting):
        approved: Erasure | None = None
        try:
            misfits = _misfits(approve_plan, answer, asks=asks, dry_run=dry_run)
            asked = erasures.checked(approve_plan.strip(), day, today(), inactive_days, preset, segment, misfits)
            if answer:
                approved = _approved_before(summary, erasures.shown_before(asked, segment, business_date), answer)
            elif isinstance(asked, Criteria):
                order = Order(asked, segment, listed(exclude), summary.run_id, waiting)
                approved = _confirmed(summary, order, dry_run=dry_run)
        except BadInput as refused:
            describe_findings(summary, refused.findings, refused.total)
            raise
        if approved:
            carry_out(summary, approved)
            deliver_now(summary)
    return summary


def _misfits(approve_plan: str, answer: Answer | None, *, asks: bool, dry_run: bool) -> list[Finding]:
    """Parameters that do not go together. `asks`: there is a period or a segment."""
    findings = []
    approves = bool(approve_plan or answer)
    if approves and deployment.id:
        # There it would approve unseen what anybody was shown last.
        findings.append(Finding("operator", "approves on the command line", "to answer the run that waits"))
    if approves and not (answer and answer.operator):
        findings.append(Finding("operator", "is missing", "the code of the administrator who approves"))
    if approves and not (answer and answer.one_time_code):
        findings.append(Finding("one_time_code", "is missing", "the six digits that the administrator's app shows now"))
    if approves and dry_run:
        findings.append(Finding("dry_run", "an approval is carried out", "an approval without a dry run"))
    if approve_plan and asks:
        expected = "approve_plan without a period and a segment"
        findings.append(Finding("approve_plan", "a digest stands for its period and segment", expected))
    return findings


def _approved_before(summary: Summary, shown: Erasure, answer: Answer) -> Erasure:
    """What a run before has shown, approved now; or then, where that run was killed since."""
    summary.business_date = shown.business_date
    if shown.state is ErasureState.APPROVED:
        erasures.check_approved_alike(shown, answer)
        summary.notes.append("it was approved before, and is carried to its end")
        return shown
    return erasures.approve(shown, answer)


def _confirmed(summary: Summary, order: Order, *, dry_run: bool) -> Erasure | None:
    """What is to be carried out; None: nobody is inactive, it was refused, or this is a dry run."""
    shown = erasures.of_run(order.waiting) if order.waiting else None
    if shown is None:
        looked = erasures.show(order)
        _describe(summary, looked)
        shown = looked.erasure
        if shown is None or dry_run:
            return None
        if order.waiting is None:
            raise WaitsForPerson(
                summary,
                f"`lifecycle erasure show {shown.digest}` says whom; an administrator approves it, until "
                f"{_local(shown.lapses_at)}, with --approve_plan {shown.digest} --operator CODE --one_time_code DIGITS",
            )
    if shown.state is ErasureState.WAITING and order.waiting:
        return _decided(summary, shown, order.waiting, order.exclude)
    return shown


def _decided(summary: Summary, shown: Erasure, prefect_id: UUID, exclude: tuple[str, ...]) -> Erasure | None:
    """What an administrator says. Until then this process ends here, and is started again from the flow's top."""
    wrong = ""
    for attempt in range(shown.answers, MOST_ANSWERS):
        # Prefect gives an answer again to whoever asks under the same key.
        key = f"erasure-{shown.id}-{attempt}"
        said = suspend_flow_run(
            wait_for_input=Approval.with_initial_data(description=_question(shown, wrong)),
            timeout=max(1, int((shown.lapses_at - now()).total_seconds())),
            key=key,
        )
        if said.decision == "refuse" and not (said.operator or said.one_time_code):
            summary.counts["erasure refused" if erasures.refuse(shown) else "erasure waits no more"] = 1
            return None
        taken_out = tuple(dict.fromkeys(exclude + listed(said.leave_out)))
        answered_at = erasures.answered_at(prefect_id, key)
        try:
            _not_both(said)
            return erasures.approve(shown, Answer(said.operator.strip(), said.one_time_code, answered_at, taken_out))
        except BadInput as refused:
            if not erasures.may_ask_again(shown, prefect_id):
                raise
            wrong = str(refused)
            summary.counts["answer not accepted"] += 1
    raise BadInput([Finding("approval", f"{MOST_ANSWERS} answers were not accepted", "a new run, which shows anew")])


def _not_both(said: Approval) -> None:
    """Raise BadInput where the form was filled in to erase and the decision was left at refuse."""
    if said.decision == "refuse":
        raise BadInput([Finding("decision", "says refuse, and somebody signs to erase", "the one or the other")])


def _question(shown: Erasure, wrong: str) -> str:
    refused = f"**Not accepted, nothing was changed:** {wrong}\n\n" if wrong else ""
    found, kept = min(shown.inactive["found"], MOST_SHOWN), shown.inactive.get("kept", 0)
    return (
        f"{refused}Erasure `{shown.digest}` of {shown.business_date}: {found} customers, inactive for {shown.period}; "
        f"{kept} others are kept. Who they are is in the table among this run's artifacts. It waits until "
        f"{_local(shown.lapses_at)}.\n\n**Erased is erased: it cannot be undone.**"
    )


def _local(moment: datetime) -> str:
    return f"{moment.astimezone(settings().zone):%Y-%m-%d %H:%M}"


def carry_out(summary: Summary, approved: Erasure) -> None:
    """Carry an approved erasure to its end, wherever it is now; the figures go into `summary`."""
    summary.notes.append(f"erasure `{approved.digest}`, approved by {approved.approved_by}")
    with erasures.carrying_out(approved) as portions:
        # Each writes into the ledger, a file.
        common = {"approved": approved, "erased_on": today()}
        for _ in done(erasures.erase, "portion", portions, "customers erased", here=True, **common):
            pass
        erasures.keep_in_ledger()
        summary.counts.update(clear_stores(approved.id))
        finish(approved.id, summary.run_id, now())
        erasures.keep_in_ledger()
    counts, codes = erasures.outcome(approved)
    summary.counts.update(counts)
    summary.tables.append(_those("Not erased", [(why, counts[why], listed) for why, listed in codes.items()]))
    summary.notes.append(f"its certificate: `lifecycle erasure show {approved.id} --pdf FILE`")


def _describe(summary: Summary, looked: Shown) -> None:
    summary.counts.update(looked.counts)
    found, kept = looked.counts["found"], looked.counts["kept"]
    summary.tables.append(_those("To be erased", [("inactive", found, looked.found)] if found else []))
    kept_by = [(reason, looked.counts[f"kept: {reason}"], codes) for reason, codes in looked.kept.items()]
    summary.tables.append(_those("Kept", kept_by))
    if looked.erasure is None:
        summary.notes.append("all who are inactive are kept" if kept else "nobody is inactive")
        return
    if found > MOST_SHOWN:
        more = "a later run finds the others"
        summary.notes.append(f"the {MOST_SHOWN} inactive for longest are shown, and can be erased: {more}")
    summary.notes.append(f"erasure `{looked.erasure.digest}` waits until {_local(looked.erasure.lapses_at)}")


def _those(title: str, rows: Sequence[tuple[str, int, list[str]]]) -> Table:
    listed = [(why, number, ", ".join(codes)) for why, number, codes in rows]
    return Table(f"{title}, the first {SHOWN_CODES} of each", ("why", "customers", "which"), [*listed])
