"""Licences that are due, and what a sweep did about them."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from lifecycle.rules.languages import Locale
from lifecycle.rules.licence_expiry import Licence, Sent, Step, Terms, told_end
from lifecycle.rules.licence_notice import Contact, Notice, NoticeKind
from lifecycle.rules.outbox import State
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
_LOCK = text("""
SELECT count(*) FROM (
    SELECT FROM subscription_status WHERE subscription_id = ANY(:subscriptions) ORDER BY subscription_id FOR UPDATE
) AS locked""")


def due(db: Connection, day: date, *, trial: bool) -> Iterable[Licence]:
    """The licences that a sweep for `day` must look at. `trial`: say what was withheld, too."""
    return map(_licence, db.execute(_DUE, {"day": day, "trial": trial}, execution_options={"yield_per": 5_000}))


def locked(db: Connection, subscriptions: Sequence[int], *, trial: bool) -> list[Licence]:
    """The licences as they are now, locked until the transaction ends."""
    db.execute(_LOCK, {"subscriptions": list(subscriptions)})
    return list(map(_licence, db.execute(_AGAIN, {"subscriptions": list(subscriptions), "trial": trial})))


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


_NOTICES = text("""
INSERT INTO messages (
    key, kind, state, recipient, recipient_name, customer_id, subscription_id, business_date, run_id, facts)
SELECT :prefix || subscription.code || '/' || to_char(expires_on, 'YYYY-MM-DD') || :suffix, :kind, :state,
    coalesce(email, ''), name, customer_id, subscription.id, :day, :run_id,
    jsonb_build_object('expires_on', expires_on, 'access_ends_on', access_ends_on)
FROM unnest(cast(:subscriptions AS bigint[]), cast(:ends AS date[])) AS step (subscription_id, access_ends_on)
JOIN subscription_status AS standing USING (subscription_id)
JOIN subscriptions AS subscription ON subscription.id = subscription_id
JOIN customers AS customer ON customer.id = customer_id
ON CONFLICT (key) DO NOTHING
""")


_DISABLE = text(f"""
WITH disabled AS (
    UPDATE subscription_status SET status = 'disabled'
    WHERE subscription_id = ANY(:subscriptions)
    RETURNING subscription_id, expires_on
), transition AS (
    INSERT INTO transitions (subscription_id, term_id, to_status, rule, business_date, run_id, recorded_at)
    SELECT subscription_id, term_id, 'disabled', 'expired-6-months', :day, :run_id, :now
    FROM disabled CROSS JOIN LATERAL (
        SELECT id AS term_id FROM terms WHERE terms.subscription_id = disabled.subscription_id
        ORDER BY starts_on DESC, recorded_at DESC LIMIT 1) AS term
    RETURNING id, subscription_id, rule
)
INSERT INTO messages (
    key, kind, channel, state, recipient, recipient_name, customer_id, subscription_id, business_date, run_id, facts)
SELECT '{_DISABLING}' || subscription.code || '/' || to_char(expires_on, 'YYYY-MM-DD') || '/' || transition.id,
    'access.disabled', 'call', 'queued', '', '', customer_id, subscription.id, :day, :run_id,
    jsonb_build_object(
        'access', 'disabled', 'subscription', subscription.code, 'customer', customer.code, 'product', product.code,
        'rule', rule, 'expires_on', expires_on, 'transition', transition.id)
FROM transition
JOIN disabled USING (subscription_id)
JOIN subscriptions AS subscription ON subscription.id = subscription_id
JOIN customers AS customer ON customer.id = customer_id
JOIN products AS product ON product.id = product_id
""")

_WITHHOLD_DISABLING = text(f"""
INSERT INTO messages (
    key, kind, channel, state, recipient, recipient_name, customer_id, subscription_id, business_date, run_id)
SELECT '{_DISABLING}' || code || '/' || to_char(expires_on, 'YYYY-MM-DD') || '/withheld', 'access.disabled', 'call',
    'withheld', '', '', customer_id, subscription_id, :day, :run_id
