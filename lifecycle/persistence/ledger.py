"""The ledger of erasures: a file outside of the database, by which an older backup is known and made good.

Safety case. The file holds who was erased by tombstones alone, random ids that lead to nobody once the customer is
erased, and what the certificate says. It is only ever added to, in pages: what was committed since the page before.

Database first: a portion is erased and committed, then its page is appended and fsynced, then the rows get the page's
number. A kill before the page leaves the rows without a number, and the next start writes it. A kill after the page, or
within it, leaves them without one as well: they are written again under the next number, and readers take what stands
there twice as once. A last line without an end is none, and is cut off before the next.

So a page holds all that was committed and in no page before, and pages are written one after the other: where the
database has everything of the last one, it has everything of those before it. Where it has not, it is older than the
ledger. Where it has pages that the file has not, the file was lost or is older than the database: they are written
again from the database. What no machine can mend is the loss of both: keep the file on another disk than the database
and its backups, in a folder that every machine sees.
"""

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from mmap import ACCESS_READ, mmap
from typing import Any, BinaryIO
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from sqlalchemy import Connection, text

from lifecycle.persistence import DatabaseRestored, LedgerUnusable, turns
from lifecycle.settings import settings

log = logging.getLogger("lifecycle.ledger")


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    page: int
    erasure: dict[str, Any]
    """A row of that table; with a portion only what an approval knows of it."""


class Portion(_Line):
    """`customers` are tombstones."""

    portion: UUID
    erased_on: date
    customers: list[UUID]

    @property
    def id(self) -> UUID:
        return self.portion


class Done(_Line):
    """An erasure that is done. `others` were shown and not erased: tombstone, state, reason."""

    others: list[tuple[UUID, str, str | None]]

    @property
    def id(self) -> UUID:
        """The erasure's."""
        return UUID(self.erasure["id"])


Line = Portion | Done
_LINE: TypeAdapter[Line] = TypeAdapter(Line)

_LINES = text("""
SELECT jsonb_build_object(
        'page', portion.ledger_page, 'portion', portion.id, 'erased_on', erased_on,
        'customers', (
            SELECT coalesce(jsonb_agg(tombstone ORDER BY tombstone), '[]')
            FROM erasure_candidates JOIN customers ON customers.id = customer_id WHERE portion_id = portion.id),
        'erasure', to_jsonb(erasures)
            - '{preview,prefect_flow_run_id,state,finished_at,certificate,ledger_page}'::text[]
    )::text AS line, portion.ledger_page AS page, 0 AS place
FROM erasure_portions AS portion JOIN erasures ON erasures.id = erasure_id
WHERE portion.ledger_page > :page
UNION ALL
SELECT jsonb_build_object(
        'page', ledger_page,
        'others', (
            SELECT coalesce(jsonb_agg(jsonb_build_array(tombstone, state, reason)), '[]')
            FROM erasure_candidates JOIN customers ON customers.id = customer_id
            WHERE erasure_id = erasures.id AND portion_id IS NULL),
        'erasure', to_jsonb(erasures) - '{preview,prefect_flow_run_id,ledger_page}'::text[]
    )::text, ledger_page, 1
FROM erasures WHERE ledger_page > :page
ORDER BY page, place
""")

_PAGES = """
    SELECT ledger_page AS page FROM erasure_portions
    UNION ALL SELECT ledger_page FROM erasures WHERE state = 'done'"""


def write(db: Connection) -> int:
    """Append what is committed and not in the ledger yet: after each portion, when an erasure is done, at start.

    In a transaction of its own, so that it sees what others have committed. Returns how many lines were.
    Raises LedgerUnusable: then it is done by the next one.
    """
    if not _is_behind(db):
        return 0
    db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": turns.LEDGER})
    with _writable() as file:
        last = _last_page(file)
        before = last[0].page if last else 0
        new = _number(db, before)
        lines = db.execute(_LINES, {"page": before}).all()
        _append(file, [line.line for line in lines])
        if lost := sum(line.page < new for line in lines):
            log.warning("the ledger %s lacked %s lines that it once had: written again", settings().ledger, lost)
    return len(lines)


