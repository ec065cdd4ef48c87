"""Erasure of inactive customers: shown, approved, carried out in portions.

Safety case. Names reach Prefect in one artifact alone, without a key, so that no event copies it. That there may be one
is in the database before there is: it is found by its run and removed when that ends, in whatever way, by the run
itself or by `erasure-upkeep`; as are the forms that were answered, which hold one-time codes. What is approved is never
taken back: whoever comes next goes on with those of whom it is still to be decided.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import State
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterType
from prefect.exceptions import ObjectNotFound, Pause
from prefect.states import Cancelled

from lifecycle.persistence import erasure, ledger, segment
from lifecycle.persistence.database import transaction
from lifecycle.persistence.erasure import Found, Scope
from lifecycle.rules.erasure import PORTION, Criteria, Erasure, ErasureState, Kept
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.segment import Segment
from lifecycle.settings import settings
from tasks.operators import confirm
from tasks.retries import transient
from tasks.runs import empty_write_ahead_log

SHOWN_CODES = 50
MOST_ANSWERS = 5
"""How often a run asks: with wrong answers only, it ends refused."""

_PREVIEW = "table"  # no other artifact of a run is one
_QUESTION = "suspended-"  # what the keys of Prefect's forms and answers begin with


@dataclass(frozen=True, slots=True)
class Order:
    """Whom a run looks for. `waiting`: the Prefect run that will wait for an administrator; None: none will."""

    criteria: Criteria
    segment: Segment
    exclude: tuple[str, ...]
    run_id: UUID
    waiting: UUID | None


@dataclass(frozen=True, slots=True)
class Shown:
    """What a run has found, in figures and codes. `erasure` can be approved; None: nobody can be erased."""

    erasure: Erasure | None
    found: list[str]
    kept: dict[Kept, list[str]]
    counts: Counter[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an administrator says to what was shown. `taken_out` are codes."""

    operator: str
    one_time_code: str = field(repr=False)
    entered_at: datetime
    taken_out: tuple[str, ...]


def checked(
    digest: str, day: date, today: date, days: int, preset: str, among: Segment, findings: list[Finding]
) -> Criteria | str:
    """What is asked for: the digest, if there is one, else the criteria.

    Raises BadInput with the findings and all that is wrong with the criteria.
    """
    found = list(findings)
    asked: Criteria | str = digest
    if not digest:
        with transaction() as db:
            unknown = segment.unknown(db, among)
        found += [
            Finding("segment", f"{name} {value!r} is not known", f"a {name} on record") for name, value in unknown
        ]
        if day > today:
            found.append(Finding("business_date", f"{day} is yet to come", f"{today} or an earlier day"))
        try:
            asked = Criteria.asked(day, days, preset)
        except BadInput as error:
            found += error.findings
    if found:
        raise BadInput(found)
    return asked


@task(cache_policy=NO_CACHE, persist_result=False, **transient)
def show(order: Order) -> Shown:
    """Find who is inactive and write down who would be erased; a run that waits shows it with names.

    Raises BadInput where a code is to be left out that is not among them; then nothing is written.
    """
    scope = Scope(order.criteria, order.segment, settings().zone, settings().locale)
    wait = timedelta(days=settings().policy.erasure_preview_days)
    with transaction() as db:
        found = erasure.find(db, scope)
        _only_of_shown(
            "exclude", order.exclude, set(order.exclude) - {candidate.code for candidate in found.candidates}
        )
        shown = erasure.show(db, scope, found, order.run_id, order.waiting, wait) if found.candidates else None
    if shown and order.waiting:
        _preview(shown, found, order.exclude)
    kept = defaultdict(list)
    for customer in found.kept:
        for reason in customer.reasons:
            kept[reason].append(customer.code)
    return Shown(
        shown,
        [candidate.code for candidate in found.candidates[:SHOWN_CODES]],
        {reason: codes[:SHOWN_CODES] for reason, codes in sorted(kept.items())},
        _counts(found.inactive, {reason.value: number for reason, number in found.reasons.items()}),
    )


def _counts(inactive: dict[str, int], kept: dict[str, int]) -> Counter[str]:
    return Counter(inactive) + Counter({f"kept: {reason}": number for reason, number in kept.items()})


def _only_of_shown(where: str, codes: Sequence[str], strangers: Collection[str]) -> None:
    """Say by its place which code is of nobody who is shown: anything can have been typed."""
    if strangers:
        places = ", ".join(f"no. {place}" for place, code in enumerate(codes, start=1) if code in strangers)
        problem = f"{places} of the codes is of nobody who is shown"
        raise BadInput([Finding(where, problem, "codes of customers who are", ", ".join(sorted(strangers)))])


