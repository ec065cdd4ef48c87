"""``lifecycle erasure``: what erasing a customer means, which erasures there are, whom one would erase.

Names are shown here, on a terminal, and in the preview of a run that waits; nowhere else.
"""

import hashlib
from collections.abc import Iterable, Iterator
from textwrap import wrap

from lifecycle.persistence.erasure_plan import OUTSIDE, Plan, TableFate, plan
from lifecycle.rules.erasure import Fate

_WIDTH = 100

_PREAMBLE = (
    "What names, reaches or describes the customer goes, for ever. What the business did stays: appointments, "
    "payments, cards and figures, which tell customers apart by their codes alone: so a code must not be made of a "
    "name. Wherever a name was shown there is then an unknown customer. Nobody else's data is changed."
)
_FATES_EXPLAINED = (
    "Blanked: there is no value any more. Replaced: by an empty text, where there must be one. Kept: as it was."
)


def print_plan() -> None:
    """What erasing does, for whoever answers for data protection and signs it. It ends with its own digest."""
    written = "\n".join(_plan(plan()))
    print(written)
    print(f"\n\nDigest of this plan, which changes with it: {hashlib.sha256(written.encode()).hexdigest()[:16]}")


def _plan(plan: Plan) -> Iterator[str]:
    yield "WHAT BECOMES OF A CUSTOMER'S DATA WHEN THE CUSTOMER IS ERASED"
    yield ""
    yield from wrap(_PREAMBLE, _WIDTH)
    yield from _heading("1. Tables of which something goes, of the erased customer's rows alone")
    yield from wrap(_FATES_EXPLAINED, _WIDTH)
    yield from _tables(plan.erased)
    yield from _heading("2. Tables that refer to customers and stay: what they hold names nobody")
    yield from _names(plan.of_customers)
    yield from _heading("3. Tables of people who are not customers: they stay")
    yield from _tables(plan.not_customers)
    yield from _heading("4. Tables that have nothing to do with a customer: they stay")
    yield from _names(plan.unrelated)
    yield from _heading("5. Outside of the tables")
    for what, fate in OUTSIDE:
        yield ""
        yield from wrap(what, _WIDTH)
        yield from _beside("", fate, 4)


def _heading(title: str) -> list[str]:
    return ["", "", title, "=" * len(title)]


def _tables(tables: Iterable[TableFate]) -> Iterator[str]:
    for table in tables:
        yield ""
        yield from wrap(f"{table.name}: {table.about}", _WIDTH)
        for fate, columns in table.columns.items():
            yield from _beside(f"    {fate}", ", ".join(columns), 18)


def _names(tables: Iterable[TableFate]) -> Iterator[str]:
    yield ""
    for table in tables:
        yield from _beside(table.name, ", ".join(table.columns[Fate.KEPT]), 24)


def _beside(label: str, text: str, at: int) -> list[str]:
    """The label, and the text from column `at` on."""
    first, *others = wrap(text, _WIDTH - at)
    return [f"{label:{at}}{first}", *(" " * at + line for line in others)]
