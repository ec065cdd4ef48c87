"""Prefect's server on SQLite does not stand still."""

import asyncio
import gc
import sqlite3
from pathlib import Path

import aiosqlite
import pytest

import deployments.prefect_server  # noqa: F401 - what the server imports before all else


async def a_failure_is_forgotten_while_a_write_waits(database: Path) -> None:
    async with (
        aiosqlite.connect(database, isolation_level=None) as one,
        aiosqlite.connect(database, isolation_level=None, timeout=5) as other,
    ):
        await one.execute("PRAGMA journal_mode = WAL")
        await one.execute("CREATE TABLE said (word TEXT)")
        await other.execute("BEGIN")
        await (await other.execute("SELECT * FROM said")).fetchall()
        await one.execute("INSERT INTO said VALUES ('meanwhile')")
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            await (await other.cursor()).execute("INSERT INTO said VALUES ('too late')")
        await other.rollback()

        await one.execute("BEGIN IMMEDIATE")
        waits = asyncio.create_task(other.execute("INSERT INTO said VALUES ('at last')"))
        await asyncio.sleep(0.5)
        assert not waits.done()
        gc.collect()  # the failure goes: in this thread, which is to commit
        await one.commit()
        await waits


def test_a_failed_statement_is_not_kept_until_its_connection_waits_for_what_waits_for_us(tmp_path: Path) -> None:
    gc.disable()
    try:
        asyncio.run(a_failure_is_forgotten_while_a_write_waits(tmp_path / "prefect.db"))
    finally:
        gc.enable()
