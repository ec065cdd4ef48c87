"""Records that a customer consented, or withdrew its consent."""

from prefect import flow

from flows.business_day import Day, now, scheduled_day
from lifecycle.rules.consents import Said
from lifecycle.rules.runs import Summary
from tasks.consents import By
from tasks.consents import record_consent as record
from tasks.runs import blank, recorded


@flow(name="record-consent", flow_run_name="record-consent {customer} {consent_type}", result_serializer="json")
def record_consent(
    customer: str,
    consent_type: str,
    operator: str,
    granted_on: Day | None = None,
    withdrawn_on: Day | None = None,
    evidence: str = "",
    business_date: Day | None = None,
    dry_run: bool = False,
) -> Summary:
    """Record a consent, its withdrawal, or a past consent with its end.

    - A consent needs evidence; withdrawing is as easy as granting and needs none.
    - A withdrawal ends every consent of the type that was granted by that day; it is never taken back.
    - A consent holds again, and an objection is lifted, only by a consent on a later day.
    - What was recorded already is left as it is; nothing is ever overwritten.
    - The evidence is taken out of the run as soon as it begins: it can name people.

    Args:
        customer: The customer's code.
        consent_type: The consent type's code.
        operator: The code of whoever records it.
        granted_on: The day on which the customer consented.
        withdrawn_on: The first day on which the consent no longer holds.
        evidence: How, when and by whom it was said, and under which wording. A run that is started again needs it anew.
        business_date: The day of the recording. Empty: the day for which the run was scheduled.
        dry_run: Only say what would be recorded.
    """
    blank()
    day = business_date or scheduled_day()
    with recorded("record-consent", day, dry_run=dry_run) as summary:
        said = Said(granted_on, withdrawn_on, evidence.strip())
        by = By(operator.strip(), summary.run_id, day, now())
        versions, notes = record(customer, consent_type, said, by, dry_run=dry_run)
        summary.counts["withdrawn" if granted_on is None else "granted"] = versions
        summary.counts["unchanged"] = int(versions == 0)
        summary.notes += notes
    return summary
