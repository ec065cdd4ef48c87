"""The hosting business of the demo, and its bank."""

from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from deployments import sample_hosting
from deployments.sample_hosting import MANY_DOMAINS, PAY_TOGETHER, Transfer
from lifecycle.reading import bank_statement
from lifecycle.rules.billing_card import number_of, reference_of
from lifecycle.rules.findings import Findings
from lifecycle.rules.languages import LOCALES
from lifecycle.rules.payment import named
from tasks.import_records import import_files

DAY = date(2019, 8, 28)


def owed() -> dict[str, list[Transfer]]:
    """Everybody owes 12.35, the n-th customer by the n-th card."""
    return {
        code: [Transfer(Decimal("12.35"), "EUR", f"Payer {code}", reference_of(number_of(2019, serial)))]
        for serial, code in enumerate(sorted(sample_hosting.codes(*LOCALES)), 1)
    }


def test_it_is_written_the_same_each_time_and_imported_as_it_is(home: Path) -> None:
    for folder in ("one", "other"):
        sample_hosting.write_hosting(home / folder)
    written = [{file.name: file.read_bytes() for file in (home / folder).iterdir()} for folder in ("one", "other")]
    assert written[0] == written[1]
    counts = import_files.fn(home / "one", datetime(2019, 8, 1, tzinfo=UTC), dry_run=False)
    assert (counts["customers new"], counts["products new"], counts["subscriptions new"]) == (60, 10, 190)


def test_a_statement_is_read_as_the_transfers_it_was_made_of(tmp_path: Path) -> None:
    transfers = sample_hosting.paid_in_august(owed() | {"H026": [Transfer(Decimal("9.90"), "USD", "A & <B>", "RF")]})
    sample_hosting.write_statement(tmp_path / "bank.xml", DAY, transfers)
    findings, skipped = Findings(), Counter[str]()
    with (tmp_path / "bank.xml").open("rb") as file:
        entries = [entry for _, entry in bank_statement.entries(file, "bank.xml", findings, skipped)]
    assert (findings.total, skipped) == (0, {})
    assert len({entry.bank_reference for entry in entries}) == len(transfers)
    assert {entry.received_on for entry in entries} == {DAY}
    read = sorted((e.amount, e.currency, e.payer or "", e.remittance) for e in entries)
    assert read == sorted((t.amount, t.currency, t.payer, t.reference or t.text) for t in transfers)


def test_its_customers_pay_in_all_the_ways_there_are() -> None:
    asked = owed()
    paid = sample_hosting.paid_in_august(asked)
    by_payer = {transfer.payer: transfer for transfer in paid}
    assert by_payer[f"Payer {MANY_DOMAINS}"] == asked[MANY_DOMAINS][0]
    assert by_payer[f"Payer {sample_hosting.PAYS_IN_PART}"].amount == Decimal("6.18")
    assert by_payer[f"Payer {sample_hosting.PAYS_TOO_MUCH}"].amount == Decimal("24.70")
    assert by_payer["Studio Conti"].amount == Decimal("24.70")
    assert named(by_payer["Studio Conti"].text) == [number_of(2019, int(code[1:])) for code in PAY_TOGETHER]
    printed = by_payer[f"Payer {sample_hosting.PAYS_IN_PRINT_FORM}"]
    assert printed.reference == ""
    assert named(printed.text) == [number_of(2019, 16)]
    late = sample_hosting.paid_in_september(asked)
    assert asked[sample_hosting.LATE][0] in late
    assert asked[sample_hosting.LATE][0] not in paid
