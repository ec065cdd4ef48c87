"""What a run says when it has ended: figures by reason, tables of ids, never personal data."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    header: tuple[str, ...]
    rows: list[tuple[str | int, ...]]


@dataclass(slots=True)
class Summary:
    """One run's result, filled while it works.

    `counts` are figures by reason. `failed` are the reasons among them for which the run must end as failed, so that
    somebody looks. `images` are titles and SVG. A `superseded` run has left everything to that of a later day.
    """

    flow: str
    business_date: date
    dry_run: bool
    run_id: UUID
    counts: Counter[str] = field(default_factory=Counter)
    failed: set[str] = field(default_factory=set)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    images: list[tuple[str, str]] = field(default_factory=list)
    superseded: bool = False

    @property
    def failures(self) -> int:
        return sum(self.counts[reason] for reason in self.failed)


class RunFailed(Exception):
    """Some items of a run failed, the others were done; the summary says how many and why."""

    def __init__(self, summary: Summary) -> None:
        self.summary = summary
        why = ", ".join(
            f"{reason} {summary.counts[reason]}" for reason in sorted(summary.failed) if summary.counts[reason]
        )
        super().__init__(f"{summary.failures} failed: {why}")


class WaitsForPerson(Exception):
    """A run goes on only when a person has decided; the message says what to do."""

    def __init__(self, summary: Summary, what_to_do: str) -> None:
        self.summary = summary
        super().__init__(what_to_do)
