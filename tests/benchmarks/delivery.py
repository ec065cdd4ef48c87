"""Delivery to a mail server that does nothing but accept, beside a loop that hands it ready bytes."""

import os
import smtplib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Thread
from time import perf_counter
from uuid import uuid4

from sqlalchemy import text

from flows.deliver_outbox import CONNECTIONS
from lifecycle.persistence import database, outbox, runs
from lifecycle.persistence.outbox import Body
from lifecycle.rendering.message import Attachment, Letter, Mailbox, compose
from lifecycle.rendering.templates import Content
from lifecycle.settings import settings
from tasks.delivery import CLAIMED_AT_ONCE, deliver
from tests.benchmarks.measuring import Figure, Stopwatch
from tests.cast import reports

DAY = date(2019, 9, 1)
TEXT, HTML, ATTACHMENT = "Riga di prova\n" * 70, "<p>Riga di prova</p>\n" * 200, os.urandom(25_000)
SENDER, RECIPIENT = "lifecycle@example.com", "reseller@example.org"


def bench(scale: float) -> list[Figure]:
    number, many = max(400, round(4_000 * scale)), max(4_000, round(100_000 * scale))
    with sink() as port:
        os.environ["LIFECYCLE_MAIL_URL"] = f"smtp://127.0.0.1:{port}?tls=none"
        settings.cache_clear()
        _queue(number)
        ready, delivered = _ready_bytes(port, number), delivery(number)
    first, last = _claiming(many)
    claim = f"claim of {CLAIMED_AT_ONCE} from {many:,} queued, among the last"
    return [
        Figure(f"mails of 25 kB over {CONNECTIONS} connections", delivered, "/s", "ready bytes sent by smtplib", ready),
        Figure(claim, 1_000 * last, "ms", "among the first", 1_000 * first),
    ]


def _queue(number: int) -> None:
    run, body = uuid4(), Body("Rapporto", TEXT, HTML, ("report.xlsx", "application/zip", ATTACHMENT))
    with database.transaction() as db:
        runs.start(db, run, "monthly-reseller-report", DAY, dry_run=False, prefect_id=None)
        for start in range(0, number, 500):
            keys = [f"bench/{i}" for i in range(start, min(start + 500, number))]
            reports(db, keys, run, DAY, body, RECIPIENT)


def delivery(number: int) -> float:
    """Messages per second out of the outbox."""
    watch, until = Stopwatch(), datetime.now(UTC) + timedelta(minutes=1)
    with watch.running(), ThreadPoolExecutor(CONNECTIONS) as threads:
        counts = list(threads.map(deliver.fn, range(CONNECTIONS), [until] * CONNECTIONS))
    assert sum(count["sent"] for count in counts) == number, counts
    return number / watch.seconds


def _claiming(number: int) -> tuple[float, float]:
    """Seconds for a claim among the first tenth and among the last, while one deliverer claims all there is."""
    with database.transaction() as db:
        db.execute(
            text("""
            INSERT INTO messages (key, kind, state, recipient, recipient_name, business_date, reseller_id)
            SELECT 'claim/' || i, 'reseller-report', 'queued', '', '', :day, resellers.id
            FROM generate_series(1, :number) AS i, resellers"""),
            {"day": DAY, "number": number},
        )
    with outbox.delivering("UTC") as deliverer:
        moments = [
            perf_counter()
            for nth, _ in enumerate(deliverer.claims(datetime.now(UTC), CLAIMED_AT_ONCE))
            if nth % CLAIMED_AT_ONCE == 0
        ]
    tenth = len(moments) // 10
    return (moments[tenth] - moments[0]) / tenth, (moments[-1] - moments[-1 - tenth]) / tenth


def _ready_bytes(port: int, number: int) -> float:
    """Messages per second of a loop that only sends."""
    letter = Letter(
        "<1@example.com>",
        "reseller-report",
        datetime.now(UTC),
        Mailbox(SENDER),
        Mailbox(RECIPIENT),
        Content("Rapporto", TEXT, HTML),
        attachment=Attachment("report.xlsx", "application/zip", ATTACHMENT),
    )
    content, each = compose(letter), number // CONNECTIONS

    def send(_: int) -> None:
        with smtplib.SMTP("127.0.0.1", port) as connection:
            for _ in range(each):
                connection.sendmail(SENDER, [RECIPIENT], content)

    watch = Stopwatch()
    with watch.running(), ThreadPoolExecutor(CONNECTIONS) as threads:
        list(threads.map(send, range(CONNECTIONS)))
    return each * CONNECTIONS / watch.seconds


@contextmanager
def sink() -> Iterator[int]:
    """A mail server in a process of its own, as light as it can be. Yields its port."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_listen, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def _listen(parent: Connection) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        parent.send(server.getsockname()[1])
        while True:
            Thread(target=_accept, args=server.accept()[:1], daemon=True).start()


def _accept(client: socket.socket) -> None:
    with client, client.makefile("rb") as lines:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(b"220 sink\r\n")
        for line in lines:
            if line.upper().startswith(b"QUIT"):
                client.sendall(b"221 bye\r\n")
                return
            if line.upper().startswith(b"DATA"):
                client.sendall(b"354 go on\r\n")
                # Nothing follows the final dot before it is answered, so the reader's buffer is empty here.
                end = b""
                while end != b"\r\n.\r\n":
                    end = (end + client.recv(1 << 20))[-5:]
            client.sendall(b"250 ok\r\n")
