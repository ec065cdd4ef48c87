"""Of what the acknowledgement of a withdrawal is written."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, text

from lifecycle.persistence import lapses
from lifecycle.persistence.associations import looked_after
from lifecycle.rules.billing_card import Payee
from lifecycle.rules.instalments import Instalment, InstalmentStatus, total
from lifecycle.rules.languages import Locale
from lifecycle.rules.licence_notice import Contact
from lifecycle.rules.subscriptions import ChargeMethod
from lifecycle.rules.withdrawal_acknowledgement import Acknowledgement, Mandate, Withdrawn, number_of

_WITHDRAWAL = text(f"""
SELECT withdrawals.id, withdrawn_on, requested_at, customer.code, customer.name,
    coalesce(customer.locale, :default_locale) AS locale, reseller.name AS reseller_name, reseller.email, reseller.phone
FROM messages
JOIN withdrawals ON withdrawals.id = (facts ->> 'withdrawal')::uuid
JOIN customers AS customer ON customer.id = withdrawals.customer_id
{looked_after("customer.id", "messages.business_date")}
WHERE messages.id = :message""")

_MEMBERSHIPS = text("""
SELECT subscription_id, coalesce(reference, '') AS reference, products.name AS product, subscriptions.code,
    withdrawn_memberships.currency, removed, to_be_refunded,
    former_expires_on < withdrawn_on AS goes_on
FROM withdrawn_memberships
JOIN withdrawals ON withdrawals.id = withdrawal_id
JOIN subscriptions ON subscriptions.id = subscription_id
JOIN products ON products.id = product_id
WHERE withdrawal_id = :withdrawal ORDER BY subscriptions.code COLLATE "C\"""")

_UNPAID = text(f"""
SELECT subscription_id, instalments.id, due_on, amount, status
FROM withdrawn_memberships JOIN instalments USING (subscription_id)
WHERE withdrawal_id = :withdrawal AND due_on <= :last_day
    AND status IN ('{InstalmentStatus.DUE}', '{InstalmentStatus.SUBMITTED}')
ORDER BY due_on""")

_MANDATES = text("""
SELECT DISTINCT mandates.code COLLATE "C" AS code, kind, ended_on IS NOT NULL AS ended
FROM withdrawn_memberships
JOIN subscriptions ON subscriptions.id = subscription_id
JOIN mandates ON mandates.id = mandate_id
WHERE withdrawal_id = :withdrawal ORDER BY 1""")


def acknowledgement(
    db: Connection, message: int, default_locale: Locale, zone: ZoneInfo, issuer: Contact, payee: Payee | None
) -> Acknowledgement:
    """What a queued acknowledgement says: the withdrawal as it was done, names and what is left to pay as of now.

    `issuer` is whom the customers turn to that no reseller looks after, `payee` whom they pay where that is known,
    `zone` the business time zone.
    """
    row = db.execute(_WITHDRAWAL, {"message": message, "default_locale": default_locale}).one()
    asked = {"withdrawal": row.id, "last_day": row.withdrawn_on}
    unpaid: dict[int, list[Instalment]] = defaultdict(list)
    for each in db.execute(_UNPAID, asked):
        unpaid[each.subscription_id].append(
            Instalment(each.id, each.due_on, each.amount, InstalmentStatus(each.status))
        )
    return Acknowledgement(
        number=number_of(row.id),
        submitted_at=row.requested_at.astimezone(zone),
        customer=row.code,
        customer_name=row.name,
        locale=row.locale,
        last_day=row.withdrawn_on,
        memberships=tuple(_withdrawn(each, unpaid[each.subscription_id]) for each in db.execute(_MEMBERSHIPS, asked)),
        mandates=tuple(
            Mandate(each.code, each.kind == ChargeMethod.CARD, each.ended) for each in db.execute(_MANDATES, asked)
        ),
        payee=payee,
        contact=lapses.contact(row, issuer),
    )


def _withdrawn(row: Row[Any], unpaid: Sequence[Instalment]) -> Withdrawn:
    return Withdrawn(
        reference=row.reference,
        product=row.product,
        code=row.code,
        currency=row.currency,
        owed=tuple(it for it in unpaid if it.status is InstalmentStatus.DUE),
        in_collection=total(it for it in unpaid if it.status is InstalmentStatus.SUBMITTED),
        removed=row.removed,
        to_be_refunded=row.to_be_refunded,
        goes_on=row.goes_on,
    )
