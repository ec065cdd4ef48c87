"""Calls to the system that grants and ends access: one HTTP POST for each change, signed (Standard Webhooks 1.0.0).

No call is ever in doubt: the receiver knows a repeated call by its ``webhook-id``, so where no answer came the same
call is made again.
"""

import logging
import ssl
from contextlib import suppress
from datetime import datetime
from itertools import islice
from types import TracebackType
from typing import Protocol, Self

import httpx

from lifecycle.delivery.outcomes import Deferred, Refused, Unreachable
from lifecycle.rules.provisioning import asked_wait, checked_url, key_of, signed_headers

CONNECT_SECONDS = 10
REPLY_SECONDS = 30
REPLY_CHARACTERS = 500

_TRY_AGAIN = {408, 425, 429}
"""What a receiver that will take the call later says in the 400s: Request Timeout, Too Early, Too Many Requests."""

_PORTS = {"http": 80, "https": 443}

# It logs the whole URL of each request, with the query and password in it.
logging.getLogger("httpx").setLevel(logging.WARNING)


class Provisioning(Protocol):
    """Where access changes go, for one thread at a time."""

    @property
    def name(self) -> str:
        """Which system, without any password."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def reach(self) -> None:
        """Do what a first call would need, without one. Raises Unreachable."""
        ...

    def call(self, token: str, body: bytes, now: datetime) -> str:
        """Hand over `body`, an access change as JSON, and return what to note about it.

        `token` stands for the change, is the same on every try, and holds no full stop; `now`, aware, is the moment of
        this try. Raises Refused, Deferred or Unreachable, with no more than 500 characters of the receiver's words.
        """
        ...


def open_provisioning(url: str | None, secret: str | None) -> Provisioning:
    """The system at `url`, which knows our calls by `secret`; without a URL, changes are only recorded.

    Raises ValueError, which repeats neither, for a URL or secret that cannot be used.
    """
    return Webhook(url, secret or "") if url else Recorded()


class Recorded:
    """Stands in where no provisioning system is configured: our own record of the change is all there is."""

    name = "recorded"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def reach(self) -> None:
        pass

    def call(self, token: str, body: bytes, now: datetime) -> str:  # noqa: ARG002 - there is nobody to tell
        return "recorded only: no provisioning system is configured"


class Webhook:
    """One receiver, over a connection that is kept between calls."""

    def __init__(self, url: str, secret: str, trust: ssl.SSLContext | None = None) -> None:
        """Certificates are checked against `trust`, by default the authorities this machine trusts."""
        self._key = key_of(secret)
        self._url = httpx.URL(checked_url(url))
        self._client = httpx.Client(
            verify=trust or ssl.create_default_context(),
            timeout=httpx.Timeout(REPLY_SECONDS, connect=CONNECT_SECONDS),
            headers={"user-agent": "lifecycle", "accept-encoding": "identity"},
            # A proxy of the environment is for the way out of the house; one would read what goes unencrypted.
            trust_env=self._url.scheme == "https",
        )

    @property
    def name(self) -> str:
        url = self._url
        host = f"[{url.host}]" if ":" in url.host else url.host
        path = url.raw_path.partition(b"?")[0].decode("ascii")
        return f"{url.scheme}://{host}:{url.port or _PORTS[url.scheme]}{path}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def reach(self) -> None:
        """Ask which methods the receiver knows. Any answer will do: few answer to anything but a call."""
        try:
            with self._client.stream("OPTIONS", self._url) as response:
                _beginning(response)
        except httpx.TransportError as error:
            raise Unreachable(f"cannot reach the provisioning system: {_why(error)}") from error

    def call(self, token: str, body: bytes, now: datetime) -> str:
        headers = {"content-type": "application/json"} | signed_headers(self._key, token, body, now)
        try:
            with self._client.stream("POST", self._url, content=body, headers=headers) as response:
                return _accepted(response, now)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise Unreachable(f"cannot connect to the provisioning system: {_why(error)}") from error
        except httpx.TransportError as error:
            raise Deferred(f"no answer from the provisioning system: {_why(error)}") from error


def _accepted(response: httpx.Response, now: datetime) -> str:
    """The receiver's words if it took the call; raises what its answer means for the call if not."""
    code = response.status_code
    reply = f"{code} {_beginning(response)}".strip()
    if response.is_success:
        return reply
    fact = f"the provisioning system answered {code}"
    if code in _TRY_AGAIN or response.is_server_error:
        raise Deferred(fact, reply, asked_wait(response.headers.get("retry-after", ""), now))
    raise Refused(fact, reply)


def _beginning(response: httpx.Response) -> str:
    """The first words of the answer, from few enough reads that one who never ends cannot hold us up.

    They decide nothing: it does not matter if the rest never comes.
    """
    read = b""
    with suppress(httpx.TransportError):
        for part in islice(response.iter_raw(), 4):
            read += part
    # PostgreSQL's text cannot hold NUL.
    return read.decode("utf-8", "replace").replace("\0", "\ufffd").strip()[:REPLY_CHARACTERS]


def _why(error: httpx.TransportError) -> str:
    """The kind of failure, without the words of a server in it."""
    return str(error) if isinstance(error, httpx.ConnectError) and str(error) else type(error).__name__
