"""Sees to erasures whose run has ended in another way than it should."""

from prefect import flow

from flows.business_day import now, scheduled_day
from flows.deliver_outbox import deliver_now
from flows.gdpr_erasure_batch import carry_out
from lifecycle.rules.erasure import Erasure, ErasureState
from lifecycle.rules.runs import Summary
from tasks.gdpr_erasure_batch import forget, has_ended, is_carried_out, unfinished
from tasks.runs import recorded


@flow(name="erasure-upkeep", result_serializer="json")
def erasure_upkeep(dry_run: bool = False) -> Summary:
    """Leave nothing of an erasure half done, and no name in Prefect longer than its run.

    - What was approved, and is carried out by nobody, is carried to its end: its run was killed.
    - What a run has shown that ended is removed, and nobody can approve it any more; so are its forms and answers.
    - What waits for too long lapses, and is removed.
    - Runs that wait, or carry out, are left alone.

    Args:
        dry_run: Only say how many there are.
    """
    with recorded("erasure-upkeep", scheduled_day(), dry_run=dry_run) as summary:
        for each in unfinished():
            if each.state is ErasureState.APPROVED:
                if not is_carried_out(each):
                    summary.counts["interrupted"] += 1
                    if not dry_run:
                        carry_out(summary, each)
                        deliver_now(summary)
            elif _is_over(each):
                summary.counts["over"] += 1
                if not dry_run:
                    summary.counts[forget(each)] += 1
            else:
                summary.counts["waiting"] += 1
    return summary


def _is_over(shown: Erasure) -> bool:
    """Whether nobody waits for it any more."""
    run = shown.prefect_flow_run_id
    return shown.lapses_at <= now() or (run is not None and has_ended(run))
