"""``lifecycle erasure``: what erasing a customer means, which erasures there are, whom one would erase.

Names are shown here, on a terminal, and in the preview of a run that waits; nowhere else.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from textwrap import wrap
from typing import Any

from pydantic import TypeAdapter

from lifecycle.persistence import erasure, erasure_certificate, erasure_list
from lifecycle.persistence.database import Transaction, transaction
from lifecycle.persistence.erasure import Scope
from lifecycle.persistence.erasure_plan import OUTSIDE, Plan, TableFate, plan
from lifecycle.rendering.locales import customer_name
from lifecycle.rules.documents import Document
from lifecycle.rules.erasure import Certificate, Criteria, ErasureState, Fate
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.records import shown
from lifecycle.rules.segment import Segment, parts_of
from lifecycle.settings import settings

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
    yield from _heading("5. Documents under the home")
    for document in Document:
        yield ""
        yield document.pattern.replace("{}", "…")
        yield from _beside("    holds", document.holds, 18)
        yield from _beside("    fate", document.fate, 18)
    yield from _heading("6. Elsewhere")
    for what, fate in OUTSIDE.items():
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


def listing() -> None:
    """A line for each erasure, the last one shown first."""
    with transaction() as db:
        for each in erasure_list.listed(db):
            what = f"{each.business_date}  {each.period:9}  {each.state:8}  shown {each.shown}, erased {each.erased}"
            print(f"{each.id}  {each.digest}  {what}{f'  by {each.approved_by}' if each.approved_by else ''}")


def show(digest_or_id: str, pdf: Path | None) -> None:
    """Of an erasure that waits, whom it would erase and who is kept; of one that is done, what its certificate says."""
    with transaction() as db:
        found = erasure_list.find(db, digest_or_id, ErasureState.DONE if pdf else ErasureState.WAITING)
        if found is None:
            expected = "what `lifecycle erasure` lists"
            raise BadInput([Finding("DIGEST_OR_ID", f"{digest_or_id!r} is no erasure's", expected)])
        if pdf is not None:
            if found.state != ErasureState.DONE:
                raise BadInput([Finding("--pdf", f"erasure {found.id} is {found.state}", "one that is done")])
            pdf.write_bytes(erasure_certificate.document(db, found.id))
            return
        print(f"erasure {found.id}  {found.digest}  {found.state}")
        print(f"inactive for {found.period}: since {found.since}, as of {found.business_date}")
        print(f"among {found.segment or 'all customers'}")
        if found.state == ErasureState.WAITING:
            _print_preview(db, found)
        elif found.state == ErasureState.DONE:
            _print_certificate(erasure_certificate.read(db, found.id, settings().zone))
        elif found.state == ErasureState.APPROVED:
            print(f"approved by {found.approved_by}, not finished yet")
            for what, number in sorted(erasure.outcome(db, found.id).items()):
                print(f"{number:>10}  {what}")


def _print_preview(db: Transaction, found: Any) -> None:
    """Who is kept is found anew: an approval is not bound to it."""
    zone = settings().zone
    print(f"waits for an administrator until {found.lapses_at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}")
    candidates = erasure_list.candidates(db, found.id)
    print(f"\nto be erased: {len(candidates)}")
    for each in candidates:
        print(_line(each.code, each.name, each.last_appointment_on))
    segment = TypeAdapter(Segment).validate_python(parts_of(found.segment))
    criteria = Criteria(found.business_date, found.since, found.period)
    now = erasure.find(db, Scope(criteria, segment, zone, settings().locale))
    print(f"\nkept: {now.inactive['kept']}")
    for customer in now.kept:
        reasons = ", ".join(customer.reasons)
        print(f"{_line(customer.code, customer.name, customer.last_appointment_on)}  {reasons}")


def _line(code: str, name: str, last: date | None) -> str:
    return f"    {code:14}  {last or 'never'!s:10}  {shown(customer_name(name, settings().locale), 60)}"


def _print_certificate(certificate: Certificate) -> None:
    figures = [
        (certificate.inactive, "found inactive"),
        (certificate.kept, "kept"),
        *((number, f"kept: {reason}") for reason, number in certificate.kept_by),
        (certificate.shown, "shown"),
        (certificate.taken_out, "taken out"),
        *((number, f"left out: {reason}") for reason, number in certificate.left_out),
        (certificate.erased, "erased"),
    ]
    for number, what in figures:
        print(f"{number:>10}  {what}")
    print(f"approved by {certificate.approved_by} on {certificate.approved_at:%Y-%m-%d %H:%M:%S %Z}")
    print(f"finished on {certificate.finished_at:%Y-%m-%d %H:%M:%S %Z} in {certificate.portions} portions")
