"""A bank file matched with very many open cards, beside a COPY of the same rows into a bare table."""

import csv
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from lifecycle.persistence import database, runs
from lifecycle.reading import bank_statement
from lifecycle.rules.billing_card import number_of, print_form, reference_of
from lifecycle.rules.findings import Findings
from lifecycle.rules.payment import Verdict, named
from lifecycle.settings import settings
from tasks.payment_import import import_payments
from tests.benchmarks.measuring import Figure, Stopwatch, peak_memory

DAY = date(2026, 4, 3)
AMOUNT = "122.00"

_FILL = (
    # Foreign keys hold by construction; checking them would take longer than everything else.
    "SET LOCAL session_replication_role = replica",
    """
    INSERT INTO products (code, name, policy, period_months, price, currency, vat_rate)
    VALUES ('DOM', 'Domain', 'service', 12, 100, 'EUR', 22)""",
    """
    INSERT INTO customers (code, kind, name, email, locale)
    SELECT 'C' || i, 'company', 'Ανθοπωλείο d''Arco ' || i, 'c' || i || '@example.com', 'it'
    FROM generate_series(1, :cards) AS i""",
    """
    INSERT INTO subscriptions (code, customer_id, product_id, anchor, reference, quantity, auto_renew, charge_method)
    SELECT 'S' || id, id, 1, '2020-05-01', 'domain' || id || '.example', 1, false, 'transfer' FROM customers""",
    """
    INSERT INTO terms (subscription_id, starts_on, expires_on, recorded_at)
    SELECT id, '2025-05-01', '2026-04-30', '2025-05-01' FROM subscriptions""",
    "INSERT INTO subscription_status (subscription_id, expires_on) SELECT id, '2026-04-30' FROM subscriptions",
    """
    INSERT INTO cards (number, customer_id, currency, state, trial, revision, total, issued_on, due_on, revised_on,
        run_id)
    SELECT 'PF-2026-' || lpad(id::text, 6, '0'), id, 'EUR', 'open', false, 1, 122, '2026-03-31', '2026-04-30',
        '2026-03-31', :run_id
    FROM customers""",
    """
    INSERT INTO card_lines
    SELECT id, 1, id, '2026-04-30', '2026-05-01', '2027-04-30', 1, 100, 22, true FROM cards""",
)

_ENTRY = """
<Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
<BookgDt><Dt>2026-04-03</Dt></BookgDt><AcctSvcrRef>B{serial}</AcctSvcrRef><NtryDtls><TxDtls>
<Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd>
<RltdPties><Dbtr><Pty><Nm>Ανθοπωλείο d'Arco {serial}</Nm></Pty></Dbtr>
<DbtrAcct><Id><IBAN>IT60X0542811101000000123456</IBAN></Id></DbtrAcct></RltdPties>
<RmtInf><Ustrd>Pagamento scheda {reference} rinnovo dominio</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"""


def bench(scale: float) -> list[Figure]:
    cards, payments = max(2_000, round(200_000 * scale)), max(200, round(20_000 * scale))
    _fill(cards)
    # Every tenth card, so that a file touches all pages of the tables.
    serials = range(1, cards + 1, cards // payments)[:payments]
    listed, statement = settings().home / "payments.csv", settings().home / "statement.xml"
    _write_list(listed, serials)
    _write_statement(statement, serials)
    bare, reading, finding, first, again = (Stopwatch() for _ in range(5))
    _copy(listed, bare)
    with reading.running(), statement.open("rb") as file:
        entries = [entry for _, entry in bank_statement.entries(file, statement.name, Findings(), Counter())]
    with finding.running():
        assert all(named(entry.remittance) for entry in entries)
    with first.running():
        counts = import_payments.fn(statement, DAY, datetime.now(UTC), _run()).counts
    assert counts == {Verdict.PAID: payments, "services renewed": payments}, counts
    peak = peak_memory()
    with again.running():
        import_payments.fn(listed, DAY, datetime.now(UTC), _run())
    copied = "COPY of the same rows into a bare table"
    return [
        Figure("camt.053 entries read", payments / reading.seconds, "/s"),
        Figure("references found in their texts", payments / finding.seconds, "/s"),
        Figure(
            f"payments of a statement recorded and matched with {cards:,} open cards", payments / first.seconds, "/s",
            copied, payments / bare.seconds,
        ),
        Figure("  the same payments again, as a list", payments / again.seconds, "/s", copied, payments / bare.seconds),
        Figure("  peak memory", peak, "MB"),
    ]  # fmt: skip


def _fill(cards: int) -> None:
    facts = {"cards": cards, "run_id": _run()}
    with database.transaction() as db:
        for statement in _FILL:
            db.execute(text(statement), facts)
    with database.configured().connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("VACUUM ANALYZE"))


def _reference(serial: int) -> str:
    return print_form(reference_of(number_of(2026, serial)))


def _write_list(path: Path, serials: range) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["bank_reference", "received_on", "amount", "currency", "remittance", "payer", "iban"])
        for serial in serials:
            remittance = f"Pagamento scheda {_reference(serial)} rinnovo dominio"
            payer = f"Ανθοπωλείο d'Arco {serial}"
            rows.writerow([f"B{serial}", DAY, AMOUNT, "EUR", remittance, payer, "IT60X0542811101000000123456"])


def _write_statement(path: Path, serials: range) -> None:
    with path.open("w") as file:
        file.write('<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt>')
        for serial in serials:
            file.write(_ENTRY.format(amount=AMOUNT, serial=serial, reference=_reference(serial)))
        file.write("</Stmt></BkToCstmrStmt></Document>")


def _copy(listed: Path, watch: Stopwatch) -> None:
    with database.transaction() as db:
        columns = "bank_reference text, received_on date, amount numeric, currency text, remittance text, payer text"
        db.execute(text(f"CREATE TABLE bare_payments ({columns}, iban text)"))
        driver: Any = db.connection.driver_connection
        statement = "COPY bare_payments FROM STDIN (FORMAT csv, HEADER)"
        with watch.running(), driver.cursor() as cursor, cursor.copy(statement) as out:
            out.write(listed.read_bytes())
        db.rollback()


def _run() -> UUID:
    run = uuid4()
    with database.transaction() as db:
        runs.start(db, run, "payment-import", DAY, dry_run=False, prefect_id=None)
    return run
