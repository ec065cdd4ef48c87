"""What can go wrong on the way out, told apart by what may be done next.

The messages hold no personal data; a server's own words, which can quote an address, are in `reply`.
"""

from datetime import timedelta


class NotDelivered(Exception):
    """The message is not known to have arrived."""

    def __init__(self, fact: str, reply: str = "") -> None:
        super().__init__(fact)
        self.reply = reply


class Refused(NotDelivered):
    """The server will never take this message: it fails for good."""


class Deferred(NotDelivered):
    """The server does not take this message now: try it again later, and not before `wait` if the server named one."""

    def __init__(self, fact: str, reply: str = "", wait: timedelta | None = None) -> None:
        super().__init__(fact, reply)
        self.wait = wait


class Unreachable(NotDelivered):
    """The server, or our account on it, does not work: the message had no say in it and must not be failed for it."""


class InDoubt(NotDelivered):
    """The whole message was handed over and no answer came: it may have arrived, so it must not be repeated unasked."""