def _preview(shown: Erasure, found: Found, exclude: tuple[str, ...]) -> None:
    """The artifact with names: a table, which the newer UI cuts into pages and searches."""
    candidates = [(it, "left out" if it.code in exclude else "erased") for it in found.candidates]
    kept = [(it, f"kept: {', '.join(it.reasons)}") for it in found.kept]
    rows = [
        {
            "code": _literal(it.code),
            "name": _literal(it.name),
            "last appointment": str(it.last_appointment_on or "none"),
            "will be": what,
        }
        for it, what in candidates + kept
    ]
    inactive = found.inactive.total()
    more = f" Of {inactive} inactive customers those inactive for longest are shown." if len(rows) < inactive else ""
    create_table_artifact(rows, description=f"Erasure `{shown.digest}`: this is removed when the run ends.{more}")


def _literal(value: str) -> str:
    """For the older UI, which takes cells for Markdown: word joiners, which nobody sees, keep out tags and links."""
    return re.sub(r"[<&\[\]]", "\\g<0>\u2060", value)


def of_run(prefect_id: UUID) -> Erasure | None:
    """What this Prefect run has shown before, and must go on with; None: it has to look anew.

    So it does where what it showed was refused or has lapsed, and where it died before there was a preview.
    """
    with transaction() as db:
        shown = erasure.of_prefect_run(db, prefect_id)
    if shown is None or shown.state in {ErasureState.REFUSED, ErasureState.LAPSED}:
        return None
    if shown.state is ErasureState.WAITING and not _has_preview(prefect_id):
        forget(shown)
        return None
    return shown


def shown_before(asked: Criteria | str, among: Segment, day: date | None) -> Erasure:
    """What was shown and waits, or is carried out: by these criteria, or under this digest.

    Raises BadInput: nothing was; or not as of `day`, if that is given; or by these criteria lists that are not the
    same, of which nobody can know which one was looked through.
    """
    with transaction() as db:
        open_ = erasure.by_digest(db, asked) if isinstance(asked, str) else erasure.by_criteria(db, asked.period, among)
    if not open_:
        by = f"under {asked!r}" if isinstance(asked, str) else "by these criteria"
        expected = "a run without a code first: it shows whom it would erase"
        raise BadInput([Finding("one_time_code", f"nothing that was shown {by} waits", expected)])
    of_day = [shown for shown in open_ if day in {None, shown.business_date}]
    if not of_day:
        was = f"what was shown last is as of {open_[0].business_date}"
        raise BadInput([Finding("business_date", was, "that day, or none")])
    if len(digests := list(dict.fromkeys(shown.digest for shown in of_day))) > 1:
        wrong = f"by these criteria {len(digests)} lists were shown that are not the same: {', '.join(digests)}"
        raise BadInput([Finding("approve_plan", wrong, "the digest of the one that was looked through")])
    return of_day[0]


def approve(shown: Erasure, answer: Answer) -> Erasure:
    """Approve exactly what was shown, but for those taken out; the code is used up in the same transaction.

    Raises BadInput where a code is of nobody who is shown, nobody would be left, it waits no more, and as `confirm`:
    then nothing is approved.
    """
    with transaction() as db:
        _only_of_shown("codes to leave out", answer.taken_out, erasure.unknown(db, shown.id, answer.taken_out))
        if not erasure.approve(db, shown.id, answer.operator, answer.taken_out):
            raise BadInput([Finding("erasure", f"{shown.digest} waits no more", "a new run, which shows anew")])
        if not erasure.still_shown(db, shown.id):
            raise BadInput([Finding("codes to leave out", "nobody would be left to erase", "to refuse it instead")])
        confirm(db, answer.operator, answer.one_time_code, answer.entered_at)
        return erasure.read(db, shown.id)


def check_approved_alike(approved: Erasure, answer: Answer) -> None:
    """Raise BadInput where this answer says another thing than the one by which it was approved."""
    with transaction() as db:
        dropped = set(answer.taken_out) - erasure.taken_out(db, approved.id)
    if dropped or answer.operator != approved.approved_by:
        was = f"{approved.digest} was approved by {approved.approved_by}"
        problem = f"{was}, without leaving {len(dropped)} of these codes out" if dropped else was
        raise BadInput([Finding("approval", problem, "nothing more: `erasure-upkeep` carries it to its end")])


def refuse(shown: Erasure) -> bool:
    """False: it was approved elsewhere, or has lapsed; it is not refused."""
    with transaction() as db:
        return erasure.refuse(db, shown.id)


def may_ask_again(shown: Erasure, prefect_id: UUID) -> bool:
    """Count an answer that was not accepted, and remove it. False: there is nothing to ask any more."""
    with transaction() as db:
        waits = erasure.count_answer(db, shown.id)
    with get_client(sync_client=True) as client:
        _remove_answers(client, prefect_id)
    return waits


