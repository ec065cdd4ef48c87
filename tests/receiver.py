"""A provisioning system on loopback for tests: it judges each call by the Standard Webhooks specification alone.

Written from the specification, it shares no code with the sender. It applies each change once, whatever is repeated,
and misbehaves by script.
"""

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOST = "127.0.0.1"
SECRET = "whsec_" + base64.b64encode(b"a key for tests, 32 bytes long..").decode()
TOLERANCE_SECONDS = 5 * 60
"""How far a call's timestamp may be from our clock, as in the specification's own libraries."""


@dataclass(frozen=True)
class Answer:
    """What is said to one call instead of 200. `applied`: the change is made all the same."""

    status: int | None
    """None: the connection is closed without an answer."""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    applied: bool = False
    delay_seconds: float = 0


LOST_BEFORE = Answer(None)
"""The connection is lost before the call was read."""
LOST_AFTER = Answer(None, applied=True)
"""The change is made and the answer lost."""


@dataclass(frozen=True)
class Try:
    id: str
    timestamp: str
    signature: str
    body: bytes
    status: int | None


class Receiver:
    """Calls are answered by the script, one answer each, and with 200 after its end.

    `tries` are all calls as they came, `applied` the bodies by id of the changes that were made, in that order. A call
    whose signature proves nothing is answered 401, one that repeats an id with another body 409; neither is applied.
    """

    def __init__(self, secret: str = SECRET) -> None:
        self.secret = secret
        self.script: deque[Answer] = deque()
        self.tries: list[Try] = []
        self.applied: dict[str, bytes] = {}
        self.others: list[str] = []
        """The methods of requests that were no calls."""
        self.connections = 0
        self.port = 0
        self.closing = threading.Event()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/access"

    @property
    def changes(self) -> list[Any]:
        """What was applied, in order, read as JSON."""
        return [json.loads(body) for body in self.applied.values()]

    def next_answer(self) -> Answer:
        with self.lock:
            return self.script.popleft() if self.script else Answer(200, b"ok", applied=True)

    def judge(self, answer: Answer, headers: Mapping[str, str], body: bytes) -> Answer:
        """What is really answered to a whole call, which is applied here if `answer` says so and nothing is wrong."""
        with self.lock:
            if not proven(self.secret, headers, body, time.time()):
                answer = Answer(401, b"not signed by you")
            elif self.applied.get(headers["webhook-id"], body) != body:
                answer = Answer(409, b"another body under an id that was used")
            elif answer.applied:
                self.applied.setdefault(headers["webhook-id"], body)
            self.tries.append(
                Try(
                    headers.get("webhook-id", ""),
                    headers.get("webhook-timestamp", ""),
                    headers.get("webhook-signature", ""),
                    body,
                    answer.status,
                )
            )
        return answer


def proven(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether one who knows the secret sent this body, under this id, at about `now` (seconds since 1970)."""
    token, timestamp = headers.get("webhook-id"), headers.get("webhook-timestamp", "")
    if not token or not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = hmac.digest(key, b".".join((token.encode(), timestamp.encode(), body)), hashlib.sha256)
    right = b"v1," + base64.b64encode(expected)
    return any(hmac.compare_digest(one.encode(), right) for one in headers.get("webhook-signature", "").split(" "))


@contextmanager
def receiver(*script: Answer, secret: str = SECRET, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver that listens for as long as the block runs."""
    state = Receiver(secret)
    state.script.extend(script)
    server = _Server((HOST, 0), type("Handler", (_Handler,), {"state": state}))
    if tls:
        # The handshake is left to the thread of the connection: one that fails must not stop the listener.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that the other side drops are what tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    disable_nagle_algorithm = True  # or each answer waits 40 ms for the other side's acknowledgement
    state: Receiver

    def setup(self) -> None:
        super().setup()
        self.state.connections += 1

    def do_OPTIONS(self) -> None:
        self.state.others.append("OPTIONS")
        self._say(Answer(405))

    def do_POST(self) -> None:
        answer = self.state.next_answer()
        if answer is LOST_BEFORE:
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers["content-length"]))
        answer = self.state.judge(answer, {name.lower(): value for name, value in self.headers.items()}, body)
        self.state.closing.wait(answer.delay_seconds)
        self._say(answer)

    def _say(self, answer: Answer) -> None:
        if answer.status is None:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in ({"Content-Length": str(len(answer.body))} | dict(answer.headers)).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)
        if "Content-Length" in answer.headers:  # a wrong one: there is no more to come
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Quiet."""
