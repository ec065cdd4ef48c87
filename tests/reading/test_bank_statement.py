"""Bank statements as banks write them, and as nobody should."""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import pytest

from lifecycle.reading.bank_statement import DEBITS, NOT_BOOKED, entries
from lifecycle.rules.findings import Findings
from lifecycle.rules.payment import Entry, named
from tests.benchmarks.measuring import peak_memory

STATEMENTS = Path(__file__).parent / "statements"
DAY = date(2026, 4, 3)


def read(content: bytes) -> tuple[list[Entry], Findings, Counter[str]]:
    findings, skipped = Findings(), Counter[str]()
    found = [entry for _, entry in entries(BytesIO(content), "bank.xml", findings, skipped)]
    return found, findings, skipped


def statement(*written: str, version: str = "08", prolog: str = "") -> bytes:
    return (
        f'{prolog}<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"><BkToCstmrStmt>\n'
        f"<Stmt><Acct><Id><IBAN>IT1</IBAN></Id></Acct>\n{''.join(written)}</Stmt></BkToCstmrStmt></Document>"
    ).encode()


def entry(amount: str = "10.00", reference: str = "", details: str = "", *, also: str = "", way: str = "CRDT") -> str:
    return (
        f'<Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{way}</CdtDbtInd>{also}<Sts><Cd>BOOK</Cd></Sts>'
        f"<BookgDt><Dt>2026-04-03</Dt></BookgDt><AcctSvcrRef>{reference}</AcctSvcrRef>"
        f"<NtryDtls>{details}</NtryDtls></Ntry>\n"
    )


def transaction(amount: str = "", reference: str = "", remittance: str = "", rest: str = "") -> str:
    money = f'<Amt Ccy="EUR">{amount}</Amt>' if amount else ""
    return (
        f"<TxDtls><Refs><AcctSvcrRef>{reference}</AcctSvcrRef></Refs>{money}"
        f"<RmtInf><Ustrd>{remittance}</Ustrd></RmtInf>{rest}</TxDtls>"
    )


def test_an_italian_statement_in_version_2() -> None:
    found, findings, skipped = read((STATEMENTS / "italian_02.xml").read_bytes())
    transfer, one, two, first, second, back = found
    assert transfer == Entry(
        bank_reference="CRO0306912345601",
        received_on=DAY,
        amount=Decimal("146.40"),
        currency="EUR",
        remittance="BONIFICO A VOSTRO FAVORE RF92 PF20 2\n600 0123 RINNOVO DOMINIO",
        payer="PANIFICIO ROSSI S.N.C.",
        iban="IT28W8000000292100645211151",
    )
    assert named(transfer.remittance) == ["PF-2026-000123"]
    assert one.bank_reference + "#2" == two.bank_reference
    assert [(e.bank_reference, e.amount, named(e.remittance), e.payer) for e in (first, second)] == [
        ("2604030004/1", Decimal(200), ["PF-2026-000125"], "UNO S.R.L."),
        ("2604030004/2", Decimal(100), ["PF-2026-000126"], "DUE S.R.L."),
    ]
    assert (back.amount, back.originals, named(back.remittance)) == (
        Decimal("-85.40"),
        ("CRO0306912345600",),
        ["PF-2026-000127"],
    )
    assert (findings.total, skipped) == (0, {DEBITS: 1, NOT_BOOKED: 1})


def test_a_greek_statement_in_version_8() -> None:
    (paid, returned), findings, skipped = read((STATEMENTS / "greek_08.xml").read_bytes())
    assert (paid.bank_reference, paid.amount, paid.payer) == ("GR93-1", Decimal(61), "ΦΟΥΡΝΟΣ ΠΑΠΑΔΟΠΟΥΛΟΥ")
    assert named(paid.remittance) == ["PF-2026-000124"]
    assert (returned.amount, returned.originals) == (Decimal(-61), ("GR93-2", "E2E-77", "GR93-1"))
    assert (findings.total, skipped) == (0, {})


def test_a_batch_that_does_not_add_up_is_one_payment_that_says_all() -> None:
    batch = transaction("60", "T1", "PF-2026-000001") + transaction("39", "T2", "PF-2026-000002")
    [whole] = read(statement(entry("100.00", "E1", batch)))[0]
    assert (whole.bank_reference, whole.amount) == ("E1", Decimal(100))
    assert named(whole.remittance) == ["PF-2026-000001", "PF-2026-000002"]


