"""Erases again, after a restore, whom the ledger says was erased, and records what the older database does not know.

Safety case. Only whose tombstone is in the ledger is erased, and whatever else is true of them: it was looked at before
they were erased the first time. Line by line in the ledger's order, each in a transaction of its own: a kill leaves a
database that is still older than the ledger, or is good. A line applied twice changes nothing the second time. Where
the backup has an erasure only as shown, whoever of it is not in the ledger is left out: nobody knows any more who was
taken out when it was approved. One that the backup has as approved goes on as any other that was interrupted.
"""

import json
from collections import Counter
from typing import Any

from sqlalchemy import Connection, text

from lifecycle.persistence import erasure, outbox
from lifecycle.persistence.ledger import Done, Portion
from lifecycle.persistence.tables import erasures
from lifecycle.rules.erasure import ErasureState


def reapply(db: Connection, portion: Portion) -> Counter[str]:
    """Erase those of a portion's customers who are there again, and record it; one transaction, the caller's.

    Returns counts by what became of them. Raises ForeignEnvironment, and erasure.NothingChanged.
    """
    erasure.begin(db)
    about = {
        "customers": portion.customers,
        "portion": portion.id,
        "erasure": portion.erasure["id"],
        "erased_on": portion.erased_on,
        "page": portion.page,
    }
    known: int = db.execute(_KNOWN, about).scalar_one()
    db.execute(_CHOOSE, about)
    outbox.release_abandoned(db)  # nothing is being sent, whatever the backup says: it is in doubt, and then cancelled
    erasure.lock(db)
    again = erasure.undo(db, portion.erased_on)
    # Finished only by its own line: what lies outside of the tables comes in between.
    _record(db, portion.erasure | {"state": ErasureState.APPROVED})
    db.execute(_RECORD_PORTION, about)
    return Counter(
        {
            "customers erased again": again,
            "customers erased already": known - again,
            "customers that the backup does not know": len(portion.customers) - known,
        }
    )


def is_done(db: Connection, done: Done) -> bool:
    """Whether the database knows that the erasure is done."""
    found: bool = db.execute(
        text("SELECT EXISTS (SELECT FROM erasures WHERE id = :id AND state = 'done')"), {"id": done.id}
    ).scalar_one()
    return found


def record_done(db: Connection, done: Done) -> None:
    """Record that an erasure is done, with its certificate, after its portions."""
    _record(db, done.erasure | {"ledger_page": done.page})
    others = [(str(tombstone), state, reason) for tombstone, state, reason in done.others]
    db.execute(_RECORD_OTHERS, {"erasure": done.id, "others": json.dumps(others)})


def _record(db: Connection, row: dict[str, Any]) -> None:
    """Record an erasure, unless the database knows more of it."""
    known = row | {"preview": False}  # no run waits for it that Prefect knows
    # What the ledger is too old to know has a default.
    columns = ", ".join(column.name for column in erasures.columns if column.name in known)
    written = {"row": json.dumps(known)}
    db.execute(_RECORD_RUN, written)
    db.execute(text(_RECORD_ERASURE.format(columns=columns)), written)


_KNOWN = text("SELECT count(*) FROM customers WHERE tombstone = ANY(cast(:customers AS uuid[]))")

_CHOOSE = text("""
INSERT INTO erasing
SELECT id FROM customers WHERE tombstone = ANY(cast(:customers AS uuid[])) AND erased_on IS NULL""")

_ROW = "jsonb_populate_record(NULL::erasures, cast(:row AS jsonb))"

_RECORD_RUN = text(f"""
INSERT INTO runs (id, flow, business_date, dry_run, started_at, finished_at, outcome)
SELECT run_id, 'gdpr-erasure-batch', business_date, false, shown_at, finished_at, 'completed' FROM {_ROW}
ON CONFLICT (id) DO NOTHING""")

# Of one that the database has only as shown, nobody knows any more who was taken out: they are all left out.
_RECORD_ERASURE = f"""
WITH written AS (SELECT * FROM {_ROW}), recorded AS (
    INSERT INTO erasures ({{columns}}) SELECT {{columns}} FROM written
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, approved_by = excluded.approved_by,
        approved_at = excluded.approved_at, finished_at = excluded.finished_at, certificate = excluded.certificate,
        ledger_page = excluded.ledger_page
    WHERE erasures.state NOT IN ('approved', 'done') OR erasures.state = 'approved' AND excluded.state = 'done'
)
UPDATE erasure_candidates SET state = 'left out', reason = 'restored from a backup'
FROM written JOIN erasures ON erasures.id = written.id
WHERE erasure_id = written.id AND erasure_candidates.state = 'shown'
    AND (erasures.state NOT IN ('approved', 'done') OR written.state = 'done')"""

_RECORD_PORTION = text("""
WITH recorded AS (
    INSERT INTO erasure_portions (id, erasure_id, erased_on, customers, ledger_page)
    VALUES (:portion, :erasure, :erased_on, cardinality(cast(:customers AS uuid[])), :page)
    ON CONFLICT (id) DO NOTHING
)
INSERT INTO erasure_candidates (erasure_id, customer_id, state, portion_id)
SELECT :erasure, id, 'erased', :portion FROM customers WHERE tombstone = ANY(cast(:customers AS uuid[]))
ON CONFLICT (erasure_id, customer_id)
    DO UPDATE SET state = excluded.state, portion_id = excluded.portion_id, reason = NULL
    WHERE erasure_candidates.state <> 'erased'""")

_RECORD_OTHERS = text("""
INSERT INTO erasure_candidates (erasure_id, customer_id, state, reason)
SELECT :erasure, customers.id, other ->> 1, other ->> 2
FROM jsonb_array_elements(cast(:others AS jsonb)) AS other
JOIN customers ON tombstone = cast(other ->> 0 AS uuid)
ON CONFLICT (erasure_id, customer_id) DO UPDATE SET state = excluded.state, reason = excluded.reason
WHERE erasure_candidates.state <> 'erased'""")
