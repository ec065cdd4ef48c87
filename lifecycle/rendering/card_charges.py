"""The list of card charges that a payment provider takes: CSV, UTF-8, a line for each instalment."""

import csv
from io import StringIO

from lifecycle.rules.charge_run import Collection

COLUMNS = ("message_id", "instalment", "subscription", "card", "token", "amount", "currency", "due_on")


def document(collection: Collection) -> bytes:
    file = StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for debit in collection.debits:
        charge, card = debit.charge, debit.mandate
        amount = f"{charge.amount:.2f}"
        texts = (collection.message_id, charge.end_to_end_id, charge.subscription, card.code, card.account or "")
        writer.writerow((*map(_as_text, texts), amount, charge.currency, charge.due_on))
    return file.getvalue().encode()


def _as_text(value: str) -> str:
    """What a program for spreadsheets would read as a formula begins with an apostrophe."""
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
