"""What a person learned of an instalment from the bank or the payment provider, and what becomes of it then."""

from dataclasses import dataclass
from datetime import date

from lifecycle.rules.instalments import InstalmentStatus, Settlement

_DUE, _SUBMITTED = InstalmentStatus.DUE, InstalmentStatus.SUBMITTED
_PAID, _CANCELLED = InstalmentStatus.PAID, InstalmentStatus.CANCELLED
_TO_BE_REFUNDED = InstalmentStatus.TO_BE_REFUNDED

_BECOMES = {
    Settlement.PAID: {_DUE: _PAID, _SUBMITTED: _PAID},
    Settlement.RETURNED: {_SUBMITTED: _DUE, _PAID: _DUE, _TO_BE_REFUNDED: _CANCELLED},
    Settlement.REFUNDED: {_TO_BE_REFUNDED: _CANCELLED},
}


class NotToSettle(Exception):
    """The instalment is not one of which that can be said. `expected` is what it would have to be."""

    def __init__(self, status: InstalmentStatus, expected: str) -> None:
        self.expected = expected
        super().__init__(f"is {_words(status)}")


@dataclass(frozen=True, slots=True)
class Standing:
    """An instalment, the day on which its membership was withdrawn from, and what was said of it last."""

    id: int
    due_on: date
    status: InstalmentStatus
    withdrawn_on: date | None
    last: Settlement | None


def becomes(instalment: Standing, outcome: Settlement) -> InstalmentStatus | None:
    """The status that it gets. None: that was said before, and nothing has happened since. Raises NotToSettle.

    What comes back is due again, unless it is of the time after a withdrawal: then it is settled with that.
    """
    ways = _BECOMES[outcome]
    if instalment.status in ways:
        is_over = instalment.withdrawn_on is not None and instalment.due_on > instalment.withdrawn_on
        return _CANCELLED if is_over and ways[instalment.status] is _DUE else ways[instalment.status]
    if instalment.last is outcome and instalment.status in {*ways.values(), _CANCELLED}:
        return None
    raise NotToSettle(instalment.status, f"one that is {' or '.join(map(_words, ways))}")


def _words(status: InstalmentStatus) -> str:
    return status.replace("_", " ")
