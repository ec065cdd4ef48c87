"""One-time codes of operators (TOTP, RFC 6238): which moments' codes are taken, and when nobody is listened to.

A code stands for a step of 30 seconds. Each goes once: the steps used by an operator only ever grow. A try counts as
wrong before its code is looked at, and a right one takes that back: so many tries at once are no more than so many.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from math import ceil

from lifecycle.rules.findings import Finding

STEP = 30
"""Seconds for which an app shows a code (RFC 6238, 4.1)."""

_TOLERANCE = 1
"""Steps: a code is read, typed and sent after it was shown (RFC 6238, 5.2), and clocks differ, to either side."""

_STALE = 20
"""Steps: up to ten minutes later we still say that a code was right, so that nobody looks for another mistake."""

MOST_FAILURES = 5
LOCKED_FOR = timedelta(minutes=15)
"""After as many wrong codes in a row, and after each further one, no code is looked at for so long.

Of a million codes three are right at any moment: who guesses 96 times a day needs ten years for one. Who mistypes has
four more tries; who lost the telephone is enrolled again, which also takes the lock away.
"""

_EXPECTED = "the six digits that the app shows now"


def step_at(moment: datetime) -> int:
    """The step of a moment: how many have passed since 1970."""
    return int(moment.timestamp()) // STEP


def digits(typed: str) -> str | None:
    """The code as it was meant, without the blanks that apps show; None: it is none."""
    code = "".join(typed.split())
    return code if re.fullmatch("[0-9]{6}", code) else None


@dataclass(frozen=True, slots=True)
class Tries:
    """`failures`: wrong codes since the last right one."""

    failures: int = 0
    locked_until: datetime | None = None

    def is_locked(self, moment: datetime) -> bool:
        return self.locked_until is not None and moment < self.locked_until

    def one_more(self, moment: datetime) -> "Tries":
        """With another wrong code of that moment, at which there is no lock."""
        failures = self.failures + 1
        return Tries(failures, moment + LOCKED_FOR if failures >= MOST_FAILURES else None)


@dataclass(frozen=True, slots=True)
class Operator:
    """One of our own people. `secret`: what its one-time codes are made from, encrypted; None: it is not enrolled."""

    code: str
    name: str
    administrator: bool
    secret: bytes | None
    enrolled_at: datetime | None
    tries: Tries


def heard(operator: Operator | None, code: str, moment: datetime) -> Operator | Finding:
    """The operator with this code, if a one-time code of its is looked at; else why none is."""
    if operator is None:
        return Finding("operator", f"{code!r} is no operator's code", "a code that `lifecycle operators` lists")
    if not operator.administrator:
        return Finding("operator", f"{code!r} is not an administrator", "one who is: see `lifecycle operators`")
    if operator.secret is None:
        expected = f"one who is: `lifecycle operators enrol {code}`"
        return Finding("operator", f"{code!r} is not enrolled for codes", expected)
    if operator.tries.locked_until and operator.tries.is_locked(moment):
        minutes = ceil((operator.tries.locked_until - moment) / timedelta(minutes=1))
        expected = f"another try in {minutes} minute{'s' if minutes > 1 else ''}"
        return Finding("one_time_code", f"after {operator.tries.failures} wrong codes {code!r} is locked", expected)
    return operator


def matched(code: str, moment: datetime, code_of: Callable[[int], str]) -> int | None:
    """The step whose code was entered at that moment; None: it is the code of no step that is taken then.

    `code_of` gives a step's code.
    """
    step = step_at(moment)
    return _step(code, range(step + _TOLERANCE, step - _TOLERANCE - 1, -1), code_of)


def mismatch(code: str, moment: datetime, code_of: Callable[[int], str], tries: Tries) -> Finding:
    """What is said of a code that matches no step. `tries`: with this one."""
    step = step_at(moment) - _TOLERANCE
    is_stale = _step(code, range(step - 1, step - _STALE - 1, -1), code_of) is not None
    problem = "is the code of an earlier moment" if is_stale else "is wrong"
    locks = f", in {LOCKED_FOR // timedelta(minutes=1)} minutes: until then none is looked at"
    return Finding("one_time_code", problem, _EXPECTED + (locks if tries.locked_until else ""))


def _step(code: str, steps: Iterable[int], code_of: Callable[[int], str]) -> int | None:
    return next((step for step in steps if compare_digest(code_of(step), code)), None)


NO_CODE = Finding("one_time_code", "is not a code", _EXPECTED)
USED = Finding(
    "one_time_code", "was used before, or a later one was", "the next one that the app shows: each goes once"
)
