"""The billing-card run: services that fall due are put on cards, and their customers reminded."""

from datetime import date

from prefect import flow
from prefect.runtime import flow_run

from flows.business_day import now, refuse_ahead, scheduled_day, superseded
from flows.deliver_outbox import deliver_now
from flows.portions import codes_in, done
from lifecycle.rules.runs import Summary, Table
from tasks.billing_card import NOT_DRAWN, TOO_MUCH, Billed, Order, bill, custom_due, customers_due
from tasks.runs import recorded

PORTION = 1_000
SHOWN_CARDS = 200


def _run_name() -> str:
    return f"billing-card-run {flow_run.parameters['business_date'] or scheduled_day()}"


@flow(name="billing-card-run", flow_run_name=_run_name, result_serializer="json")
def billing_card_run(business_date: date | None = None, customers: str = "all", dry_run: bool = False) -> Summary:
    """Put the services that fall due on billing cards, mail these, and remind of those that are open.

    - One card per customer and currency for everything that expires within `card_lead_days`; what falls due later joins
      it as a new revision while it is not overdue. An unchanged card keeps its revision.
    - No service and period stands on two open cards, and numbers have no holes, whatever runs beside each other.
    - The customer's credit is used first; a card that it pays in full renews at once.
    - Reminders go out on the policy's days, one each, none after payment, none while paid in part unless overdue.
    - Custom applications that fall due are listed for Accounting, and nothing else happens to them.
    - Before the stream's go-live date cards are made for trial: visible, not sent.
    - A day more than one ahead of today is refused, except as a dry run.
    - A scheduled run that begins more than a day late leaves everything to the run of a later day.

    Args:
        business_date: The day to act for. Empty: the day for which the run was scheduled.
        customers: Codes separated by commas, or "all".
        dry_run: Do everything, list it, and take it back.
    """
    day = business_date or scheduled_day()
    with recorded("billing-card-run", day, dry_run=dry_run, whole=customers.strip() == "all") as summary:
        if business_date is None and superseded(summary):
            return summary
        if not dry_run:
            refuse_ahead(day)
        order = Order(day, now(), summary.run_id, dry_run)
        summary.failed |= {NOT_DRAWN, TOO_MUCH}
        billed = Billed()
        due = customers_due(order, codes_in(customers, "customers"))
        portions = [due[start : start + PORTION] for start in range(0, len(due), PORTION)]
        for portion in done(bill, "customers", portions, "customers billed", order=order):
            billed.add(portion)
        _describe(summary, billed)
        _list_custom(summary, custom_due(order))
        if not dry_run:
            deliver_now(summary)
    return summary


def _describe(summary: Summary, billed: Billed) -> None:
    summary.counts.update(+billed.counts)
    sums = [(what, currency, str(total)) for (what, currency), total in sorted(billed.sums.items())]
    summary.tables.append(Table("Totals", ("what", "currency", "total"), [*sums]))
    cards = [
        # What a dry run would make has no number: each portion takes its own back.
        ("new" if summary.dry_run and what.startswith("cards made") else number, *names, str(total), what)
        for number, *names, total, what in sorted(billed.cards)[:SHOWN_CARDS]
    ]
    more = f", the first {SHOWN_CARDS}" if len(billed.cards) > SHOWN_CARDS else ""
    summary.tables.append(Table(f"Cards{more}", ("number", "customer", "currency", "total", "what"), [*cards]))


def _list_custom(summary: Summary, custom: list[tuple[str, str, date]]) -> None:
    summary.counts["custom applications that fall due"] = len(custom)
    rows = [(subscription, customer, str(expires_on)) for subscription, customer, expires_on in custom]
    summary.tables.append(
        Table("Custom applications that fall due, for Accounting", ("subscription", "customer", "expiry"), [*rows])
    )
