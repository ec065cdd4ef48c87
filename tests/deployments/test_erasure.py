"""``lifecycle erasure``: the plan as an officer reads it, the list, and what is shown of one erasure."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployments import erasure
from lifecycle.persistence.database import transaction
from lifecycle.persistence.tables import metadata
from lifecycle.rules.documents import Document
from lifecycle.rules.erasure import Fate
from lifecycle.rules.findings import BadInput
from tasks.erasure_certificate import finish
from tests import cast, erasing
from tests.billing import change
from tests.sweeping import started


@pytest.fixture
def plan(capsys: pytest.CaptureFixture[str]) -> str:
    erasure.print_plan()
    return capsys.readouterr().out


def test_the_plan_names_every_table_and_each_of_its_columns_under_its_fate(plan: str) -> None:
    for table in metadata.sorted_tables:
        of_table = re.search(rf"^{table.name}(?::[^\n]*|(?= ))(.*?)(?=^\w|\Z)", plan, re.MULTILINE | re.DOTALL)
        assert of_table, table
        words = of_table.group(0)
        if table.info:
            assert table.info["whose"] in words.replace("\n", " ")
        of_fate = {
            fate: re.search(rf"^    {fate}( .*?)(?=^    \w|\Z)", words, re.MULTILINE | re.DOTALL) for fate in Fate
        }
        for column in table.columns:
            under = of_fate[column.info["fate"]]
            # Of what is kept whole there is one list, beside the table's name.
            listed = under.group(1) if under else words.removeprefix(table.name)
            assert re.search(rf"\b{column.name}\b", listed), column


def test_the_plan_can_be_read_at_a_hundred_columns_and_ends_with_its_digest(plan: str) -> None:
    lines = plan.splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) < 240
    assert re.fullmatch(r"Digest of this plan, which changes with it: [0-9a-f]{16}", lines[-1])


def test_the_plan_says_of_each_kind_of_document_what_it_holds_and_its_fate(plan: str) -> None:
    for document in Document:
        of_document = plan[plan.index(f"\n{document.pattern.replace('{}', '…')}\n") :].split("\n\n")[0]
        words = " ".join(of_document.split())
        assert words.endswith(f"holds {document.holds} fate {document.fate}")


def test_the_plan_says_what_becomes_of_what_lies_outside_of_the_tables(plan: str) -> None:
    outside = plan[plan.index("5. Documents") :]
    places = ("Documents", "Mail folder", "Inbox", "Prefect", "Import files", "Backups", "log", "versions of rows",
              "statistics")  # fmt: skip
    assert [place for place in places if place not in outside] == []


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_of_one_that_waits_whom_it_would_erase_and_who_is_kept_are_shown(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    erasing.inactive("C1", "C2")
    change("INSERT INTO appointments (code, customer_id, starts_at, status) "
           "SELECT 'A1', id, '2020-05-04T10:00Z', 'no_show' FROM customers WHERE code = 'C1'")  # fmt: skip
    change("INSERT INTO holds (customer_id, reason, until_on, operator) "
           "SELECT id, 'a lawsuit', '2027-01-01', 'anna' FROM customers WHERE code = 'C2'")  # fmt: skip
    waiting = erasing.shown()
    erasure.show(str(waiting), None)
    shown = said(capsys)
    assert "inactive for 2 years: since 2024-11-22, as of 2026-11-22\namong all customers\n" in shown
    assert "to be erased: 1\n    C1              2020-05-04  Customer C1\n" in shown
    assert "kept: 1\n    C2              never       Customer C2  hold\n" in shown
    with pytest.raises(BadInput, match="is waiting"):
        erasure.show(str(waiting), home / "certificate.pdf")


def test_of_one_that_is_done_the_certificate_is_shown_and_written(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with transaction() as db:
        cast.operator(db, "anna")
    erasing.inactive("C1", "C2")
    done = erasing.approved("C2")
    erasure.show(str(done), None)
    assert "approved by anna, not finished yet\n         1  shown\n         1  taken out\n" in said(capsys)
    erasing.erase_portion(done)
    erasing.write()
    finish.fn(done, started("gdpr-erasure-batch", erasing.DAY), datetime(2026, 11, 22, 13, 3, 24, tzinfo=UTC))
    erasure.listing()
    (line,) = said(capsys).splitlines()
    digest = line.split()[1]
    assert line == f"{done}  {digest}  2026-11-22  2 years    done      shown 2, erased 1  by anna"
    erasure.show(digest, None)
    shown = said(capsys)
    assert "         2  shown\n         1  taken out\n         1  erased\napproved by anna on " in shown
    assert "finished on 2026-11-22 14:03:24 CET in 1 portions\n" in shown
    assert "Customer C" not in shown
    erasure.show(digest, home / "certificate.pdf")
    assert (home / "certificate.pdf").read_bytes().startswith(b"%PDF")


def test_of_one_that_lapsed_nobody_is_shown(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    erasing.inactive("C1")
    lapsed = erasing.shown()
    change("UPDATE erasures SET lapses_at = now()")
    erasure.show(str(lapsed), None)
    shown = said(capsys)
    assert f"{lapsed}" in shown
    assert "lapsed" in shown
    assert "C1" not in shown


def test_what_is_no_erasure_is_wrong_input(home: Path) -> None:
    with pytest.raises(BadInput, match="'x' is no erasure's"):
        erasure.show("x", None)
