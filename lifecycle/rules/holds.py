"""Holds: an operator's word that a customer is not erased, up to and including a day.

A hold is known by its reason. Nothing is overwritten: of those with the same reason the last recorded one counts, so a
hold is prolonged, shortened or ended by placing it again. One that lasts until yesterday has ended.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from lifecycle.rules.findings import Finding
from lifecycle.rules.records import Malformed, texts

_REASON = texts(300)


@dataclass(frozen=True, slots=True)
class Hold:
    """What an operator asks for. `until`: the last day on which the customer is not erased."""

    reason: str
    until: date
    operator: str

    @classmethod
    def asked(cls, reason: str, until: date, operator: str) -> "Hold":
        """As it was typed, in one line: another one with the same words is the same hold."""
        return cls(" ".join(reason.split()), until, operator.strip())

    def wrong(self, known: date | None, day: date) -> list[Finding]:
        """What cannot be recorded on `day`. `known`: the last day of the hold with this reason; None: there is none.

        What was held was held: a hold is ended from `day` on, not earlier.
        """
        findings = []
        if not self.reason:
            findings.append(Finding("reason", "is empty", "why the customer must not be erased"))
        try:
            _REASON([self.reason])
        except Malformed as error:
            findings.append(Finding("reason", error.problem, error.expected))
        yesterday = day - timedelta(days=1)
        ends = self.until == yesterday and known is not None and known >= yesterday
        if self.until < day and not ends:
            expected = f"{day} or a later day; {yesterday} ends a hold that lasts, given with exactly its reason"
            findings.append(Finding("until", f"{self.until} is past", expected))
        return findings

    def effect(self, known: date | None, day: date) -> str:
        """What recording it does, as a count's name. `known` is as for `wrong`."""
        if self.until == known:
            return "unchanged"
        if known is None or known < day:
            return "placed"
        if self.until < day:
            return "ended"
        return "prolonged" if known < self.until else "shortened"
