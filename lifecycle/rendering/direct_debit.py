"""The file of direct debits that a bank takes: ISO 20022 pain.008, as the SEPA Core rulebook asks for it (EPC130-08).

Every debit is RCUR: since November 2016 the first of a mandate need not be told apart. Names and texts are reduced to
the Latin characters that all banks of SEPA take.
"""

import re
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

from lxml import etree
from sepaxml import SepaDD
from text_unidecode import unidecode

from lifecycle.rules.charge_run import Collection, Creditor, Debit

NAME = 70
TEXT = 140
"""What a name and a remittance text may have of characters."""


class InvalidDocument(Exception):
    """The document does not follow the public schema: no bank would take it. Says where, and not which value."""


def document(collection: Collection, creditor: Creditor, schema: str, made_at: datetime) -> bytes:
    """The file, in UTF-8. `schema` is ``pain.008.001.02`` or ``.08``; `made_at` is told in local time.

    The same values give the same bytes. Raises InvalidDocument.
    """
    config = {"name": sepa_text(creditor.name, NAME), "IBAN": creditor.iban, "creditor_id": creditor.id,
              "currency": collection.currency, "batch": True}  # fmt: skip
    debits = SepaDD(config | _bic(creditor.bic), schema=schema, clean=False)
    for debit in collection.debits:
        debits.add_payment(_payment(debit) | {"collection_date": collection.collect_on})
    made = etree.fromstring(debits.export(validate=False))
    # The library takes these from its own clock and dice.
    own = {
        "MsgId": collection.message_id,
        "CreDtTm": made_at.strftime("%Y-%m-%dT%H:%M:%S"),
        "PmtInfId": collection.message_id,
    }
    for name, value in own.items():
        for element in made.iter(f"{{*}}{name}"):
            element.text = value
    # Its own validator reads the schema as well, and takes ten times as long as writing the file.
    follows = _schema(schema)
    if not follows.validate(made):
        log: Any = follows.error_log
        raise InvalidDocument(f"{schema}: {_place(made, log[0].path)}, {log[0].type_name}")
    return etree.tostring(made, xml_declaration=True, encoding="UTF-8")


def _place(made: Any, path: str) -> str:
    """The element at `path`, and the instalment of which it is."""
    (element,) = made.xpath(path)
    whose = [debit.findtext("{*}PmtId/{*}EndToEndId") for debit in element.iterancestors("{*}DrctDbtTxInf")]
    return " of ".join([etree.QName(element).localname, *whose])


def _payment(debit: Debit) -> dict[str, object]:
    charge, mandate = debit.charge, debit.mandate
    return {
        "name": sepa_text(mandate.holder, NAME) or "NOTPROVIDED",
        "IBAN": mandate.account,
        "amount": int(charge.amount * 100),
        "type": "RCUR",
        "mandate_id": mandate.code,
        "mandate_date": mandate.signed_on,
        "description": sepa_text(f"{charge.product} {charge.subscription} {charge.due_on}", TEXT),
        "endtoend_id": charge.end_to_end_id,
    } | _bic(mandate.bic or "")


def _bic(bic: str) -> dict[str, object]:
    return {"BIC": bic} if bic else {}


def sepa_text(text: str, most: int) -> str:
    """`text` in the characters of SEPA's basic set (EPC217-08), at most so many; it may be empty.

    Other scripts are transliterated: Γιώργος becomes Giorgos. No slash begins or ends it, nor are there two in a row.
    """
    latin = re.sub(r"[^A-Za-z0-9/\-?:().,'+ ]+", " ", unidecode(text))
    plain = re.sub(r"/{2,}", "/", " ".join(latin.split()))
    return plain[:most].strip("/ ")


@cache
def _schema(schema: str) -> etree.XMLSchema:
    with (files("sepaxml") / "schemas" / f"{schema}.xsd").open("rb") as file:
        return etree.XMLSchema(etree.parse(file))
