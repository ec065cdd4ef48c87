"""Bank statements: camt.053 (ISO 20022) XML, read entry by entry into bank entries.

A statement comes from outside: it is read without entities, DTDs and the network, one entry in memory at a time, and a
file with a DOCTYPE is refused, as no bank writes one. Versions differ in a few places, which are read either way.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any, BinaryIO

from lxml import etree

from lifecycle.rules.findings import Finding, Findings
from lifecycle.rules.payment import Entry
from lifecycle.rules.records import LAST_DAY, shown

NOT_BOOKED = "entries not booked yet"
DEBITS = "debits"

_NAMESPACE = re.compile(r"urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.(0[2-9]|1[0-9])")
_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2}0{0,3})?")
_LONGEST_REFERENCE = 140
# What banks write where they have nothing to say.
_NOTHING = {"", "NONREF", "NOTPROVIDED", "NOTAVAILABLE", "NOT PROVIDED", "NONE", "UNKNOWN"}
_ORIGINALS = ("AcctSvcrRef", "EndToEndId", "TxId", "InstrId", "PmtInfId", "MsgId")

Element = etree._Element


class _Wrong(Exception):
    """A statement lacks what an entry needs; carries the finding."""

    def __init__(self, element: Element, tag: str, problem: str, expected: str, value: str = "") -> None:
        super().__init__(problem)
        self.finding = Finding("", problem, expected, shown(value), _line(element), tag)


@dataclass(slots=True)
class _Statement:
    """What must be remembered of a statement while it is read: references given so far, so that none comes twice."""

    account: str = ""
    given: Counter[str] = field(default_factory=Counter)


def entries(file: BinaryIO, name: str, findings: Findings, skipped: Counter[str]) -> Iterator[tuple[int, Entry]]:
    """Every booked credit, and every credit that was taken back, with its line in the file.

    A batch whose transactions give their amounts becomes one entry for each. What is passed over is counted in
    `skipped`, what is wrong is added to `findings` under the file's `name`; nothing is raised for it.
    """
    events = etree.iterparse(
        file,
        ("start", "end"),
        tag=("{*}Document", "{*}Stmt", "{*}Acct", "{*}Ntry"),
        resolve_entities=False,
        load_dtd=False,
        remove_comments=True,
        remove_pis=True,
        no_network=True,
        huge_tree=False,
    )
    try:
        yield from _entries(events, name, findings, skipped)
    except etree.XMLSyntaxError as error:
        # What the parser says may repeat a piece of the text; an unknown entity it only tells its log.
        said = shown("; ".join(entry.message for entry in events.error_log) or error.msg or "", 200)
        line = error.lineno or max((entry.line for entry in events.error_log), default=1)
        findings.add([Finding(name, "is not well-formed XML", "a camt.053 statement", said, line)])
    except _Wrong as wrong:
        findings.add([replace(wrong.finding, where=name)])


def _entries(
    events: "etree.iterparse[tuple[str, Element]]", name: str, findings: Findings, skipped: Counter[str]
) -> Iterator[tuple[int, Entry]]:
    statement = None
    for event, element in events:
        kind = (event, etree.QName(element).localname)
        if kind == ("start", "Document"):
            _check_root(element)
        elif kind == ("start", "Stmt"):
            statement = _Statement()
        elif statement and kind == ("end", "Acct") and _is_in_statement(element):
            statement.account = _text(element, "Id/IBAN") or _text(element, "Id/Othr/Id") or ""
        elif statement and kind == ("end", "Ntry") and _is_in_statement(element):
            try:
                for entry in _of_entry(element, statement, skipped):
                    yield _line(element), entry
            except _Wrong as wrong:
                findings.add([replace(wrong.finding, where=name)])
            _forget(element)
    if statement is None:
        findings.add([Finding(name, "has no statement", "Document/BkToCstmrStmt/Stmt", line=1)])


def _is_in_statement(element: Element) -> bool:
    parent = element.getparent()
    return parent is not None and etree.QName(parent).localname == "Stmt"


def _check_root(root: Element) -> None:
    if root.getroottree().docinfo.internalDTD is not None:
        raise _Wrong(root, "", "has a DOCTYPE", "a file as banks send it, without one")
    namespace = etree.QName(root).namespace or ""
    if not _NAMESPACE.fullmatch(namespace):
        raise _Wrong(root, "", "is no camt.053 statement", "camt.053.001.02 or a later one as namespace", namespace)


def _line(element: Element) -> int:
    line: Any = element.sourceline
    return int(line or 0)


def _forget(element: Element) -> None:
    """Let go of what was read, also of what stood before it."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


# -- an entry --------------------------------------------------------------------------------------------------------


def _of_entry(element: Element, statement: _Statement, skipped: Counter[str]) -> Iterator[Entry]:
    status = _text(element, "Sts/Cd") or _text(element, "Sts")
    if not status:
        raise _Wrong(element, "Sts", "is missing", "BOOK, or what else the entry is")
    if status != "BOOK":
        skipped[NOT_BOOKED] += 1
        return
    day, amount, currency = _day(element), _amount(element, "Amt"), _currency(element)
    details = element.findall("{*}NtryDtls/{*}TxDtls")
    signed = _sign(element) * amount
    parts = _parts(details, signed, currency) if len(details) > 1 else None
    reference = _reference(element, "AcctSvcrRef")
    note = _text(element, "AddtlNtryInf") or ""
    if parts is None:
        own = [details[0]] if len(details) == 1 else []
        reference = next(filter(None, (_reference(each, "Refs/AcctSvcrRef") for each in own)), "") or reference
        batch = [(reference, signed, details or [element])]
    else:
        own_references = [_reference(each, "Refs/AcctSvcrRef") for each in details]
        distinct = len(set(own_references)) == len(details) and all(own_references)
        numbered = (f"{reference}/{at}" if reference else "" for at in range(1, len(details) + 1))
        references = own_references if distinct else list(numbered)
        batch = [(own, part, [each]) for own, part, each in zip(references, parts, details, strict=True)]
    for own_reference, part, about in batch:
        if part < 0 and not _is_taken_back(element, about):
            skipped[DEBITS] += 1
        elif part:
            yield _entry(own_reference, day, part, currency, about, note, statement)


