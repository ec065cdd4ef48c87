"""Where each subscription stands now: its expiry as known, its status, the day on which a sweep must look at it.

It is derived from the facts, and brought up to date in the transaction that adds them. Whoever changes it locks the
rows first and reads afterwards: a renewal and a sweep that meet act one after the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, text

from lifecycle.rules.licence_expiry import WARN_AFTER_MONTHS
from lifecycle.rules.outbox import State

IMPORTED = "SELECT DISTINCT subscription_id FROM import_term_versions"
GIVEN = "SELECT unnest(cast(:subscriptions AS bigint[])) AS subscription_id"

_EXPIRY = """
    SELECT id AS term_id, expires_on FROM terms
    WHERE terms.subscription_id = changed.subscription_id
    ORDER BY starts_on DESC, recorded_at DESC LIMIT 1"""

_LOCK = f"""
SELECT count(*) FROM (
    SELECT FROM subscription_status AS standing
    JOIN ({{changed}}) AS changed USING (subscription_id)
    WHERE expires_on IS DISTINCT FROM (SELECT expires_on FROM ({_EXPIRY}) AS known)
    ORDER BY subscription_id
    FOR UPDATE OF standing
) AS locked"""

_DUE_ON = f"CASE WHEN policy = 'licence' THEN ({{expiry}} + interval '{WARN_AFTER_MONTHS} months')::date + 1 END"

# A later expiry brings back what was disabled, and no notice about the old lapse leaves any more.
_APPLY = f"""
WITH known AS (
    SELECT changed.subscription_id, subscriptions.code, customer_id, products.code AS product, term_id,
        term.expires_on, standing.expires_on AS former, standing.status,
        {_DUE_ON.format(expiry="term.expires_on")} AS due_on
    FROM ({{changed}}) AS changed
    JOIN subscriptions ON subscriptions.id = changed.subscription_id
    JOIN products ON products.id = product_id
    CROSS JOIN LATERAL ({_EXPIRY}) AS term
    LEFT JOIN subscription_status AS standing ON standing.subscription_id = changed.subscription_id
    WHERE standing.expires_on IS DISTINCT FROM term.expires_on
), standings AS (
    INSERT INTO subscription_status AS standing (subscription_id, expires_on, due_on)
    SELECT subscription_id, expires_on, due_on FROM known ORDER BY subscription_id
    ON CONFLICT (subscription_id) DO UPDATE SET expires_on = excluded.expires_on, due_on = excluded.due_on,
        status = CASE WHEN excluded.expires_on > standing.expires_on THEN 'active' ELSE standing.status END
), back AS (
    INSERT INTO transitions (subscription_id, term_id, to_status, rule, business_date, run_id, recorded_at)
    SELECT subscription_id, term_id, 'active', 'renewed', :day, :run_id, :now
    FROM known WHERE status = 'disabled' AND expires_on > former
    RETURNING id, subscription_id, rule
), called AS (
    INSERT INTO messages (
        key, kind, channel, state, recipient, recipient_name, customer_id, subscription_id, business_date, run_id,
        facts)
    SELECT 'access/enabled/' || known.code || '/' || back.id, 'access.enabled', 'call', :state, '', '',
        customer_id, subscription_id, :day, :run_id,
        jsonb_build_object(
            'access', 'enabled', 'subscription', known.code, 'customer', customers.code, 'product', product,
            'rule', rule, 'expires_on', expires_on, 'transition', back.id)
    FROM back
    JOIN known USING (subscription_id)
    JOIN customers ON customers.id = customer_id
), silenced AS (
    UPDATE messages SET state = 'cancelled' FROM known
    WHERE messages.subscription_id = known.subscription_id AND channel = 'mail' AND messages.state = 'queued'
        AND known.expires_on > former
)
SELECT count(*) FROM back"""


@dataclass(frozen=True, slots=True)
class Learned:
    """When facts were learned: the business date, the instant, the run, and whether calls leave or are withheld."""

    day: date
    now: datetime
    run_id: UUID | None
    calls: State


def refresh(db: Connection, changed: str, learned: Learned, subscriptions: Sequence[int] = ()) -> int:
    """Bring the subscriptions of `changed`, IMPORTED or GIVEN, up to date with their terms.

    Returns how many were brought back: disabled, and renewed since.
    """
    values = {
        "subscriptions": list(subscriptions),
        "day": learned.day,
        "now": learned.now,
        "run_id": learned.run_id,
        "state": learned.calls,
    }
    used = {name: value for name, value in values.items() if name != "subscriptions" or changed is GIVEN}
    db.execute(text(_LOCK.format(changed=changed)), used if changed is GIVEN else {})
    back: int = db.execute(text(_APPLY.format(changed=changed)), used).scalar_one()
    return back


def follow_policies(db: Connection) -> None:
    """Bring the days of sweeps up to date with changed products: what became a licence is swept, what was one is not.

    A licence without such a day is disabled, and its customer told: it needs none.
    """
    db.execute(
        text(f"""
        UPDATE subscription_status AS standing SET due_on = {_DUE_ON.format(expiry="standing.expires_on")}
        FROM subscriptions JOIN products ON products.id = product_id
        WHERE subscriptions.id = subscription_id AND status <> 'disabled'
            AND (policy = 'licence') = (due_on IS NULL)""")
    )
