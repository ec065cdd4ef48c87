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
        writer.writerow((
            *(collection.message_id, charge.end_to_end_id, _as_text(charge.subscription), _as_text(card.code)),
            # What the provider knows the card by: as it is. The import takes none that looks like a formula.
            *(card.account, amount, charge.currency, charge.due_on),
        ))  # fmt: skip
    return file.getvalue().encode()


def _as_text(value: str) -> str:
    """What a program for spreadsheets would read as a formula begins with an apostrophe."""
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
