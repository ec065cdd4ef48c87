"""IMAP servers on loopback for tests: a real one, and one that answers by script."""

import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from imaplib import IMAP4
from pathlib import Path

HOST = "127.0.0.1"
USER, PASSWORD = "us er@example.com", 'p:/s"s é'


@contextmanager
def imap_server(tls: Path | None = None) -> Iterator[int]:
    """A real server (pymap), empty, for USER; yields its port. `tls`: the folder of a certificate for STARTTLS."""
    port = _free_port()
    with_tls = ["--cert", f"{tls}/certificate.pem", "--key", f"{tls}/key.pem"] if tls else ["--no-tls"]
    account = ["dict", "--demo-user", USER, "--demo-password", PASSWORD]
    # It keeps no hold of its sessions: where asyncio does not either, the garbage collector ends those that wait.
    started = [sys.executable, "-c", "import gc; gc.disable(); from pymap.main import main; main()"]
    with subprocess.Popen([*started, "--host", HOST, "--port", str(port), *with_tls, *account]) as server:
        try:
            _wait_for(port)
            yield port
        finally:
            server.terminate()


@contextmanager
def logged_in(port: int) -> Iterator[IMAP4]:
    """Somebody else's session: who puts mails into folders, and looks what became of them."""
    with IMAP4(HOST, port) as session:
        session.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session.authenticate("PLAIN", lambda _: f"\0{USER}\0{PASSWORD}".encode())
        yield session


HANG_UP = None
"""In a script: close the connection instead of answering."""


@contextmanager
def scripted_server(script: Mapping[str, str | None], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server for one connection; yields its port. `script`: the answer to a command that begins so (``CONNECT``,
    ``UID FETCH 7`` …), with ``TAG`` for its tag. What is not in it is answered with OK, and any login is taken."""
    usual: dict[str, str | None] = {
        "CONNECT": "* OK ready\r\n",
        "CAPABILITY": "* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN\r\nTAG OK done\r\n",
        "AUTHENTICATE": "+ \r\nTAG OK done\r\n",
        "SELECT": "* 3 EXISTS\r\nTAG OK [READ-WRITE]\r\n",
        "UID SEARCH": "* SEARCH 7 8 9\r\nTAG OK done\r\n",
    }
    with socket.create_server((HOST, 0)) as listener:
        answering = threading.Thread(target=_answer, args=(listener, {**usual, **script}, tls), daemon=True)
        answering.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            answering.join(timeout=10)


def _answer(listener: socket.socket, script: Mapping[str, str | None], tls: ssl.SSLContext | None) -> None:
    with suppress(OSError):  # the client hung up, or the test is over
        plain, _ = listener.accept()
        with tls.wrap_socket(plain, server_side=True) if tls else plain as connection:
            _converse(connection, script)


def _converse(connection: socket.socket, script: Mapping[str, str | None]) -> None:
    commands, tag = ["CONNECT"], ""
    with connection.makefile("rb") as lines:
        while commands:
            answer = next((script[command] for command in commands if command in script), "TAG OK done\r\n")
            if answer is HANG_UP:
                return
            connection.sendall(answer.replace("TAG", tag).encode())
            if answer.startswith("+"):
                lines.readline()
            tag, *words = lines.readline().decode().split() or [""]
            commands = [" ".join(words[:length]) for length in range(len(words), 0, -1)]


def _wait_for(port: int) -> None:
    for _ in range(200):
        with suppress(OSError), socket.create_connection((HOST, port)):
            return
        time.sleep(0.05)
    raise TimeoutError("the IMAP server does not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