def _entry(
    reference: str,
    day: date,
    amount: Decimal,
    currency: str,
    details: list[Element],
    note: str,
    statement: _Statement,
) -> Entry:
    remittance = "\n".join(line for each in details for line in _remittance(each)) or note
    end_to_end = " ".join(filter(None, (_reference(each, "Refs/EndToEndId") for each in details)))
    originals = tuple({text: None for each in details for text in _originals(each)}) if amount < 0 else ()
    if amount < 0 and reference:
        # Some banks take money back under the reference with which it came.
        originals = tuple(dict.fromkeys((reference, *originals)))
        reference += "/reversal"
    if not reference:
        said = "\0".join((statement.account, str(day), str(amount), currency, remittance, end_to_end))
        reference = hashlib.sha256(said.encode()).hexdigest()[:32]
    statement.given[reference] += 1
    if (times := statement.given[reference]) > 1:
        reference += f"#{times}"
    return Entry(
        bank_reference=reference,
        received_on=day,
        amount=amount,
        currency=currency,
        remittance=remittance,
        payer=_first(details, "RltdPties/Dbtr/Nm", "RltdPties/Dbtr/Pty/Nm", "RltdPties/UltmtDbtr/Nm"),
        iban=_first(details, "RltdPties/DbtrAcct/Id/IBAN"),
        originals=originals,
    )


def _parts(details: list[Element], whole: Decimal, currency: str) -> list[Decimal] | None:
    """The transactions' amounts with their signs, where all give one and they add up to the entry's."""
    parts = []
    for each in details:
        amount = each.find("{*}Amt")
        amount = each.find("{*}AmtDtls/{*}TxAmt/{*}Amt") if amount is None else amount
        if amount is None or amount.get("Ccy") != currency or not _AMOUNT.fullmatch((amount.text or "").strip()):
            return None
        direction = _text(each, "CdtDbtInd")
        positive = direction == "CRDT" if direction else whole > 0
        parts.append(Decimal((amount.text or "").strip()) * (1 if positive else -1))
    return [each.quantize(whole) for each in parts] if sum(parts) == whole else None


def _is_taken_back(entry: Element, details: list[Element]) -> bool:
    reversal = _text(entry, "RvslInd") in {"true", "1"}
    return reversal or any(each.find("{*}RtrInf") is not None for each in details)


def _remittance(details: Element) -> Iterator[str]:
    """The lines as they are: whether a blank was lost between two of them, nobody knows."""
    for element in details.findall("{*}RmtInf/{*}Ustrd"):
        yield (element.text or "").strip()
    for element in details.findall("{*}RmtInf/{*}Strd"):
        yield from filter(None, (_text(element, "CdtrRefInf/Ref"), _text(element, "AddtlRmtInf")))


def _originals(details: Element) -> Iterator[str]:
    references = details.find("{*}Refs")
    for tag in _ORIGINALS if references is not None else ():
        if text := _reference(references, tag):
            yield text


def _reference(element: Element | None, path: str) -> str:
    text = (_text(element, path) or "") if element is not None else ""
    return "" if text.upper() in _NOTHING or len(text) > _LONGEST_REFERENCE else text


def _sign(element: Element) -> int:
    direction = _text(element, "CdtDbtInd")
    if direction not in {"CRDT", "DBIT"}:
        raise _Wrong(element, "CdtDbtInd", "is missing" if not direction else "is unknown", "CRDT or DBIT")
    return 1 if direction == "CRDT" else -1


def _day(element: Element) -> date:
    text = _text(element, "BookgDt/Dt") or (_text(element, "BookgDt/DtTm") or "")[:10]
    # xs:date may carry an offset.
    with suppress(ValueError):
        day = date.fromisoformat(text[:10])
        if day <= LAST_DAY:
            return day
    raise _Wrong(element, "BookgDt", "is no date" if text else "is missing", "Dt or DtTm, the day of booking", text)


def _amount(element: Element, path: str) -> Decimal:
    text = _text(element, path) or ""
    if not _AMOUNT.fullmatch(text):
        problem = "is no such amount" if text else "is missing"
        raise _Wrong(element, "Amt", problem, "an amount with at most 2 decimals", text)
    return Decimal(text).quantize(Decimal("0.01"))


def _currency(element: Element) -> str:
    amount = element.find("{*}Amt")
    currency = (amount.get("Ccy") if amount is not None else "") or ""
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise _Wrong(element, "Amt", "has no currency", "Ccy, three capital letters", currency)
    return currency


def _text(element: Element, path: str) -> str | None:
    found = element.find(_any_namespace(path))
    return (found.text or "").strip() if found is not None else None


@cache
def _any_namespace(path: str) -> str:
    return "/".join(f"{{*}}{tag}" for tag in path.split("/"))


def _first(details: list[Element], *paths: str) -> str | None:
    return next(filter(None, (_text(each, path) for each in details for path in paths)), None)
