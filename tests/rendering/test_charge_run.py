"""The files of a charge run, read by others than wrote them: another validator, and the standard library's parser."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from xml.etree import ElementTree

import pytest
from sepaxml.validation import try_valid_xml

from lifecycle.rendering import card_charges, direct_debit
from lifecycle.rendering.direct_debit import InvalidDocument, RefusedDebits, sepa_text
from lifecycle.rules.charge_run import Charge, Collection, Creditor, Debit, Mandate
from lifecycle.rules.subscriptions import ChargeMethod

OURS, IBAN, BIC = "IT60X0542811101000000123456", "GR1601101250000000012300695", "ETHNGRAA"
CREDITOR = Creditor("Πράσινη Γυμναστική Α.Ε.", OURS, "BLOPIT22", "IT66ZZZA1B2C3D4E5F6G7H8")
MADE_AT = datetime(2026, 11, 20, 6, 30, 15)  # noqa: DTZ001 # as banks are told it: local time, without its zone
COLLECT_ON = date(2026, 11, 24)
SCHEMAS = ("pain.008.001.02", "pain.008.001.08")


def debit(number: int, holder: str, amount: str = "12.20", *, bic: str | None = None, code: str = "") -> Debit:
    mandate = Mandate(code or f"MND/{number}", ChargeMethod.SEPA, date(2020, 1, number), None, holder, IBAN, bic)
    charge = Charge(number, f"S-{number}", "Γυμναστήριο & Spa", date(2026, 11, number), Decimal(amount), "EUR",
        ChargeMethod.SEPA, number - 1, is_withdrawn=False, mandate=mandate)  # fmt: skip
    return Debit(charge, mandate)


def collection(debits: Sequence[Debit], kind: ChargeMethod = ChargeMethod.SEPA) -> Collection:
    return Collection("SEPA-20261120-0123456789AB", kind, "EUR", COLLECT_ON, tuple(debits))


DEBITS = [
    debit(1, "Γιώργος Παπαδόπουλος"),
    debit(2, "Łukasz Żółć & Søn // \"Straße\"", "0.05", bic=BIC),
    debit(3, "A" * 80, "1234567.89"),
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS)
def test_another_reader_finds_every_debit_in_the_file(schema: str) -> None:
    made = direct_debit.document(collection(DEBITS), CREDITOR, schema, MADE_AT)
    try_valid_xml(made, schema)
    root = ElementTree.fromstring(made)
    of = {"": f"urn:iso:std:iso:20022:tech:xsd:{schema}"}

    def told(*paths: str, below: ElementTree.Element | None = root) -> list[str | None]:
        assert below is not None
        return [below.findtext(path, namespaces=of) for path in paths]

    header = root.find("CstmrDrctDbtInitn/GrpHdr", of)
    assert told("MsgId", "CreDtTm", "NbOfTxs", "CtrlSum", "InitgPty/Nm", below=header) == [
        "SEPA-20261120-0123456789AB", "2026-11-20T06:30:15", "3", "1234580.14", "Prasine Gumnastike A.E."
    ]  # fmt: skip
    (batch,) = root.findall("CstmrDrctDbtInitn/PmtInf", of)
    assert told(
        "PmtInfId", "PmtMtd", "NbOfTxs", "CtrlSum", "PmtTpInf/SvcLvl/Cd", "PmtTpInf/LclInstrm/Cd", "PmtTpInf/SeqTp",
        "ReqdColltnDt", "Cdtr/Nm", "CdtrAcct/Id/IBAN", "ChrgBr", "CdtrSchmeId/Id/PrvtId/Othr/Id", below=batch,
    ) == [
        "SEPA-20261120-0123456789AB", "DD", "3", "1234580.14", "SEPA", "CORE", "RCUR",
        "2026-11-24", "Prasine Gumnastike A.E.", OURS, "SLEV", "IT66ZZZA1B2C3D4E5F6G7H8",
    ]  # fmt: skip
    debits = batch.findall("DrctDbtTxInf", of)
    assert [
        told("PmtId/EndToEndId", "InstdAmt", "DrctDbtTx/MndtRltdInf/MndtId", "DrctDbtTx/MndtRltdInf/DtOfSgntr",
             "Dbtr/Nm", "DbtrAcct/Id/IBAN", "RmtInf/Ustrd", below=each)
        for each in debits
    ] == [
        ["I1", "12.20", "MND/1", "2020-01-01", "Giorgos Papadopoulos", IBAN, "Gumnasterio Spa S-1 2026-11-01"],
        ["I2-2", "0.05", "MND/2", "2020-01-02", "Lukasz Zolc Son / Strasse", IBAN, "Gumnasterio Spa S-2 2026-11-02"],
        ["I3-3", "1234567.89", "MND/3", "2020-01-03", "A" * 70, IBAN, "Gumnasterio Spa S-3 2026-11-03"],
    ]  # fmt: skip
    assert {each.find("InstdAmt", of).attrib["Ccy"] for each in debits} == {"EUR"}  # type: ignore[union-attr]
    bic = "BICFI" if schema.endswith("08") else "BIC"
    assert told(f"CdtrAgt/FinInstnId/{bic}", below=batch) == ["BLOPIT22"]
    assert [told(f"DbtrAgt/FinInstnId/{bic}", "DbtrAgt/FinInstnId/Othr/Id", below=each) for each in debits] == [
        [None, "NOTPROVIDED"], [BIC, None], [None, "NOTPROVIDED"]
    ]  # fmt: skip


def test_the_same_values_give_the_same_bytes() -> None:
    once, again = (direct_debit.document(collection(DEBITS), CREDITOR, SCHEMAS[1], MADE_AT) for _ in range(2))
    assert once == again
    assert once.isascii(), "banks take nothing else"


BROKEN = [
    debit(1, "Anna Quetzal", bic="PERHAPS", code="much too long a reference of a mandate"),
    debit(2, "Anna", bic="PERHAPS"),
]


def test_all_debits_that_no_bank_would_take_are_named_at_once_and_no_value() -> None:
    with pytest.raises(RefusedDebits) as error:
        direct_debit.document(collection([BROKEN[0], DEBITS[2], BROKEN[1]]), CREDITOR, SCHEMAS[1], MADE_AT)
    assert error.value.places == {"I1": "MndtId", "I2-2": "BICFI"}
    assert str(error.value) == "MndtId of I1, BICFI of I2-2"


def test_a_creditor_that_no_bank_would_take_is_an_error_whatever_the_debits_are() -> None:
    for debits in (DEBITS, BROKEN):
        with pytest.raises(InvalidDocument) as error:
            direct_debit.document(collection(debits), replace(CREDITOR, bic="PERHAPS"), SCHEMAS[1], MADE_AT)
        assert str(error.value).startswith("BICFI, ")
        assert "PERHAPS" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("Θεόφιλος Αλεξανδρόπουλος", 70, "Theophilos Alexandropoulos"),
        ("Niccolò dell'Orto, s.r.l. (già più)", 70, "Niccolo dell'Orto, s.r.l. (gia piu)"),
        ("a&b <c> \"d\" e@f;g_h\ti\nj", 70, "a b c d e f g h i j"),
        ("//twice//and/ends/", 70, "twice/and/ends"),
        ("cut / here", 5, "cut"),
        ("★☆", 70, ""),
    ],
)  # fmt: skip
def test_texts_have_the_characters_that_all_banks_take(text: str, most: int, expected: str) -> None:
    assert sepa_text(text, most) == expected


def test_a_holder_whose_name_has_none_of_them_is_charged_all_the_same() -> None:
    made = direct_debit.document(collection([debit(1, "★")]), CREDITOR, SCHEMAS[1], MADE_AT)
    assert b"<Dbtr><Nm>NOTPROVIDED</Nm></Dbtr>" in made


def test_the_list_of_card_charges_has_a_line_for_each_and_no_formula() -> None:
    one, other = debit(1, "Anna"), debit(2, "Anna", "7.00")
    cards = [Debit(it.charge, replace(it.mandate, account=f"tok_{it.charge.id}==")) for it in (one, other)]
    cards[1] = Debit(
        replace(cards[1].charge, subscription='=HYPERLINK("http://x")'), replace(cards[1].mandate, code="+M")
    )
    made = card_charges.document(replace(collection(cards, ChargeMethod.CARD), message_id="CARD-1"))
    assert list(csv.reader(made.decode().splitlines())) == [
        ["message_id", "instalment", "subscription", "card", "token", "amount", "currency", "due_on"],
        ["CARD-1", "I1", "S-1", "MND/1", "tok_1==", "12.20", "EUR", "2026-11-01"],
        ["CARD-1", "I2-2", '\'=HYPERLINK("http://x")', "'+M", "tok_2==", "7.00", "EUR", "2026-11-02"],
    ]
