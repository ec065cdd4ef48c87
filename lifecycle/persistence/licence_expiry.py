"""Licences that are due, and what a sweep did about them."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, Row, text

from lifecycle.persistence import lapses
from lifecycle.persistence.subscription_status import Locked
from lifecycle.rules.languages import Locale
from lifecycle.rules.licence_expiry import Licence, Step, Terms, told_end
from lifecycle.rules.licence_notice import Contact, Notice, NoticeKind
from lifecycle.rules.outbox import Obsolete, Sent, State
from lifecycle.rules.provisioning import Access
from lifecycle.rules.subscriptions import Status

_WARNING, _TELLING = "customer-notice/expired-3m/", "customer-notice/expired-6m/"
_DISABLING = "access/disabled/"

_LICENCES = f"""
SELECT standing.subscription_id, subscription.code, product.code AS product, standing.expires_on, status,
    customer.email IS NOT NULL AS reachable, due_on,
    CASE WHEN status = 'disabled' THEN (
        SELECT business_date FROM transitions WHERE transitions.subscription_id = standing.subscription_id
        ORDER BY transitions.id DESC LIMIT 1) END AS disabled_on,
    warning.state AS warning_state, warning.business_date AS warned_on,
    telling.state AS telling_state, telling.business_date AS told_on,
    array_remove(ARRAY[
        CASE WHEN :trial AND EXISTS (SELECT FROM messages WHERE key = '{_WARNING}' || lapse || '/withheld')
            THEN '{Step.WITHHOLD_WARNING}' END,
        CASE WHEN :trial AND EXISTS (SELECT FROM messages WHERE key = '{_TELLING}' || lapse || '/withheld')
            THEN '{Step.WITHHOLD_TELLING}' END,
        CASE WHEN :trial AND EXISTS (SELECT FROM messages WHERE key = '{_DISABLING}' || lapse || '/withheld')
            THEN '{Step.WITHHOLD_DISABLING}' END], NULL) AS withheld
FROM subscription_status AS standing
JOIN subscriptions AS subscription ON subscription.id = standing.subscription_id
JOIN products AS product ON product.id = product_id AND policy = 'licence'
JOIN customers AS customer ON customer.id = customer_id
CROSS JOIN LATERAL (SELECT subscription.code || '/' || to_char(standing.expires_on, 'YYYY-MM-DD') AS lapse) AS named
LEFT JOIN messages AS warning ON warning.key = '{_WARNING}' || lapse
LEFT JOIN messages AS telling ON telling.key = '{_TELLING}' || lapse
"""

_DUE = text(f"{_LICENCES} WHERE due_on <= :day")
_AGAIN = text(f"{_LICENCES} WHERE standing.subscription_id = ANY(:subscriptions)")


def due(db: Connection, day: date, *, trial: bool) -> Iterable[Licence]:
    """The licences that a sweep for `day` must look at. `trial`: say what was withheld, too."""
    return map(_licence, db.execute(_DUE, {"day": day, "trial": trial}, execution_options={"yield_per": 5_000}))


def again(db: Connection, locked: Locked, *, trial: bool) -> Iterable[Licence]:
    """The licences among what is locked, as they are now."""
    return map(_licence, db.execute(_AGAIN, {"subscriptions": locked.subscriptions, "trial": trial}))


def _licence(row: Row[tuple[object, ...]]) -> Licence:
    return Licence(
        id=row.subscription_id,
        code=row.code,
        product=row.product,
        expires_on=row.expires_on,
        status=Status(row.status),
        reachable=row.reachable,
        due_on=row.due_on,
        disabled_on=row.disabled_on,
        warning=Sent(State(row.warning_state), row.warned_on) if row.warning_state else None,
        telling=Sent(State(row.telling_state), row.told_on) if row.telling_state else None,
        withheld=frozenset(map(Step, row.withheld)),
    )


_NOTICES = {
    step: (prefix, kind, state)
    for step, prefix, kind, state in (
        (Step.WARN, _WARNING, NoticeKind.EXPIRED_3_MONTHS, State.QUEUED),
        (Step.WITHHOLD_WARNING, _WARNING, NoticeKind.EXPIRED_3_MONTHS, State.WITHHELD),
        (Step.TELL, _TELLING, NoticeKind.ACCESS_DISABLED, State.QUEUED),
        (Step.WITHHOLD_TELLING, _TELLING, NoticeKind.ACCESS_DISABLED, State.WITHHELD),
    )
}


def record(db: Connection, step: Step, licences: Sequence[Licence], terms: Terms, run_id: UUID, now: datetime) -> None:
    """Record that `step` was done to these licences, with the messages and calls that carry it out."""
    those = [licence.id for licence in licences]
    match step:
        case Step.DISABLE:
            lapses.cut_off(db, Access.DISABLED, "expired-6-months", those, terms.day, run_id, now)
        case Step.WITHHOLD_DISABLING:
            lapses.withhold_call(db, Access.DISABLED, those, terms.day, run_id)
        case _:
            facts = {one.id: {"access_ends_on": told_end(one, step, terms).isoformat()} for one in licences}
            lapses.notify(db, *_NOTICES[step], facts, terms.day, run_id)


_NOTICE = text(f"SELECT {lapses.TOLD} WHERE messages.id = :message")


def notice(db: Connection, message: int, default_locale: Locale, issuer: Contact) -> Notice:
    """What a queued notice says: the facts of when it was queued, the names and the reseller's contact as they are now.

    `issuer` is whom the customers turn to that no reseller looks after. Raises Obsolete where there is nothing to say
    any more.
    """
    row = db.execute(_NOTICE, {"message": message, "default_locale": default_locale}).one()
    if row.renewed:
        raise Obsolete(f"{row.code} has been renewed since {row.facts['expires_on']}")
    return Notice(
        kind=NoticeKind(row.kind),
        customer_name=row.customer_name,
        licence=row.code,
        reference=row.reference,
        product=row.product,
        locale=row.locale,
        expires_on=date.fromisoformat(row.facts["expires_on"]),
        access_ends_on=date.fromisoformat(row.facts["access_ends_on"]),
        contact=lapses.contact(row, issuer),
        direct=row.reseller_name is None,
    )
