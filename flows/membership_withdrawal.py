"""Withdraws a customer from memberships: shown first, confirmed by a person, never taken back."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal
from uuid import UUID

from prefect import flow
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from pydantic import Field

from flows.business_day import Day, now, refuse_ahead, scheduled_day
from flows.deliver_outbox import deliver_now
from flows.import_records import describe_findings
from lifecycle.rules.erasure import listed
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.instalments import Instalment
from lifecycle.rules.membership_withdrawal import Effect, Request, ToCome, WithdrawalState
from lifecycle.rules.money import NOTHING
from lifecycle.rules.runs import Summary, Table, WaitsForPerson
from tasks.choices import NOBODY
from tasks.membership_withdrawal import Shown, await_answer, look, refuse, remembered, withdraw
from tasks.runs import blank, recorded

NAME = "membership-withdrawal"
WAIT_DAYS = 7


class Confirmation(RunInput):
    """What a person decides about the withdrawal that is shown."""

    decision: Literal["refuse", "withdraw"] = Field(
        "refuse", title="Decision", description="Withdraw from exactly these, or refuse it and change nothing."
    )


@flow(name=NAME, flow_run_name=NAME + " {customer} {withdrawal_date}", result_serializer="json")
def membership_withdrawal(
    customer: str,
    memberships: str,
    action_type: str,
    withdrawal_date: Day,
    *,
    notes: str = "",
    operator: str,
    assigned_to: str = NOBODY,
    confirm: str = "",
    dry_run: bool = False,
    business_date: Day | None = None,
) -> Summary:
    """Withdraw a customer from memberships. It cannot be undone: one sells anew.

    - It is for memberships that are paid in instalments or renewed from month to month, and charged by SEPA or card.
    - The withdrawal date is the last day of validity: the current term ends on it, and nothing renews after it.
    - Instalments due on or before that day stay owed, later ones are removed; none is charged by itself any more.
    - Months up to that day that are not renewed yet will be, and are owed; what is being collected stays as it is.
    - What is due later and submitted or paid already cannot be recalled: it is listed as to be refunded.
    - The mandate or card ends with it, unless another contract of the customer that goes on uses it.
    - The run shows all this and waits for a person to confirm it; what has changed since is shown and asked anew.
    - Several memberships are withdrawn all or none. Asked for again, what is withdrawn so already stays as it is.
    - The customer's CRM history says who, when, type and note; an acknowledgement goes to the customer.
    - On the command line a first run shows, and ends with status 3; a second one with `--confirm` does it.

    Args:
        customer: The customer's code.
        memberships: Codes of the memberships, separated by commas.
        action_type: The CRM action type; its base type must be `withdrawal`.
        withdrawal_date: The last day of validity.
        notes: For the CRM history; taken out of the run. Empty: a note is written that names the date.
        operator: The code of whoever enters the withdrawal.
        assigned_to: The code of the operator in whose agenda it is to stand; the action type must allow it.
        confirm: Command line only: the digest of what was shown before, to do exactly that.
        dry_run: Only show what it would do.
        business_date: The day to act for. Empty: the day for which the run was scheduled.
    """
    blank()
    day = business_date or scheduled_day()
    waiting = UUID(flow_run.id) if deployment.id and not dry_run else None
    assigned = "" if assigned_to.strip() == NOBODY else assigned_to.strip()
    codes = (customer.strip(), listed(memberships), action_type.strip())
    request = Request(*codes, withdrawal_date, notes, operator.strip(), assigned)
    with recorded(NAME, day, dry_run=dry_run) as summary:
        try:
            if not dry_run:
                refuse_ahead(day)
            _withdraw(summary, request, confirm.strip(), waiting)
        except BadInput as refused:
            describe_findings(summary, refused.findings, refused.total)
            raise
    return summary


def _withdraw(summary: Summary, request: Request, confirm: str, waiting: UUID | None) -> None:
    """`waiting`: the Prefect run that waits for a person; None: on the command line, or a dry run."""
    before = remembered(waiting) if waiting else None
    if before and before.state is WithdrawalState.REFUSED:
        summary.counts["withdrawal refused"] = 1
        return
    asked, misfits = replace(request, note=before.note) if before else request, _misfits(confirm, summary.dry_run)
    shown = _looked(asked, summary.business_date, misfits)
    _describe(summary, shown)
    if summary.dry_run:
        return
    if not shown.before:
        if waiting is None:
            _confirmed(summary, shown, confirm)
        elif not _decided(summary, shown, waiting, again=before is not None):
            return
    summary.counts.update(withdraw(shown, summary.business_date, summary.run_id, now(), waiting))
    deliver_now(summary)


def _misfits(confirm: str, dry_run: bool) -> list[Finding]:
    findings = []
    if confirm and deployment.id:
        # There it would confirm unseen what anybody was shown last.
        findings.append(Finding("confirm", "confirms on the command line", "to answer the run that waits"))
    if confirm and dry_run:
        findings.append(Finding("dry_run", "what is confirmed is done", "confirm without a dry run"))
    return findings


def _looked(request: Request, day: date, misfits: list[Finding]) -> Shown:
    """What the withdrawal would do. Raises BadInput with the misfits and all that is wrong with the request."""
    try:
        shown = look(request, day)
    except BadInput as refused:
        raise BadInput(misfits + refused.findings) from None
    if misfits:
        raise BadInput(misfits)
    return shown


def _confirmed(summary: Summary, shown: Shown, confirm: str) -> None:
    """On the command line: raises WaitsForPerson at first, BadInput where what was shown is not this."""
    if not confirm:
        raise WaitsForPerson(
            summary, f"nothing is changed yet; to do exactly this: the same with --confirm {shown.digest}"
        )
    if confirm != shown.digest:
        expected = "the digest of exactly this withdrawal: a run without one shows it anew"
        raise BadInput([Finding("confirm", f"{confirm!r} does not stand for what it would do now", expected)])


def _decided(summary: Summary, shown: Shown, waiting: UUID, *, again: bool) -> bool:
    """What a person says. Until then this process ends here, and is started again from the flow's top."""
    await_answer(shown, summary.business_date, waiting, summary.run_id, now())
    said = suspend_flow_run(
        wait_for_input=Confirmation.with_initial_data(description=_question(shown, again=again)),
        timeout=int(timedelta(days=WAIT_DAYS).total_seconds()),
        # Prefect gives an answer again to whoever asks under the same key: what has changed since has another one.
        key=f"withdrawal-{shown.digest}",
    )
    if said.decision == "withdraw":
        return True
    refuse(waiting)
    summary.counts["withdrawal refused"] = 1
    return False


