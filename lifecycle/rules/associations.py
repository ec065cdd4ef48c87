"""Who looks after a customer: what an association or a dissociation adds to what is known."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

Action = Literal["associate", "dissociate"]


@dataclass(frozen=True, slots=True)
class Period:
    """One version of a period in which a reseller looks after a customer, both days included; None: open."""

    reseller: str
    from_on: date
    until_on: date | None = None

    def holds_on(self, day: date) -> bool:
        return self.from_on <= day and (self.until_on is None or day <= self.until_on)


class NotAssociated(Exception):
    """There is no association to end."""


def change(action: Action, reseller: str, on: date, latest: Period | None) -> list[Period]:
    """The versions to add so that, from `on`, `reseller` looks after the customer or no longer does.

    `latest`: the period with the latest start up to `on`, in its last version. Empty: it is so already. Associating a
    customer of another reseller is a move: the other's period ends the day before. Associating one whose period is
    about to end takes that end back. Raises NotAssociated.
    """
    holds = latest is not None and latest.holds_on(on)
    if action == "dissociate":
        if latest is None or latest.reseller != reseller:
            raise NotAssociated(f"the customer is not associated with {reseller} on {on}")
        return [_ended(latest, on)] if holds else []
    if latest is None or not holds:
        return [Period(reseller, on)]
    if latest.reseller != reseller:
        return [_ended(latest, on), Period(reseller, on)]
    return [] if latest.until_on is None else [Period(reseller, latest.from_on)]


def _ended(period: Period, on: date) -> Period:
    return Period(period.reseller, period.from_on, on - timedelta(days=1))
