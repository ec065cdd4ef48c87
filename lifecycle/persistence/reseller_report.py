"""Reseller reports: found, stored and read by a few statements for all resellers together."""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Row, text

from lifecycle.rules.languages import Locale
from lifecycle.rules.reseller_report import (
    ACCESS_ENDS_AFTER_MONTHS,
    EXPIRING_MONTHS,
    KIND,
    Line,
    Report,
    Section,
    Standing,
)

# As of :day and as known at :known_at. The association is the period with the latest start up to :day, the expiry that
# of the term with the latest start, each in its last recorded version. The CASE is `reseller_report.section_on`.
_MAKE = text(f"""
WITH made AS (
    INSERT INTO reseller_reports (reseller_id, month, known_at, run_id)
    SELECT id, :day, :known_at, :run_id FROM resellers
    WHERE cast(:resellers AS text[]) IS NULL OR code = ANY(:resellers)
    ON CONFLICT DO NOTHING
    RETURNING id, reseller_id
), looked_after AS (
    SELECT customer_id, reseller_id FROM (
        SELECT DISTINCT ON (customer_id) customer_id, reseller_id, until_on
        FROM associations
        WHERE from_on <= :day AND recorded_at <= :known_at
        ORDER BY customer_id, from_on DESC, recorded_at DESC, id DESC
    ) AS latest
    WHERE until_on IS NULL OR until_on >= :day
), expiries AS (
    SELECT DISTINCT ON (subscription_id) subscription_id, expires_on
    FROM terms
    WHERE recorded_at <= :known_at
    ORDER BY subscription_id, starts_on DESC, recorded_at DESC
), listed AS (
    SELECT reseller_id, subscription_id, expires_on,
        (expires_on + interval '{ACCESS_ENDS_AFTER_MONTHS} months')::date + 1 AS access_ends_on,
        CASE
            WHEN expires_on >= :day THEN '{Section.EXPIRING}'
            WHEN :day > expires_on + interval '{ACCESS_ENDS_AFTER_MONTHS} months' THEN '{Section.DISABLED}'
            WHEN :day > expires_on + make_interval(months => :expired_from_months) THEN '{Section.OPEN}'
        END AS section
    FROM expiries
    JOIN subscriptions ON subscriptions.id = subscription_id
    JOIN products ON products.id = product_id AND policy = 'licence'
    JOIN looked_after USING (customer_id)
    WHERE expires_on < :day + interval '{EXPIRING_MONTHS} months'
), stored AS (
    INSERT INTO reseller_report_lines (report_id, subscription_id, section, expires_on, access_ends_on)
    SELECT made.id, subscription_id, section, expires_on, access_ends_on
    FROM listed JOIN made USING (reseller_id)
    WHERE section IS NOT NULL
)
SELECT count(*) FROM made
""")

# By report and not by join: of what was written a moment ago the planner knows nothing, and may take it to be empty.
_STATES = text(f"""
SELECT report.id, reseller.code, coalesce(reseller.locale, :default_locale) AS locale,
    reseller.email IS NOT NULL AS reachable, (
        SELECT state FROM messages
        WHERE key = '{KIND}/' || reseller.code || '/' || to_char(month, 'YYYY-MM')
    ) AS message, lines.*
FROM reseller_reports AS report
JOIN resellers AS reseller ON reseller.id = reseller_id
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE section = 'expiring') AS expiring, count(*) FILTER (WHERE section = 'open') AS open,
        count(*) FILTER (WHERE section = 'disabled') AS disabled
    FROM reseller_report_lines WHERE report_id = report.id
) AS lines
WHERE month = :day AND (cast(:resellers AS text[]) IS NULL OR reseller.code = ANY(:resellers))
ORDER BY reseller.code COLLATE "C"
""")

