"""The import of files: one transaction over all of them, checked as a whole, then recorded or refused as a whole."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.persistence import imports
from lifecycle.persistence.database import transaction
from lifecycle.persistence.subscription_status import Learned
from lifecycle.rules.findings import BadInput, Finding, Findings
from lifecycle.rules.records import PAYMENTS, Block, File, files, read
from lifecycle.settings import settings
from tasks import payment_import
from tasks.provisioning import calls_on
from tasks.retries import transient


@task(cache_policy=NO_CACHE, **transient)
def import_files(path: Path, now: datetime, *, dry_run: bool) -> Counter[str]:
    """Import the CSV file at `path`, or all files of the folder; what has no `recorded_at` is known since `now`.

    Returns counts such as "customers new" and "terms added". Raises BadInput with everything that is wrong in any
    file; then, and in a dry run, nothing is recorded.
    """
    zone = settings().zone
    known = files(zone, now)
    findings, incomplete = Findings(), set[str]()
    paths = _paths(path, known | {PAYMENTS.name: PAYMENTS}, findings)
    money = paths.pop(PAYMENTS.name, None)
    day = now.astimezone(zone).date()
    with transaction() as db:
        staging = imports.stage(db, known.values())
        given = {}
        for name, place in paths.items():
            blocks = _noted(known[name], place, findings, incomplete)
            given[name] = imports.copy(db, staging[name], blocks)
        imports.check(db, staging, given, incomplete, findings)
        entries = payment_import.staged(db, money, findings, Counter()) if money else 0
        if findings.total:
            raise BadInput(findings.kept, findings.total)
        learned = Learned(day, now, None, calls_on(day))
        # Money first: whoever locks cards and subscriptions locks cards first.
        paid = payment_import.matched(db, entries, learned).counts if money else Counter[str]()
        counts = imports.record(db, staging, given, now, zone, learned.calls)
        counts.update({f"payments: {verdict}": number for verdict, number in paid.items()})
        if dry_run:
            db.rollback()
    return counts


def _paths(path: Path, known: Mapping[str, File], findings: Findings) -> dict[str, Path]:
    """The files to import by name. Hidden files are passed over: folders are full of other programs' notes."""
    expected = ", ".join(file.filename for file in known.values())
    if not path.exists():
        findings.add([Finding(str(path), "is not there", f"a folder, or one of {expected}")])
        return {}
    found = sorted(p for p in path.iterdir() if not p.name.startswith(".")) if path.is_dir() else [path]
    if not found:
        findings.add([Finding(str(path), "is an empty folder", f"some of {expected}")])
    wanted = {file.filename: file.name for file in known.values()}
    unknown = [p for p in found if p.name not in wanted or not p.is_file()]
    findings.add(Finding(p.name, "is not a known file", f"one of {expected}") for p in unknown)
    return {wanted[p.name]: p for p in found if p not in unknown}


def _noted(file: File, path: Path, findings: Findings, incomplete: set[str]) -> Iterator[Block]:
    """The file's blocks, with what is wrong in them noted."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        for block in read(file, lines):
            findings.add(block.findings)
            if not block.whole:
                incomplete.add(file.name)
            yield block
