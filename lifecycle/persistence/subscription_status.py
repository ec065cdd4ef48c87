"""Where each subscription stands now: its expiry as known, its status, when a sweep or a card must look at it.

It is derived from the facts, and brought up to date in the transaction that adds them. Whoever changes it locks the
rows first and reads afterwards: a renewal and a sweep that meet act one after the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, text

from lifecycle.rules.licence_expiry import WARN_AFTER_MONTHS
from lifecycle.rules.provisioning import Calls

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

_DUE_ON = f"""CASE
    WHEN policy = 'licence' THEN ({{expiry}} + interval '{WARN_AFTER_MONTHS} months')::date + 1
    WHEN policy IN ('service', 'membership') THEN {{expiry}} + 1 END"""

# A later expiry brings back what was disabled or suspended or has ended, and no notice about the old lapse leaves any
# more. What was deleted or withdrawn from stays so. A membership that ended kept its access: there is no call about it.
_FINAL = "('deleted', 'withdrawn')"
_APPLY = f"""
WITH known AS (
    SELECT changed.subscription_id, subscriptions.code, customer_id, products.code AS product, policy,
        term_id, term.expires_on, standing.expires_on AS former, standing.status,
        {_DUE_ON.format(expiry="term.expires_on")} AS due_on,
        CASE WHEN policy = 'service' THEN term.expires_on END AS to_card
    FROM ({{changed}}) AS changed
    JOIN subscriptions ON subscriptions.id = changed.subscription_id
    JOIN products ON products.id = product_id
    CROSS JOIN LATERAL ({_EXPIRY}) AS term
    LEFT JOIN subscription_status AS standing ON standing.subscription_id = changed.subscription_id
    WHERE standing.expires_on IS DISTINCT FROM term.expires_on
), standings AS (
    INSERT INTO subscription_status AS standing (subscription_id, expires_on, due_on, to_card)
    SELECT subscription_id, expires_on, due_on, to_card FROM known ORDER BY subscription_id
    ON CONFLICT (subscription_id) DO UPDATE SET expires_on = excluded.expires_on,
        due_on = CASE WHEN standing.status NOT IN {_FINAL} THEN excluded.due_on END,
        to_card = CASE WHEN standing.status NOT IN {_FINAL} THEN excluded.to_card END,
        status = CASE WHEN excluded.expires_on > standing.expires_on AND standing.status NOT IN {_FINAL} THEN 'active'
            ELSE standing.status END
), back AS (
    INSERT INTO transitions (subscription_id, term_id, to_status, rule, business_date, run_id, recorded_at)
    SELECT subscription_id, term_id, 'active', 'renewed', :day, :run_id, :now
    FROM known WHERE status IN ('disabled', 'suspended', 'ended') AND expires_on > former
    RETURNING id, subscription_id, rule
), called AS (
    INSERT INTO messages (
        key, kind, channel, state, recipient, recipient_name, customer_id, subscription_id, business_date, run_id,
        facts)
    SELECT 'access/enabled/' || known.code || '/' || back.id, 'access.enabled', 'call',
        CASE policy WHEN 'service' THEN :service_calls ELSE :licence_calls END, '', '',
        customer_id, subscription_id, :day, :run_id,
        jsonb_build_object(
            'access', 'enabled', 'subscription', known.code, 'customer', customers.code, 'product', product,
            'rule', rule, 'expires_on', expires_on, 'transition', back.id)
    FROM back
    JOIN known USING (subscription_id)
    JOIN customers ON customers.id = customer_id
    WHERE known.status <> 'ended'
), silenced AS (
    UPDATE messages SET state = 'cancelled' FROM known
    WHERE messages.subscription_id = known.subscription_id AND channel = 'mail' AND messages.state = 'queued'
        AND known.expires_on > former
)
SELECT count(*) FROM back"""


@dataclass(frozen=True, slots=True)
class Learned:
    """When facts were learned: the business date, the instant, the run, and the state of the calls they cause."""

    day: date
    now: datetime
    run_id: UUID | None
    calls: Calls


def refresh(db: Connection, changed: str, learned: Learned, subscriptions: Sequence[int] = ()) -> int:
    """Bring the subscriptions of `changed`, IMPORTED or GIVEN, up to date with their terms.

    Returns how many were brought back: disabled, suspended or ended, and renewed since.
    """
    values = {
        "subscriptions": list(subscriptions),
        "day": learned.day,
        "now": learned.now,
        "run_id": learned.run_id,
        "licence_calls": learned.calls.licence,
        "service_calls": learned.calls.service,
    }
    used = {name: value for name, value in values.items() if name != "subscriptions" or changed is GIVEN}
    db.execute(text(_LOCK.format(changed=changed)), used if changed is GIVEN else {})
    back: int = db.execute(text(_APPLY.format(changed=changed)), used).scalar_one()
    return back


_UNCARDED = """NOT EXISTS (
    SELECT FROM card_lines WHERE card_lines.subscription_id = standing.subscription_id AND payable)"""


def follow_policies(db: Connection) -> None:
    """Bring the days of sweeps and cards up to date with changed products: each subscription under its policy of now.

    What is disabled and told so needs no day before a renewal, and what is deleted none at all.
    """
    db.execute(
        text(f"""
        UPDATE subscription_status AS standing SET due_on = {_DUE_ON.format(expiry="standing.expires_on")},
            to_card = CASE WHEN policy = 'service' THEN standing.expires_on END
        FROM (
            SELECT subscription_id, policy FROM subscription_status AS standing
            JOIN subscriptions ON subscriptions.id = subscription_id
            JOIN products ON products.id = product_id
            WHERE status NOT IN ('disabled', 'deleted', 'withdrawn', 'ended') AND CASE policy
                WHEN 'licence' THEN due_on IS NULL OR to_card IS NOT NULL
                WHEN 'service' THEN due_on IS NULL OR (to_card IS NULL AND {_UNCARDED})
                WHEN 'membership' THEN due_on IS NULL OR to_card IS NOT NULL
                ELSE due_on IS NOT NULL OR to_card IS NOT NULL END
            ORDER BY subscription_id FOR UPDATE OF standing
        ) AS changed
        WHERE standing.subscription_id = changed.subscription_id""")
    )


class Locked(NamedTuple):
    """Subscriptions, and the open cards that they stand on: locked until the transaction ends."""

    subscriptions: list[int]
    cards: list[int]


_LOCK_CARDS = text("""
SELECT id FROM cards
WHERE state = 'open' AND id IN (
    SELECT card_id FROM card_lines WHERE payable AND subscription_id = ANY(:subscriptions))
