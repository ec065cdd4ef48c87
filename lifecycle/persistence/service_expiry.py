"""Services that are due, and what a sweep did about them."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, Row, text

from lifecycle.persistence import lapses
from lifecycle.persistence.card_closing import void
from lifecycle.persistence.subscription_status import Locked
from lifecycle.rules.billing_card import Payee
from lifecycle.rules.languages import Locale
from lifecycle.rules.licence_notice import Contact
from lifecycle.rules.money import NOTHING
from lifecycle.rules.outbox import Obsolete, Sent, State
from lifecycle.rules.provisioning import Access
from lifecycle.rules.service_expiry import Service, Step, Terms, told_day
from lifecycle.rules.service_notice import Notice, NoticeKind
from lifecycle.rules.subscriptions import Status

_WITHHELD = {
    Step.WITHHOLD_SUSPENDING: NoticeKind.SUSPENDED,
    Step.WITHHOLD_WARNING: NoticeKind.DELETION_WARNING,
    Step.WITHHOLD_DELETING: NoticeKind.DELETED,
}

# How many days a message waited to be sent: its day moves on by as many, as nobody was told before.
_WAITED = "coalesce(extract(day FROM {message}.sent_at - {message}.created_at), 0)::integer"

# Of a card's mails that tell of a service, the first that was sent counts; where none was, the last.
_SERVICES = f"""
SELECT standing.subscription_id, subscription.code, product.code AS product, standing.expires_on, status,
    customer.email IS NOT NULL AS reachable, due_on, card.id AS card, number AS card_number,
    mail.state AS mail_state, mailed_on,
    warning.state AS warning_state,
    warning.business_date + {_WAITED.format(message="warning")} AS warned_on,
    CASE WHEN :trial THEN (
        SELECT jsonb_object_agg(kind, business_date) FROM messages
        WHERE key = ANY(ARRAY[{", ".join(f"'{kind}/' || lapse || '/withheld'" for kind in NoticeKind)}])
    ) END AS withheld
