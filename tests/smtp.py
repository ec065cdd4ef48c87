"""Mail servers on loopback for tests: a real one that remembers, and one that misbehaves by script."""

import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"


@dataclass
class Inbox:
    """What a server took, and what it answers at ``RCPT`` and ``DATA`` instead of taking it."""

    answers: dict[str, str] = field(default_factory=dict)
    received: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any) -> str:  # noqa: N802
        if "RCPT" in self.answers:
            return self.answers["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
        if "DATA" in self.answers:
            return self.answers["DATA"]
        assert isinstance(envelope.content, bytes)
        self.received.append((envelope.mail_from or "", envelope.rcpt_tos, envelope.content))
        self.encrypted.append(session.ssl is not None)
        return "250 2.0.0 taken"


@contextmanager
def mail_server(inbox: Inbox, **options: Any) -> Iterator[int]:
    """A real server (aiosmtpd) for `inbox`; yields its port. `options` are those of aiosmtpd's Controller and SMTP."""
    controller = Controller(inbox, hostname=HOST, port=_free_port(), **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def asks_for(user: str, password: str) -> dict[str, Any]:
    """The options of a server that takes mail after this login only, and asks for it under TLS only."""

    def authenticator(server: Any, session: Any, envelope: Any, mechanism: str, login: Any) -> AuthResult:
        right = isinstance(login, LoginPassword) and login == LoginPassword(user.encode(), password.encode())
        return AuthResult(success=right, handled=False)

    return {"auth_required": True, "authenticator": authenticator}


HANG_UP = None
"""In a script: close the connection instead of answering."""


@dataclass
class Scripted:
    """A server that answers by script: for each connection a table from command (``CONNECT``, ``MAIL``, ``.`` …) to
    reply; ``MAIL 2`` is the second MAIL on a connection, and ``BODY`` a moment: the mail is on its way. What is not in
    the table is answered as it should be. The last table holds for all later connections."""

    scripts: tuple[Mapping[str, str | None], ...]
    port: int = 0
    heard: list[str] = field(default_factory=list)

    def serve(self, listener: socket.socket) -> None:
        for number in range(1_000):
            try:
                connection, _ = listener.accept()
            except OSError:  # the test is over
                return
            with connection, connection.makefile("rb") as lines:
                try:
                    self._converse(connection, lines, self.scripts[min(number, len(self.scripts) - 1)])
                except OSError:
                    continue

    def _converse(self, connection: socket.socket, lines: Any, script: Mapping[str, str | None]) -> None:
        usual = {"CONNECT": "220 test", "DATA": "354 go ahead", "QUIT": "221 bye"}
        command, seen = "CONNECT", Counter[str]()
        while True:
            self.heard.append(command)
            seen[command] += 1
            reply = script.get(f"{command} {seen[command]}", script.get(command, usual.get(command, "250 OK")))
            if reply is HANG_UP:
                return
            connection.sendall(f"{reply}\r\n".encode())
            if command == "DATA" and reply.startswith("354"):
                if "BODY" in script:
                    return
                while lines.readline() not in {b".\r\n", b""}:
                    pass
                command = "."
                continue
            line = lines.readline()
            if not line:
                return
            command = line.split()[0].decode().upper()


@contextmanager
def scripted_server(*scripts: Mapping[str, str | None]) -> Iterator[Scripted]:
    with socket.create_server((HOST, 0)) as listener:
        server = Scripted(scripts, listener.getsockname()[1])
        thread = threading.Thread(target=server.serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=10)


@dataclass(frozen=True)
class Certificate:
    """A self-made certificate for the loopback address: for a server, and as what a client trusts."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def certificate(folder: Path) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "certificate.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(pem, secret)
    return Certificate(server, ssl.create_default_context(cafile=str(pem)))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
