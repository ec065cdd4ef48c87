"""What recording a consent, its withdrawal, an objection or a switch adds to what is known, and what is wrong with it.

A consent is what was said on its day; it is known in versions, the last of which counts. A withdrawal is never taken
back: who consents anew does so on a later day, and that is another consent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from lifecycle.rules.contact import Consent, ContactChannel, Customer
from lifecycle.rules.findings import Finding
from lifecycle.rules.records import EVIDENCE, Malformed


@dataclass(frozen=True, slots=True)
class Said:
    """What an operator was told about one type: that it was granted, withdrawn, or both: a past consent with its end.

    `evidence`: how it was given or withdrawn, and under which wording.
    """

    granted_on: date | None
    withdrawn_on: date | None
    evidence: str

    def wrong(self, day: date) -> list[Finding]:
        """What cannot be recorded on `day`. A withdrawal may take effect later; what was granted is a fact."""
        findings = []
        if self.granted_on is None and self.withdrawn_on is None:
            findings.append(Finding("granted_on", "is missing, and so is withdrawn_on", "one of them, or both"))
        if self.granted_on and day < self.granted_on:
            findings.append(later("granted_on", self.granted_on, day))
        if self.granted_on and self.withdrawn_on and self.withdrawn_on < self.granted_on:
            expected = f"a day on or after {self.granted_on}, when it was granted"
            findings.append(Finding("withdrawn_on", f"{self.withdrawn_on} is before granted_on", expected))
        if self.granted_on and not self.evidence:
            expected = "how, when and by whom the consent was given: without, it proves nothing"
            findings.append(Finding("evidence", "is empty", expected))
        return findings


def unusable(evidence: str) -> list[Finding]:
    """What is wrong with the words on which something that is recorded rests."""
    try:
        EVIDENCE([evidence])
    except Malformed as error:
        return [Finding("evidence", error.problem, error.expected)]
    return []


def later(name: str, value: date, day: date) -> Finding:
    return Finding(name, f"{value} is in the future", f"a day up to {day}: what was said by then")


@dataclass(frozen=True, slots=True)
class Grant:
    """One version of a consent of a type."""

    granted_on: date
    withdrawn_on: date | None
    evidence: str | None


class NothingToWithdraw(Exception):
    """There is no consent of the type."""


def added(history: Sequence[Grant], said: Said) -> list[Grant]:
    """The versions that `said` adds to the customer's consents of the type; none: it says nothing new.

    `history` are all versions as they were recorded. What is not said is as it was known, and of two days of withdrawal
    the earlier one counts. A withdrawal alone ends all consents granted by its day. Raises NothingToWithdraw.
    """
    known = {version.granted_on: version for version in history}
    if said.granted_on is None:
        day = said.withdrawn_on
        concerned = [grant for grant in known.values() if day and grant.granted_on <= day]
        if not concerned:
            raise NothingToWithdraw
    elif said.granted_on in known:
        concerned = [known[said.granted_on]]
    else:
        return [Grant(said.granted_on, said.withdrawn_on, said.evidence or None)]
    versions = [(grant, _version(history, grant, said)) for grant in concerned]
    return [version for grant, version in versions if version != grant]


def _version(history: Sequence[Grant], known: Grant, said: Said) -> Grant:
    ends = [day for day in (known.withdrawn_on, said.withdrawn_on) if day]
    if said.granted_on is None and known.withdrawn_on and ends[0] < ends[-1]:
        return known  # it had ended before: this is not about it
    heard = {version.evidence for version in history if version.granted_on == known.granted_on}
    is_new = said.evidence and said.evidence not in heard
    return replace(known, withdrawn_on=min(ends, default=None), evidence=said.evidence if is_new else known.evidence)


def not_allowed(customer: Customer, consent: Consent, day: date) -> list[str]:
    """In words, why a recorded consent does not allow, on `day`, all that its type allows; none: it does."""
    if consent.lapses_on and consent.lapses_on <= day:
        return [f"the consent lapsed: it held until the day before {consent.lapses_on}"]
    if customer.is_withdrawn(consent, day):
        return ["consents of this type were withdrawn: one that is to hold again is granted on a later day"]
    return [
        f"the objection of {objected_on} to {channel} still holds: only a consent on a later day lifts it"
        for channel, objected_on in sorted(customer.objections.items())
        if channel in consent.type.channels and consent.granted_on <= objected_on <= day
    ]


_EFFECTS = {
    (ContactChannel.SINGLE, True): "a mail to one customer without a valid consent needs a motive",
    (ContactChannel.SINGLE, False): "a mail to one customer needs neither a consent nor a motive",
    (ContactChannel.BULK, True): "bulk mail goes only to customers with a valid consent that allows it",
    (ContactChannel.BULK, False): "bulk mail goes to customers without a valid consent as well",
    (ContactChannel.CONTACT, True): "a call without a valid consent needs a motive",
    (ContactChannel.CONTACT, False): "a call needs neither a consent nor a motive",
}


def effect(channel: ContactChannel, *, asks: bool) -> str:
    """What a switch does, in words (product page, job 3)."""
    return _EFFECTS[channel, asks] + ("" if asks else "; who objected is left alone all the same")
