"""How consents stood at the end of a day, over all customers at once, and the contacts made until then."""

from datetime import date, datetime

from sqlalchemy import Connection, text

from lifecycle.rules.calendar import add_months, first_of_month
from lifecycle.rules.consent_report import (
    LAPSING_DAYS,
    BasisUse,
    ChannelTotal,
    ConsentReport,
    Lapsing,
    MotiveUse,
    TypeTotal,
)
from lifecycle.rules.contact import Basis, ContactChannel

MONTHS = 12

# One row for each customer and type: the last grant, and the first day on which it no longer holds. A withdrawal ends
# the grants before it, too: of those in earlier grants, the ones after the last grant count.
_STANDING = text(f"""
CREATE TEMPORARY TABLE standing ON COMMIT DROP AS
SELECT customer_id, consent_type_id, granted_on, least(lapses_on, withdrawn_on) AS ends_on,
    CASE WHEN withdrawn_on <= :day THEN 'withdrawn' WHEN lapses_on <= :day THEN 'lapsed' ELSE 'valid' END AS standing,
    coalesce(least(lapses_on, withdrawn_on) <= cast(:day AS date) + {LAPSING_DAYS}, false) AS ends_soon
FROM (
    SELECT customer_id, consent_type_id, last_granted_on AS granted_on,
        min(withdrawn_on) FILTER (WHERE granted_on = last_granted_on OR withdrawn_on > last_granted_on) AS withdrawn_on
    FROM (
        SELECT *, max(granted_on) OVER (PARTITION BY customer_id, consent_type_id) AS last_granted_on
        FROM (
            SELECT DISTINCT ON (customer_id, consent_type_id, granted_on)
                customer_id, consent_type_id, granted_on, withdrawn_on
            FROM consents WHERE granted_on <= :day AND recorded_at < :until
            ORDER BY customer_id, consent_type_id, granted_on, recorded_at DESC, id DESC
        ) AS last_version
    ) AS version
    GROUP BY customer_id, consent_type_id, last_granted_on
) AS last
JOIN customers ON customers.id = customer_id AND coalesce(erased_on > :day, true)
CROSS JOIN LATERAL (
    SELECT granted_on + valid_days AS lapses_on FROM consent_types WHERE id = consent_type_id
) AS type
""")

_TYPES = text("""
SELECT code, title, coalesce(valid, 0), coalesce(lapsing, 0), coalesce(lapsed, 0), coalesce(withdrawn, 0)
FROM consent_types
LEFT JOIN (
    SELECT consent_type_id,
        count(*) FILTER (WHERE standing = 'valid') AS valid,
        count(*) FILTER (WHERE standing = 'valid' AND ends_soon) AS lapsing,
        count(*) FILTER (WHERE standing = 'lapsed') AS lapsed,
        count(*) FILTER (WHERE standing = 'withdrawn') AS withdrawn
    FROM standing GROUP BY consent_type_id
) AS total ON consent_type_id = id
WHERE recorded_at < :until OR consent_type_id IS NOT NULL
ORDER BY code COLLATE "C"
""")

_LAPSING = text("""
SELECT customers.code, consent_types.code, ends_on - 1
FROM standing
JOIN customers ON customers.id = customer_id
JOIN consent_types ON consent_types.id = consent_type_id
WHERE standing = 'valid' AND ends_soon
ORDER BY ends_on, customers.code COLLATE "C", consent_types.code COLLATE "C"
""")

_CHANNEL = text("""
WITH objected AS (
    SELECT customer_id, max(objected_on) AS objected_on
    FROM objections JOIN customers ON customers.id = customer_id AND coalesce(erased_on > :day, true)
    WHERE channel = :channel AND objected_on <= :day AND objections.recorded_at < :until
    GROUP BY customer_id
), allowed AS (
    SELECT customer_id, max(granted_on) AS granted_on
    FROM standing JOIN consent_types ON id = consent_type_id
    WHERE standing = 'valid' AND CASE :channel
        WHEN 'bulk' THEN allows_bulk WHEN 'single' THEN allows_single WHEN 'contact' THEN allows_contact END
    GROUP BY customer_id
), said AS (
    SELECT count(allowed) FILTER (WHERE coalesce(granted_on > objected_on, true)) AS consenting,
        count(objected) AS objected,
        count(objected) FILTER (WHERE coalesce(granted_on <= objected_on, true)) AS objecting
    FROM allowed FULL JOIN objected USING (customer_id)
)
SELECT coalesce(asks, true), operator, business_date, consenting, objected, objecting
FROM said
LEFT JOIN (
    SELECT asks, operator, business_date FROM switches
    WHERE channel = :channel AND business_date <= :day AND recorded_at < :until
    ORDER BY business_date DESC, id DESC LIMIT 1
) AS switch ON true
""")

_IN_MONTHS = "business_date BETWEEN :first AND :day AND recorded_at < :until"

_MOTIVES = text(f"""
SELECT date_trunc('month', business_date)::date, operator, motive, channel, count(*)
FROM contacts
WHERE {_IN_MONTHS} AND (basis = 'motive' OR basis = 'duty' AND operator IS NOT NULL)
GROUP BY 1, 2, 3, 4
ORDER BY 1, operator COLLATE "C", motive COLLATE "C", channel
""")

_BASES = text(f"""
SELECT date_trunc('month', business_date)::date, channel, basis, count(*)
FROM contacts WHERE {_IN_MONTHS} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
""")

_ENDING = text("""
SELECT month::date, coalesce(number, 0)
FROM generate_series(cast(:first AS date), cast(:last AS date), interval '1 month') AS month
LEFT JOIN (
    SELECT date_trunc('month', ends_on - 1) AS month, count(*) AS number FROM standing GROUP BY 1
) AS ending USING (month)
ORDER BY month
""")


def read(db: Connection, day: date, until: datetime) -> ConsentReport:
    """All of it at the end of `day`, by what was recorded before `until`; uses of motives and bases of twelve months.

    `ending` goes from six months back to twelve ahead. Whoever was erased by `day` is left out, except as contacts.
    """
    asked = {"day": day, "until": until}
    month = first_of_month(day)
    db.execute(_STANDING, asked)
    past = asked | {"first": add_months(month, 1 - MONTHS)}
    found = ConsentReport(
        day,
        [TypeTotal(*row) for row in db.execute(_TYPES, {"until": until})],
        [Lapsing(*row) for row in db.execute(_LAPSING)],
        [
            ChannelTotal(channel, *db.execute(_CHANNEL, asked | {"channel": channel}).one())
            for channel in ContactChannel
        ],
        [
            MotiveUse(first, operator, motive, ContactChannel(channel), number)
            for first, operator, motive, channel, number in db.execute(_MOTIVES, past)
        ],
        [
            BasisUse(first, ContactChannel(channel), Basis(basis), number)
            for first, channel, basis, number in db.execute(_BASES, past)
        ],
        [tuple(row) for row in db.execute(_ENDING, {"first": add_months(month, -6), "last": add_months(month, 12)})],
    )
    db.execute(text("DROP TABLE standing"))
    return found
