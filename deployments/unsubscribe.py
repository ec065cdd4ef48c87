"""``lifecycle unsubscribe``: what a click on a mailing's link to unsubscribe records."""

from collections.abc import Sequence
from datetime import UTC, datetime

from lifecycle.persistence.database import transaction
from lifecycle.persistence.unsubscribing import Request
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.unsubscribing import message_of
from lifecycle.settings import settings
from tasks.issuer import unsubscribe_secret
from tasks.unsubscribing import unsubscribe

_EXPECTED = "one that a mailing's link to unsubscribe has"


def one_click(tokens: Sequence[str]) -> None:
    """Record that the customers who were sent these tokens want no more mailings, from today on.

    Raises BadInput, which names tokens by their place alone, where one is not of a mailing of ours.
    """
    if not tokens:
        raise BadInput([Finding("TOKEN", "is missing", _EXPECTED)])
    now, secret = datetime.now(UTC), unsubscribe_secret()
    messages = [message_of(token, secret) for token in tokens]
    # 0 is no message's id: what is not signed by us is found to be no message together with all others.
    requests = [Request(message or 0, f"one-click at {now.isoformat()}, message {message}") for message in messages]
    with transaction() as db:
        recorded = unsubscribe(db, requests, now.astimezone(settings().zone).date(), now, None)
        wrong = [number for number, done in enumerate(recorded, start=1) if done is None]
        if wrong:
            raise BadInput([Finding(f"TOKEN {number}", "is none of ours", _EXPECTED) for number in wrong])
    print(f"{sum(done is not None and done.anything for done in recorded)} unsubscribed")