@pytest.mark.parametrize(
    ("references", "expected"),
    [(("T1", "T2"), ["T1", "T2"]), (("E1", "E1"), ["E1/1", "E1/2"]), (("T1", ""), ["E1/1", "E1/2"])],
)
def test_transactions_of_a_batch_have_references_of_their_own(references: tuple[str, str], expected: list[str]) -> None:
    batch = "".join(transaction("50", reference) for reference in references)
    assert [each.bank_reference for each in read(statement(entry("100", "E1", batch)))[0]] == expected


def test_a_batch_of_returns_takes_back_each() -> None:
    batch = "".join(transaction("50", ref, rest="<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>") for ref in ("T1", "T2"))
    found = read(statement(entry("100", "E1", batch, way="DBIT")))[0]
    assert [(each.bank_reference, each.amount) for each in found] == [
        ("T1/reversal", Decimal(-50)),
        ("T2/reversal", Decimal(-50)),
    ]


def test_equal_entries_without_a_reference_are_two_and_the_same_again_in_a_later_statement() -> None:
    same, other = entry(details=transaction(remittance="x")), entry(details=transaction(remittance="y"))
    first = [each.bank_reference for each in read(statement(same, same))[0]]
    later = [each.bank_reference for each in read(statement(other, same, same))[0]]
    assert len(set(first)) == 2
    assert later[1:] == first


def test_a_reference_that_comes_twice_in_a_statement_does_not_hide_money() -> None:
    found = read(statement(entry(reference="E1"), entry(reference="E1")))[0]
    assert [each.bank_reference for each in found] == ["E1", "E1#2"]


def test_everything_wrong_is_said_with_its_line_and_the_rest_is_read() -> None:
    wrong = [
        entry("1.005"),
        entry("ten"),
        entry().replace("2026-04-03", "2026-02-30"),
        entry().replace("<Sts><Cd>BOOK</Cd></Sts>", ""),
        entry().replace("CRDT", "BOTH"),
        entry().replace(' Ccy="EUR"', ""),
        entry().replace("<BookgDt><Dt>2026-04-03</Dt></BookgDt>", ""),
    ]
    found, findings, _ = read(statement(*wrong, entry("5.00")))
    assert [each.amount for each in found] == [5]
    assert [f.place for f in findings.kept] == [
        f"bank.xml, line {line}, {tag}"
        for line, tag in enumerate(["Amt", "Amt", "BookgDt", "Sts", "CdtDbtInd", "Amt", "BookgDt"], 3)
    ]


LAUGHS = '<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]>'


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (statement(entry(), prolog=LAUGHS), "has a DOCTYPE"),
        (statement(entry(), prolog='<!DOCTYPE Document SYSTEM "file:///etc/passwd">'), "has a DOCTYPE"),
        (statement(entry(details=transaction(remittance="&c;")), prolog=LAUGHS), "has a DOCTYPE"),
        (statement(entry(), version="08").replace(b"camt.053", b"camt.054"), "is no camt.053 statement"),
        (statement(entry())[:-20], "is not well-formed XML"),
        (statement(entry(details="<A&B/>")), "is not well-formed XML"),
        (b"", "is not well-formed XML"),
        (b"bank_reference,received_on\n", "is not well-formed XML"),
        (b"<html/>", "has no statement"),
        (b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"/>', "has no statement"),
    ],
)
def test_what_is_no_statement_is_a_finding(content: bytes, problem: str) -> None:
    findings = read(content)[1]
    assert findings.total == 1
    assert problem in findings.kept[0].problem
    assert findings.kept[0].line in {1, 3, 4}


def test_an_entity_that_is_unknown_is_named_with_its_line() -> None:
    _, findings, _ = read(statement(entry(), entry(details=transaction(remittance="x &Sons; y"))))
    assert [(f.place, f.value) for f in findings.kept] == [("bank.xml, line 4", "Entity 'Sons' not defined")]


class Endless(BytesIO):
    """A statement of many entries that is never whole in memory."""

    def __init__(self, number: int) -> None:
        head, tail = statement("@").split(b"@")
        body = entry(details=transaction(remittance="RF92PF2026000123 " * 8)).encode()
        self.parts: Iterator[bytes] = iter((head, *([body] * number), tail))

    def read(self, _size: int | None = -1, /) -> bytes:
        return next(self.parts, b"")


def test_a_long_statement_is_never_whole_in_memory() -> None:
    """Kept as a tree, these entries would take some 150 MB."""
    before = peak_memory()
    assert sum(1 for _ in entries(Endless(20_000), "bank.xml", Findings(), Counter())) == 20_000
    assert peak_memory() < before + 30


def test_a_comment_does_not_end_an_amount() -> None:
    found, findings, _ = read(statement(entry("1<!-- and -->0.00"), entry("1<?and?>0.00")))
    assert [each.amount for each in found] == [Decimal(10), Decimal(10)]
    assert findings.total == 0
