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


class RefusedDebits(Exception):
    """Only what is said of some debits does not follow the schema: the file may be drawn again without them.

    `places`: by end-to-end id the element that is wrong first.
    """

    def __init__(self, places: dict[str, str]) -> None:
        super().__init__(", ".join(f"{place} of {debit}" for debit, place in places.items()))
        self.places = places


def document(collection: Collection, creditor: Creditor, schema: str, made_at: datetime) -> bytes:
    """The file, in UTF-8. `schema` is ``pain.008.001.02`` or ``.08``; `made_at` is told in local time.

    The same values give the same bytes. Raises RefusedDebits; InvalidDocument where the header is wrong, too.
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
        raise _error(made, follows.error_log)
    return etree.tostring(made, xml_declaration=True, encoding="UTF-8")


def _error(made: Any, log: Any) -> InvalidDocument | RefusedDebits:
    places: dict[str, str] = {}
    for entry in log:
        (element,) = made.xpath(entry.path)
        name = etree.QName(element).localname
        debit = next(element.iterancestors("{*}DrctDbtTxInf"), None)
        if debit is None:
            return InvalidDocument(f"{name}, {entry.type_name}")
        places.setdefault(debit.findtext("{*}PmtId/{*}EndToEndId"), name)
    return RefusedDebits(places)


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
