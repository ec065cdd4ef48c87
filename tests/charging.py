"""Charge runs as the flow does them, without Prefect around them."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path

from lifecycle.rules.charge_run import Figures
from tasks.charge_run import Order, charge, look, put_files
from tests.sweeping import started

DAY = date(2026, 3, 2)
SETTINGS = {
    "LIFECYCLE_ISSUER__NAME": "Palestra Verde",
    "LIFECYCLE_ISSUER__IBAN": "IT60X0542811101000000123456",
    "LIFECYCLE_ISSUER__CREDITOR_ID": "IT66ZZZA1B2C3D4E5F6G7H8",
}


@dataclass
class Ran:
    files: list[Figures] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    put: list[Path] = field(default_factory=list)


def run(day: date = DAY, *, dry_run: bool = False, now: datetime | None = None) -> Ran:
    """A whole run, in the morning of its day."""
    order = Order(day, now or datetime.combine(day, time(5), UTC), started("charge-run", day), dry_run)
    due = look.fn(order)
    ran = Ran(counts=due.counts)
    for portion in due.portions:
        charged = charge.fn(portion, order)
        ran.files += [charged.file] if charged.file else []
        for reason, codes in charged.left_out.items():
            ran.left_out[str(reason)] += codes
    if not dry_run:
        ran.put = put_files.fn(order.now)
    return ran
