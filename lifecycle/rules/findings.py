"""What is wrong in what we were given."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong in what we were given. `value` may be personal: it is for the terminal, never for Prefect."""

    where: str
    problem: str
    expected: str
    value: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}; expected {self.expected}"


class BadInput(Exception):
    """What we were given cannot be used: nothing was changed. Carries all findings, not only the first."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        super().__init__("; ".join(map(str, findings[:20])))