ORDER BY id FOR UPDATE
""")

_LOCK_STANDINGS = text("""
SELECT count(*) FROM (
    SELECT FROM subscription_status
    WHERE subscription_id IN (
        SELECT unnest(cast(:subscriptions AS bigint[]))
        UNION SELECT subscription_id FROM card_lines WHERE payable AND card_id = ANY(:cards))
    ORDER BY subscription_id FOR UPDATE
) AS locked
""")


def lock(db: Connection, subscriptions: Sequence[int]) -> Locked:
    """Lock the subscriptions against payments, renewals and other sweeps; their cards first, as everybody does.

    What else stands on those cards is locked along: it is what else a card that becomes void concerns.
    """
    cards = list(db.execute(_LOCK_CARDS, {"subscriptions": list(subscriptions)}).scalars())
    db.execute(_LOCK_STANDINGS, {"subscriptions": list(subscriptions), "cards": cards})
    return Locked(list(subscriptions), cards)


def look_again(db: Connection, looks: Sequence[tuple[int, date, date | None]]) -> None:
    """Set the days on which sweeps must look next: (subscription, its expiry, day); None: not before a renewal.

    One that was renewed since keeps its own day.
    """
    subscriptions, expiries, days = map(list, zip(*looks, strict=True)) if looks else ([], [], [])
    db.execute(
        text("""
        UPDATE subscription_status AS standing SET due_on = look.day
        FROM (
            SELECT look.* FROM subscription_status AS former
            JOIN unnest(cast(:subscriptions AS bigint[]), cast(:expiries AS date[]), cast(:days AS date[]))
                AS look (subscription_id, expires_on, day) USING (subscription_id, expires_on)
            WHERE former.due_on IS DISTINCT FROM look.day
            ORDER BY subscription_id FOR UPDATE OF former
        ) AS look
        WHERE standing.subscription_id = look.subscription_id AND standing.expires_on = look.expires_on"""),
        {"subscriptions": subscriptions, "expiries": expiries, "days": days},
    )


def active(db: Connection, day: date, at_most: int | None) -> int:
    """The active base, counted up to `at_most`: subscriptions that are valid on `day`, whatever their policy."""
    number: int = db.execute(
        text("""
        SELECT count(*) FROM (
            SELECT FROM subscription_status WHERE expires_on >= :day AND status = 'active' LIMIT :at_most
        ) AS counted"""),
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
