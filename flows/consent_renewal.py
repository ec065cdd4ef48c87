"""The question whether a consent that is about to lapse shall go on."""

from datetime import date

from prefect import flow
from prefect.runtime import flow_run

from flows.business_day import refuse_ahead, scheduled_day, superseded
from flows.deliver_outbox import deliver_now
from flows.portions import done
from lifecycle.rules.runs import Summary, Table
from lifecycle.settings import settings
from tasks.consent_renewal import Asked, Order, ask, find
from tasks.runs import recorded

PORTION = 2_000
SHOWN = 200


def _run_name() -> str:
    return f"consent-renewal {flow_run.parameters['business_date'] or scheduled_day()}"


@flow(name="consent-renewal", flow_run_name=_run_name, result_serializer="json")
def consent_renewal(business_date: date | None = None, dry_run: bool = False) -> Summary:
    """Ask customers, once for each consent, to renew what lapses within `consent_renewal_days`; 0 days: ask nobody.

    - A run that was missed is made up while the consent is valid; after that nobody is asked.
    - It is asked by bulk mail where the consent allows it, which leaves at the pace of mailings and says how to
      unsubscribe; else by a single mail. Who can only be telephoned, or has no address, is counted and listed.
    - Nobody is asked who has withdrawn or renewed the consent, or would lose nothing by it: all that it allows is
      allowed for longer by other consents.
    - The mail itself needs a consent and no objection, when it is queued and when it is sent. What was renewed or
      withdrawn in between, or has lapsed, is not asked about any more.
    - What was granted for no more than `consent_renewal_days` is not asked about: it was given only just.
    - A day more than one ahead of today is refused, except as a dry run.
    - A scheduled run that begins more than a day late leaves everything to the run of a later day.

    Args:
        business_date: The day to act for. Empty: the day for which the run was scheduled.
        dry_run: Do everything, list it, and take it back.
    """
    day = business_date or scheduled_day()
    with recorded("consent-renewal", day, dry_run=dry_run) as summary:
        if business_date is None and superseded(summary):
            return summary
        if not dry_run:
            refuse_ahead(day)
        days = settings().policy.consent_renewal_days
        if days == 0:
            summary.notes.append("nobody is asked: LIFECYCLE_POLICY__CONSENT_RENEWAL_DAYS is 0")
            return summary
        order, asked = Order(day, days, summary.run_id, dry_run), Asked()
        due = find(order)
        portions = [due[start : start + PORTION] for start in range(0, len(due), PORTION)]
        for portion in done(ask, "portion", portions, "consents looked at", order=order):
            asked.add(portion)
        _describe(summary, asked)
        if not dry_run:
            deliver_now(summary)
    return summary


def _describe(summary: Summary, asked: Asked) -> None:
    summary.counts.update(asked.counts)
    more = f", the first {SHOWN} of {len(asked.listed)}" if len(asked.listed) > SHOWN else ""
    rows = sorted(asked.listed)[:SHOWN]
    summary.tables.append(Table(f"Left to a person{more}", ("last day", "customer", "type", "why"), [*rows]))