FROM subscription_status JOIN subscriptions ON subscriptions.id = subscription_id
WHERE subscription_id = ANY(:subscriptions)
ON CONFLICT (key) DO NOTHING
""")


_NAMED = {
    step: {"prefix": prefix, "suffix": suffix, "kind": kind, "state": state}
    for step, prefix, suffix, kind, state in (
        (Step.WARN, _WARNING, "", NoticeKind.EXPIRED_3_MONTHS, State.QUEUED),
        (Step.WITHHOLD_WARNING, _WARNING, "/withheld", NoticeKind.EXPIRED_3_MONTHS, State.WITHHELD),
        (Step.TELL, _TELLING, "", NoticeKind.ACCESS_DISABLED, State.QUEUED),
        (Step.WITHHOLD_TELLING, _TELLING, "/withheld", NoticeKind.ACCESS_DISABLED, State.WITHHELD),
    )
}


def record(db: Connection, step: Step, licences: Sequence[Licence], terms: Terms, run_id: UUID, now: datetime) -> None:
    """Record that `step` was done to these licences, with the messages and calls that carry it out."""
    about: dict[str, Any] = {"subscriptions": [licence.id for licence in licences], "day": terms.day, "run_id": run_id}
    match step:
        case Step.DISABLE:
            db.execute(_DISABLE, about | {"now": now})
        case Step.WITHHOLD_DISABLING:
            db.execute(_WITHHOLD_DISABLING, about)
        case _:
            ends = [told_end(licence, step, terms) for licence in licences]
            db.execute(_NOTICES, about | {"ends": ends} | _NAMED[step])


def look_again(db: Connection, looks: Sequence[tuple[Licence, date | None]]) -> None:
    """Set the days on which sweeps must look next; None: not before a renewal. One renewed since keeps its own day."""
    db.execute(
        text("""
        UPDATE subscription_status AS standing SET due_on = look.day
        FROM unnest(cast(:subscriptions AS bigint[]), cast(:expiries AS date[]), cast(:days AS date[]))
            AS look (subscription_id, expires_on, day)
        WHERE standing.subscription_id = look.subscription_id AND standing.expires_on = look.expires_on
            AND standing.due_on IS DISTINCT FROM look.day"""),
        {
            "subscriptions": [licence.id for licence, _ in looks],
            "expiries": [licence.expires_on for licence, _ in looks],
            "days": [day for _, day in looks],
        },
    )


def active(db: Connection, day: date, at_most: int | None) -> int:
    """The active base, counted up to `at_most`: licences that are valid on `day`."""
    number: int = db.execute(
        text("""
        SELECT count(*) FROM (
            SELECT FROM subscription_status
            JOIN subscriptions ON subscriptions.id = subscription_id
            JOIN products ON products.id = product_id AND policy = 'licence'
            WHERE expires_on >= :day AND status = 'active' LIMIT :at_most) AS counted"""),
        {"day": day, "at_most": at_most},
    ).scalar_one()
    return number


def expiries_by_month(db: Connection, first: date, last: date) -> dict[date, int]:
    """How many subscriptions' expiry falls into each month, from the month of `first` to that of `last`."""
    rows = db.execute(
        text("""
        SELECT month::date, (
            SELECT count(*) FROM subscription_status
            WHERE expires_on >= month AND expires_on < month + interval '1 month') AS number
        FROM generate_series(cast(:first AS timestamp), :last, interval '1 month') AS month"""),
        {"first": first, "last": last},
    )
    return {row.month: row.number for row in rows}


class Renewed(Exception):
    """The lapse that a notice is about is over."""


_NOTICE = text("""
SELECT messages.kind, customer.name AS customer_name, coalesce(customer.locale, :default_locale) AS locale,
    subscription.code AS licence, coalesce(reference, '') AS reference, product.name AS product, facts,
    standing.expires_on > (facts ->> 'expires_on')::date AS renewed,
    reseller.name AS reseller_name, reseller.email, reseller.phone
FROM messages
JOIN subscription_status AS standing USING (subscription_id)
JOIN subscriptions AS subscription ON subscription.id = subscription_id
JOIN customers AS customer ON customer.id = subscription.customer_id
JOIN products AS product ON product.id = product_id
LEFT JOIN LATERAL (
    SELECT reseller_id, until_on FROM associations
    WHERE associations.customer_id = customer.id AND from_on <= messages.business_date
    ORDER BY from_on DESC, recorded_at DESC, id DESC LIMIT 1
) AS period ON period.until_on IS NULL OR period.until_on >= messages.business_date
LEFT JOIN resellers AS reseller ON reseller.id = period.reseller_id
WHERE messages.id = :message
""")


def notice(db: Connection, message: int, default_locale: Locale, issuer: Contact) -> Notice:
    """What a queued notice says: the facts of when it was queued, the names and the reseller's contact as they are now.

    `issuer` is whom the customers turn to that no reseller looks after. Raises Renewed where there is nothing to say
    any more.
    """
    row = db.execute(_NOTICE, {"message": message, "default_locale": default_locale}).one()
    if row.renewed:
        raise Renewed(f"{row.licence} has been renewed since {row.facts['expires_on']}")
    direct = row.reseller_name is None
    return Notice(
        kind=NoticeKind(row.kind),
        customer_name=row.customer_name,
        licence=row.licence,
        reference=row.reference,
        product=row.product,
        locale=row.locale,
        expires_on=date.fromisoformat(row.facts["expires_on"]),
        access_ends_on=date.fromisoformat(row.facts["access_ends_on"]),
        contact=issuer if direct else Contact(row.reseller_name, row.email, row.phone),
        direct=direct,
    )