_READ = text("""
SELECT report.id, report.month, reseller.code AS reseller, reseller.name AS reseller_name,
    coalesce(reseller.locale, :default_locale) AS locale, section,
    subscription.code AS licence, coalesce(reference, '') AS reference, customer.code AS customer,
    customer.name AS customer_name, customer.email IS NOT NULL OR erased_on IS NOT NULL AS reachable,
    product.name AS product, line.expires_on, line.access_ends_on
FROM reseller_reports AS report
JOIN resellers AS reseller ON reseller.id = report.reseller_id
LEFT JOIN (
    reseller_report_lines AS line
    JOIN subscriptions AS subscription ON subscription.id = subscription_id
    JOIN customers AS customer ON customer.id = customer_id
    JOIN products AS product ON product.id = product_id
) ON report_id = report.id
WHERE report.id = ANY(:reports)
ORDER BY report.id, expires_on, subscription.code COLLATE "C"
""")


def make(
    db: Connection,
    day: date,
    known_at: datetime,
    run_id: UUID,
    expired_from_months: int,
    resellers: Sequence[str] | None,
) -> int:
    """Store the missing reports of the month that begins on `day`. Returns how many were missing.

    `resellers`: their codes; None: all. A report that is stored already is left as it is.
    """
    made: int = db.execute(
        _MAKE,
        {
            "day": day,
            "known_at": known_at,
            "run_id": run_id,
            "expired_from_months": expired_from_months,
            "resellers": resellers,
        },
    ).scalar_one()
    if made:
        # After a dry run, which takes its lines back, the tables pass for empty, and each report would be read by
        # looking through all lines.
        db.execute(text("ANALYZE reseller_reports, reseller_report_lines"))
    return made


def standings(db: Connection, day: date, resellers: Sequence[str] | None, default_locale: Locale) -> list[Standing]:
    """The stored reports of the month that begins on `day`, by reseller code."""
    rows = db.execute(_STATES, {"day": day, "resellers": resellers, "default_locale": default_locale})
    return [Standing(*row) for row in rows]


def read(db: Connection, reports: Sequence[int], default_locale: Locale) -> list[Report]:
    """Stored reports with the names as they are now; lines by expiry, then licence."""
    rows = db.execute(_READ, {"reports": reports, "default_locale": default_locale})
    return [_report(list(lines)) for _, lines in groupby(rows, key=lambda row: row.id)]


def mailed(db: Connection, message: int, default_locale: Locale) -> Report:
    """The stored report that a queued mail brings."""
    stored = db.execute(
        text("""
        SELECT report.id FROM messages JOIN reseller_reports AS report USING (reseller_id)
        WHERE messages.id = :message AND month = business_date"""),
        {"message": message},
    ).scalar_one()
    [report] = read(db, [stored], default_locale)
    return report


class Addressee(NamedTuple):
    """The reseller whom a stored report is for; `email` is None where we know no address."""

    report: int
    reseller_id: int
    reseller: str
    name: str
    email: str | None


def addressees(db: Connection, reports: Sequence[int]) -> list[Addressee]:
    """For whom these stored reports are, by report."""
    rows = db.execute(
        text("""
        SELECT report.id, reseller.id, code, name, email
        FROM reseller_reports AS report JOIN resellers AS reseller ON reseller.id = reseller_id
        WHERE report.id = ANY(:reports) ORDER BY report.id"""),
        {"reports": reports},
    )
    return [Addressee(*row) for row in rows]


def unknown(db: Connection, codes: Sequence[str]) -> list[str]:
    """Those of `codes` that are no reseller's."""
    rows = db.execute(
        text("""
        SELECT code FROM unnest(cast(:codes AS text[])) AS asked (code)
        WHERE NOT EXISTS (SELECT FROM resellers WHERE resellers.code = asked.code)"""),
        {"codes": codes},
    )
    return list(rows.scalars())


def _report(rows: list[Row[Any]]) -> Report:
    first = rows[0]
    lines = [
        Line(
            Section(row.section),
            row.licence,
            row.reference,
            row.customer,
            row.customer_name,
            row.product,
            row.expires_on,
            row.access_ends_on,
            row.reachable,
        )
        for row in rows
        if row.section is not None
    ]
    return Report(first.reseller, first.reseller_name, first.locale, first.month, lines)