FROM subscription_status AS standing
JOIN subscriptions AS subscription ON subscription.id = standing.subscription_id
JOIN products AS product ON product.id = product_id AND policy = 'service'
JOIN customers AS customer ON customer.id = customer_id
CROSS JOIN LATERAL (SELECT subscription.code || '/' || to_char(standing.expires_on, 'YYYY-MM-DD') AS lapse) AS named
LEFT JOIN LATERAL (
    SELECT cards.id, number FROM card_lines JOIN cards ON cards.id = card_id AND state = 'open'
    WHERE payable AND subscription_id = standing.subscription_id AND card_lines.expires_on = standing.expires_on
        AND (cast(:cards AS bigint[]) IS NULL OR cards.id = ANY(:cards))
        AND total > (
            SELECT coalesce(sum(amount), 0) FROM allocations
            WHERE allocations.card_id = cards.id AND purpose = 'card')
) AS card ON true
LEFT JOIN LATERAL (
    SELECT state, business_date + {_WAITED.format(message="messages")} AS mailed_on
    FROM card_lines JOIN messages ON key = 'billing-card/' || number || '/' || revision
    WHERE card_id = card.id AND card_lines.subscription_id = standing.subscription_id
        AND card_lines.expires_on = standing.expires_on
    ORDER BY state = 'sent' DESC, CASE WHEN state = 'sent' THEN revision ELSE -revision END LIMIT 1
) AS mail ON true
LEFT JOIN messages AS warning ON warning.key = '{NoticeKind.DELETION_WARNING}/' || lapse
"""

_DUE = text(f"{_SERVICES} WHERE due_on <= :day")
_AGAIN = text(f"{_SERVICES} WHERE standing.subscription_id = ANY(:subscriptions)")


def due(db: Connection, day: date, *, trial: bool) -> Iterable[Service]:
    """The services that a sweep for `day` must look at. `trial`: say what was withheld, too."""
    asked = {"day": day, "trial": trial, "cards": None}
    return map(_service, db.execute(_DUE, asked, execution_options={"yield_per": 5_000}))


def again(db: Connection, locked: Locked, *, trial: bool) -> Iterable[Service]:
    """The services among what is locked, as they are now.

    Only a locked card is trusted to be unpaid: one on which a service came to stand since is looked at another day.
    """
    return map(_service, db.execute(_AGAIN, locked._asdict() | {"trial": trial}))


def _service(row: Row[tuple[object, ...]]) -> Service:
    withheld = row.withheld or {}
    return Service(
        id=row.subscription_id,
        code=row.code,
        product=row.product,
        expires_on=row.expires_on,
        status=Status(row.status),
        reachable=row.reachable,
        due_on=row.due_on,
        card=row.card,
        card_number=row.card_number or "",
        card_mail=Sent(State(row.mail_state), row.mailed_on) if row.mail_state else None,
        warning=Sent(State(row.warning_state), row.warned_on) if row.warning_state else None,
        withheld={step: date.fromisoformat(withheld[kind]) for step, kind in _WITHHELD.items() if kind in withheld},
    )


_NOTICES = {Step.SUSPEND: NoticeKind.SUSPENDED, Step.WARN: NoticeKind.DELETION_WARNING, Step.DELETE: NoticeKind.DELETED}
_CUTS = {
    Step.SUSPEND: (Access.SUSPENDED, "unpaid-suspended"),
    Step.DELETE: (Access.DELETED, "unpaid-deleted"),
}
_WITHHELD_CALLS = {Step.WITHHOLD_SUSPENDING: Access.SUSPENDED, Step.WITHHOLD_DELETING: Access.DELETED}


def record(db: Connection, step: Step, services: Sequence[Service], terms: Terms, run_id: UUID, now: datetime) -> None:
    """Record that `step` was done to these services, with the mails and calls that carry it out.

    A deleted service's card is void from here on. Cards and statuses must be locked.
    """
    those, day = [service.id for service in services], terms.day
    facts = {
        service.id: {"day": told_day(service, step, terms).isoformat(), "card": service.card_number}
        for service in services
    }
    if step in _CUTS:
        lapses.cut_off(db, *_CUTS[step], those, day, run_id, now)
    if step in _WITHHELD_CALLS:
        lapses.withhold_call(db, _WITHHELD_CALLS[step], those, day, run_id)
    if step is Step.DELETE:
        void(db, [service.card for service in services if service.card], day, run_id, now)
    kind, state = (_WITHHELD[step], State.WITHHELD) if step in _WITHHELD else (_NOTICES[step], State.QUEUED)
    lapses.notify(db, f"{kind}/", kind, state, facts, day, run_id)


# The card of now: the one that the service stands on, or else that of when the notice was queued.
_NOTICE = text(f"""
SELECT told.*, number AS card, currency, card.state AS card_state, card.total - coalesce((
    SELECT sum(amount) FROM allocations WHERE card_id = card.id AND purpose = 'card'), 0) AS to_pay
FROM (
    SELECT subscription_id, standing.status, standing.expires_on, {lapses.TOLD}
    WHERE messages.id = :message
) AS told
JOIN cards AS card ON card.id = coalesce((
    SELECT card_id FROM card_lines
    WHERE payable AND card_lines.subscription_id = told.subscription_id AND card_lines.expires_on = told.expires_on
), (SELECT id FROM cards WHERE number = told.facts ->> 'card'))
""")


def notice(db: Connection, message: int, default_locale: Locale, issuer: Contact, payee: Payee) -> Notice:
    """What a queued notice says: the facts of when it was queued, names, card and what is left to pay as of now.

    `issuer` is whom the customers turn to that no reseller looks after, `payee` whom they pay. Raises Obsolete where
    there is nothing to say any more: the service was renewed, its card paid, or it is deleted meanwhile.
    """
    row = db.execute(_NOTICE, {"message": message, "default_locale": default_locale}).one()
    kind = NoticeKind(row.kind)
    deleted = kind is NoticeKind.DELETED
    if row.renewed or row.card_state == "paid" or (row.status == "deleted") != deleted:
        raise Obsolete(f"the lapse of {row.code} on {row.facts['expires_on']} is over")
    return Notice(
        kind=kind,
        customer_name=row.customer_name,
        service=row.code,
        reference=row.reference,
        product=row.product,
        locale=row.locale,
        expires_on=date.fromisoformat(row.facts["expires_on"]),
        day=date.fromisoformat(row.facts["day"]),
        card=row.card,
        to_pay=NOTHING if deleted else row.to_pay,
        currency=row.currency,
        payee=None if deleted else payee,
        contact=lapses.contact(row, issuer),
    )