def _is_behind(db: Connection) -> bool:
    last = _last_page_there()
    behind: bool = db.execute(
        text(f"SELECT count(*) FILTER (WHERE page IS NULL OR page > :last) > 0 FROM ({_PAGES}) AS pages"),
        {"last": last[0].page if last else 0},
    ).scalar_one()
    return behind


def _number(db: Connection, before: int) -> int:
    """Give what is in no page the next number, which is returned; `before` is the file's last one."""
    number: int = db.execute(
        text(f"""
        WITH next AS (SELECT greatest(max(page), :before) + 1 AS page FROM ({_PAGES}) AS pages), done AS (
            UPDATE erasures SET ledger_page = next.page FROM next WHERE state = 'done' AND ledger_page IS NULL
        ), erased AS (
            UPDATE erasure_portions SET ledger_page = next.page FROM next WHERE ledger_page IS NULL
        )
        SELECT page FROM next"""),
        {"before": before},
    ).scalar_one()
    return number


def compare(db: Connection) -> None:
    """Raise DatabaseRestored where the ledger's last page is not in the database, and LedgerUnusable."""
    last = _last_page_there()
    missing = db.execute(
        text("""
        SELECT count(*) FROM unnest(cast(:ids AS uuid[])) AS id
        WHERE id NOT IN (SELECT id FROM erasure_portions)
            AND id NOT IN (SELECT id FROM erasures WHERE state = 'done')"""),
        {"ids": [line.id for line in last]},
    ).scalar_one()
    if missing:
        raise DatabaseRestored(
            f"the database is older than the ledger of erasures {settings().ledger}: it would bring back whom we "
            "erased since. `lifecycle erasure reapply` erases them again; where the ledger is another database's, "
            "LIFECYCLE_ERASURE_LEDGER names this one's"
        )


def read() -> Iterator[Line]:
    """All lines, in order. Raises LedgerUnusable at one that is broken; a last one without an end is none."""
    try:
        file = _opened()
    except FileNotFoundError:
        return
    with file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):
                yield _parsed(line, partial(int, number))


def _opened() -> BinaryIO:
    """Raises FileNotFoundError, and LedgerUnusable."""
    path = settings().ledger
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unusable("cannot be read", error) from error


@contextmanager
def _writable() -> Iterator[BinaryIO]:
    """The file, ours alone until the end of the block; made where there is none."""
    path = settings().ledger
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        # The name too has to survive a power cut.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _unusable("cannot be written", error) from error


def _append(file: BinaryIO, lines: list[str]) -> None:
    """After the last whole line, on the disk before this returns."""
    end = os.fstat(file.fileno()).st_size
    if end:
        with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            end = content.rfind(b"\n") + 1
    file.truncate(end)
    file.seek(end)
    file.write("".join(f"{line}\n" for line in lines).encode())
    file.flush()
    os.fsync(file.fileno())


def _last_page_there() -> list[Line]:
    """The lines of the last page while nobody writes, the last one first; without a file there are none."""
    try:
        file = _opened()
    except FileNotFoundError:
        return []
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)
        return _last_page(file)


def _last_page(file: BinaryIO) -> list[Line]:
    """Of the file nothing else is read."""
    page: list[Line] = []
    if not os.fstat(file.fileno()).st_size:
        return page
    with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        end = content.rfind(b"\n")
        while end >= 0:
            start = content.rfind(b"\n", 0, end) + 1
            line = _parsed(content[start:end], partial(_number_of_line, content, start))
            if page and line.page != page[0].page:
                break
            page.append(line)
            end = start - 1
    return page


def _number_of_line(content: mmap, start: int) -> int:
    return content[:start].count(b"\n") + 1


def _parsed(line: bytes, number: Callable[[], int]) -> Line:
    try:
        return _LINE.validate_json(line)
    except ValidationError as error:
        what = error.errors()[0]["msg"]
        raise LedgerUnusable(f"the ledger of erasures {settings().ledger}, line {number()}: {what}") from None


def _unusable(fact: str, error: OSError) -> LedgerUnusable:
    return LedgerUnusable(f"the ledger of erasures {settings().ledger} {fact}: {error.strerror}")
