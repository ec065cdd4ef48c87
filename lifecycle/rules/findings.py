"""What is wrong in what we were given."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from lifecycle.rules.runs import Summary

KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong in what we were given. `value` may be personal: it is for the terminal, never for Prefect.

    `where` is a parameter or a file; `line` is the file's physical line (1 is the header), 0 the file as a whole.
    """

    where: str
    problem: str
    expected: str
    value: str = ""
    line: int = 0
    column: str = ""

    @property
    def place(self) -> str:
        """Where, as precisely as is known."""
        line = f", line {self.line}" if self.line else ""
        return f"{self.where}{line}{f', {self.column}' if self.column else ''}"

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}; expected {self.expected}"


@dataclass(slots=True)
class Findings:
    """What was found so far: the first ones are kept, all are counted."""

    kept: list[Finding] = field(default_factory=list)
    total: int = 0

    def add(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.total += 1
            if len(self.kept) < KEPT:
                self.kept.append(finding)


class BadInput(Exception):
    """What we were given cannot be used: nothing of it was changed. Carries all findings, not only the first.

    `total` counts those too that were too many to keep. `summary` is of the run that was refused, where one had begun:
    of several files it may have used others.
    """

    summary: Summary | None = None

    def __init__(self, findings: list[Finding], total: int | None = None) -> None:
        self.findings = sorted(findings, key=lambda finding: (finding.where, finding.line))
        self.total = len(findings) if total is None else total
        more = f"; and {self.total - 20} more" if self.total > 20 else ""
        super().__init__("; ".join(map(str, self.findings[:20])) + more)