def _question(shown: Shown, *, again: bool) -> str:
    request = shown.request
    changed = "**Something has changed since it was shown before: this is how it is now.**\n\n" if again else ""
    codes = ", ".join(f"`{code}`" for code in request.memberships)
    sums = "".join(f"- {number} instalments {what}: {amount} {of}\n" for what, of, number, amount in _sums(shown))
    return (
        f"{changed}Customer `{request.customer}` withdraws from {codes}. The last day is **{request.on}**.\n\n{sums}\n"
        "One by one they are in the summary among this run's artifacts.\n\n"
        "**Withdrawn is withdrawn: it cannot be undone, one sells anew.**"
    )


def _describe(summary: Summary, shown: Shown) -> None:
    if shown.before:
        summary.notes.append("withdrawn exactly so before: nothing is left to do")
        return
    note = "the note that was typed" if shown.request.note.strip() else "a note that names the date"
    summary.notes.append(f"withdrawal `{shown.digest}`: the last day is {shown.request.on}; with {note}")
    summary.counts["planned: memberships withdrawn"] = len(shown.effects)
    summary.counts["planned: mandates ended"] = len({effect.mandate for effect in shown.effects} - {None})
    for what, _, number, _ in _sums(shown):
        summary.counts[f"planned: instalments {what}"] += number
    header = ("membership", "last day", "expiry before", "renewal", "charged by itself", "mandate or card")
    rows = [_row(effect, shown.request.on, frozenset(shown.request.memberships)) for effect in shown.effects]
    summary.tables.append(Table("Memberships", header, [*rows]))
    header = ("membership", "due on", "amount", "currency", "status before", "is then")
    touched = [
        (effect.membership.code, str(it.due_on), str(it.amount), effect.membership.currency, _status(it), what)
        for effect in shown.effects
        for what, instalments in _instalments(effect).items()
        for it in instalments
    ]
    summary.tables.append(Table("Instalments", header, sorted(touched)))
    summary.tables.append(Table("Sums", ("instalments", "currency", "number", "sum"), [*_sums(shown)]))


def _row(effect: Effect, on: date, withdrawn: frozenset[str]) -> tuple[str, ...]:
    membership = effect.membership
    renewal = "stopped" if membership.auto_renew else "none"
    if membership.is_monthly and on > membership.expires_on:
        renewal = f"until {on}, then stopped"
    kept_by = sorted(set(membership.shared_with) - withdrawn)
    mandate = f"{effect.mandate}: ends" if effect.mandate else "none"
    if membership.mandate and kept_by:
        mandate = f"{membership.mandate}: stays, for {', '.join(kept_by)}"
    charged = f"{membership.charge_method}: no longer"
    return (membership.code, str(on), str(membership.expires_on), renewal, charged, mandate)


def _instalments(effect: Effect) -> dict[str, Sequence[Instalment | ToCome]]:
    """By what becomes of them."""
    return {
        "owed": effect.owed,
        "owed, when it is renewed": effect.to_come,
        "being collected": effect.being_collected,
        "removed": effect.removed,
        "to be refunded": effect.to_be_refunded,
    }


def _status(instalment: Instalment | ToCome) -> str:
    return instalment.status if isinstance(instalment, Instalment) else "not there yet"


def _sums(shown: Shown) -> list[tuple[str, str, int, str]]:
    """What becomes of how many instalments, and their sum: by currency."""
    by: defaultdict[tuple[str, str], list[Decimal]] = defaultdict(list)
    for effect in shown.effects:
        for what, instalments in _instalments(effect).items():
            by[what, effect.membership.currency] += [it.amount for it in instalments]
    return [(*which, len(those), str(sum(those, NOTHING))) for which, those in sorted(by.items()) if those]
