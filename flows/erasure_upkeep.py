"""Sees to runs that have ended in another way than they should, erasures and withdrawals above all."""

from datetime import timedelta

from prefect import flow

from flows.business_day import now, scheduled_day, scheduled_minute
from flows.deliver_outbox import deliver_now
from flows.gdpr_erasure_batch import carry_out
from flows.membership_withdrawal import WAIT_DAYS
from lifecycle.rules.erasure import Erasure, ErasureState
from lifecycle.rules.runs import Summary
from tasks.gdpr_erasure_batch import forget, has_ended, is_carried_out, unfinished
from tasks.membership_withdrawal import refuse, unanswered
from tasks.runs import blame, log, recorded, settle

INTERRUPTED, OVER, FAILED = "interrupted", "over", "failed"
DIED = "runs whose process died"
UNANSWERED = "withdrawals that nobody answered, refused"


def _run_name() -> str:
    return f"erasure-upkeep {scheduled_minute()}"


@flow(name="erasure-upkeep", flow_run_name=_run_name, result_serializer="json")
def erasure_upkeep(dry_run: bool = False) -> Summary:
    """Leave nothing of an erasure half done, and no name in Prefect longer than its run.

    - What was approved, and is carried out by nobody, is carried to its end: its run was killed.
    - What a run has shown that ended is removed, and nobody can approve it any more; so are its forms and answers.
    - What waits for too long lapses, and is removed.
    - A withdrawal whose run has ended unanswered is refused, and the operator's note forgotten.
    - Runs that wait, or carry out, are left alone.
    - Any run whose process died, with its worker or its machine, is said to have crashed; `make-up` takes it up again.

    Args:
        dry_run: Only say how many there are.
    """
    with recorded("erasure-upkeep", scheduled_day(), dry_run=dry_run) as summary:
        summary.failed.add(FAILED)
        for each in unfinished():
            what = _standing(each)
            summary.counts[what] += 1
            try:
                if what == INTERRUPTED and not dry_run:
                    carry_out(summary, each)
                    deliver_now(summary)
                elif what == OVER and not dry_run:
                    summary.counts[forget(each)] += 1
            except Exception as error:  # noqa: BLE001 - the others are seen to all the same
                summary.counts[FAILED] += 1
                log.error("erasure %s: %s", each.id, blame(error))
        # A day longer than a run waits: of one that was killed Prefect need not know that it has ended.
        for run in unanswered(now() - timedelta(days=WAIT_DAYS + 1)):
            summary.counts[UNANSWERED] += 1
            if not dry_run:
                refuse(run)
        if not dry_run and (died := settle(now())):
            summary.counts[DIED] = died.total()
    return summary


def _standing(shown: Erasure) -> str:
    if shown.state is ErasureState.APPROVED:
        return "carried out" if is_carried_out(shown) else INTERRUPTED
    run = shown.prefect_flow_run_id
    return OVER if shown.lapses_at <= now() or (run is not None and has_ended(run)) else "waiting"