def answered_at(prefect_id: UUID, key: str) -> datetime:
    """When the question under that key was answered: the run goes on seconds, or hours, later."""
    with get_client(sync_client=True) as client:
        (answer,) = client.filter_flow_run_input(prefect_id, f"{_QUESTION}{key}-response", 1, set())
    return cast(datetime, answer.created)  # the server has it of all


@contextmanager
def shown_until_the_end(prefect_id: UUID | None) -> Iterator[None]:
    """What the Prefect run has shown goes when the block ends, but where it ends to wait. None: it shows nothing."""
    try:
        yield
    except Pause:
        raise
    except BaseException:
        _end(prefect_id)
        raise
    _end(prefect_id)


def _end(prefect_id: UUID | None) -> None:
    if prefect_id is None:
        return
    with transaction() as db:
        shown = erasure.of_prefect_run(db, prefect_id)
    if shown:
        forget(shown)


def forget(shown: Erasure) -> ErasureState:
    """Take names and answers out of Prefect; where it still waits, it is void. Returns its state afterwards.

    A run that waits for an answer is cancelled: there is nothing to answer any more.
    """
    if shown.prefect_flow_run_id:
        with get_client(sync_client=True) as client:
            for preview in _previews(client, shown.prefect_flow_run_id):
                client.delete_artifact(preview)
            _remove_answers(client, shown.prefect_flow_run_id)
            _cancel_if_waiting(client, shown.prefect_flow_run_id)
        empty_write_ahead_log()
    with transaction() as db:
        return erasure.end_of_run(db, shown.id)


def _cancel_if_waiting(client: SyncPrefectClient, prefect_id: UUID) -> None:
    with suppress(ObjectNotFound):
        state = client.read_flow_run(prefect_id).state
        if state and state.is_paused():
            over: State[Any] = Cancelled(message="It has lapsed, or was approved on the command line.")
            client.set_flow_run_state(prefect_id, over, force=True)


def _has_preview(prefect_id: UUID) -> bool:
    with get_client(sync_client=True) as client:
        return bool(_previews(client, prefect_id))


def _previews(client: SyncPrefectClient, prefect_id: UUID) -> list[UUID]:
    those = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[prefect_id]), type=ArtifactFilterType(any_=[_PREVIEW])
    )
    return [artifact.id for artifact in client.read_artifacts(artifact_filter=those)]


def _remove_answers(client: SyncPrefectClient, prefect_id: UUID) -> None:
    for given in client.filter_flow_run_input(prefect_id, _QUESTION, 3 * MOST_ANSWERS, set()):
        client.delete_flow_run_input(prefect_id, given.key)


@contextmanager
def carrying_out(approved: Erasure) -> Iterator[list[list[int]]]:
    """The portions that are left of what is approved, while no other process works on it. Names are shown no more."""
    with erasure.alone(approved.id):
        forget(approved)
        with transaction() as db:
            customers = erasure.still_shown(db, approved.id)
        yield [customers[start : start + PORTION] for start in range(0, len(customers), PORTION)]


@task(cache_policy=NO_CACHE, **transient)
def erase(portion: list[int], approved: Erasure, erased_on: date) -> Counter[str]:
    """Erase a portion, each customer looked at once more, and write it into the ledger. Returns what became of them."""
    with transaction() as db:
        done = erasure.erase(db, approved, portion, erased_on, settings().zone)
    keep_in_ledger()
    return done


def keep_in_ledger() -> None:
    """Write what is committed and not yet there into the ledger: also what a killed process has left."""
    with transaction() as db:
        ledger.write(db)


def outcome(approved: Erasure) -> tuple[Counter[str], dict[str, list[str]]]:
    """What was found and what became of whom it showed: counts, and the first codes of those who were not erased."""
    with transaction() as db:
        became = erasure.outcome(db, approved.id)
        codes = erasure.codes(db, approved.id, SHOWN_CODES)
    return _counts(approved.inactive, approved.kept) + Counter({"shown": became.total()}) + became, codes


def unfinished() -> list[Erasure]:
    """Erasures that wait, are approved and not done, or whose names may still be in Prefect."""
    with transaction() as db:
        return erasure.unfinished(db)


def is_carried_out(approved: Erasure) -> bool:
    """Whether a process that lives is carrying it out."""
    with transaction() as db:
        return erasure.is_carried_out(db, approved.id)


def has_ended(prefect_id: UUID) -> bool:
    """Whether that Prefect run has ended, in whatever way, or was deleted."""
    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(prefect_id).state
        except ObjectNotFound:
            return True
    return state is not None and state.is_final()
