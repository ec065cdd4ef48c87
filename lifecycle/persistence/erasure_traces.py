"""What the erased of one erasure have left outside of the tables, told from the tables afterwards.

All of it can be asked again at any time: it rests on who was erased, which is never taken back.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text

from lifecycle.persistence.database import configured
from lifecycle.persistence.tables import metadata


@dataclass(frozen=True, slots=True)
class Mail:
    """One that may lie in mail folders. `carriers` took it, the last one last; `under_way`: it may be written anew."""

    key: str
    carriers: list[str]
    under_way: bool


_MAILS = """
WITH erased AS MATERIALIZED (
    SELECT customer_id FROM erasure_candidates WHERE erasure_id = :erasure AND state = 'erased'
), reported AS (
    SELECT DISTINCT report.reseller_id, month
    FROM erased
    JOIN subscriptions USING (customer_id)
    JOIN associations USING (customer_id)
    JOIN reseller_reports AS report ON report.reseller_id = associations.reseller_id
    JOIN reseller_report_lines ON report_id = report.id AND subscription_id = subscriptions.id
), naming AS (
    SELECT messages.id, key, state FROM erased JOIN messages USING (customer_id) WHERE channel <> 'call'
    UNION ALL
    SELECT messages.id, key, state FROM reported JOIN messages
        ON messages.reseller_id = reported.reseller_id AND kind = 'reseller-report' AND business_date = month
)
SELECT key, coalesce(carriers, '{}') AS carriers, state IN ('sending', 'in_doubt') AS under_way
FROM naming LEFT JOIN LATERAL (
    SELECT array_agg(carrier ORDER BY id) AS carriers FROM message_attempts WHERE message_id = naming.id
) AS attempt ON true"""


def mails(db: Connection, erasure: UUID) -> Iterator[Mail]:
    """The mails to the erased, and the reports to resellers that named them."""
    for row in db.execute(text(_MAILS), {"erasure": erasure}, execution_options={"yield_per": 5_000}):
        yield Mail(row.key, row.carriers, row.under_way)


def erased_among(db: Connection, codes: Collection[str]) -> set[str]:
    """Those of these customers' codes whose customers are erased."""
    asked = text("SELECT code FROM customers WHERE code = ANY(:codes) AND erased_on IS NOT NULL")
    return set(db.execute(asked, {"codes": list(codes)}).scalars())


def vacuum() -> None:
    """Give up the row versions from before the erasure, in all tables of which something goes."""
    with configured().connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        for table in metadata.sorted_tables:
            if "rows" in table.info:
                db.execute(text(f"VACUUM {table.name}"))
