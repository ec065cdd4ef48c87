"""What the sample's customers have allowed, and mailings for them: for the demo and for tests, the same bytes always.

In September and October 2019 there are customers in every state of consent. Those who consented to offers in September
2019 are an example of their own: a mail that is queued for them then is stopped when it is sent later.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from deployments.sample import CUSTOMERS, Row, write

SETTINGS = {
    "LIFECYCLE_UNSUBSCRIBE_ADDRESS": "unsubscribe@hosting.example",
    "LIFECYCLE_UNSUBSCRIBE_SECRET": "of the sample alone",
}
"""How the sample's mailings are stopped."""

NEWS = "autumn-news"
"""A mailing for everybody."""

RENEWAL = "renewal-offer"
"""A mailing for those whose licence has expired: the segment "policy=licence status=expired"."""

ANSWER = {
    "customer": "C0003",
    "channel": "single",
    "motive": "complaint",
    "subject": "Your question of last week",
    "body": "Dear {{ customer_name }},\n\nthank you for telling us. The account is corrected as of today.",
    "operator": "anna",
}
"""A mail to one customer, whose consent to mails has lapsed."""

_TYPES = (
    ("news", "Newsletter", "News about our products, at most once a month", "", "true", "true", "false"),
    ("offers", "Offers", "Offers by mail and telephone, for one year", 365, "true", "true", "true"),
    ("interviews", "Interviews", "Questions about how our products are used", 180, "false", "true", "true"),
)
_MOTIVES = (
    ("request", "The customer asked us to", "false"),
    ("complaint", "Answer to a complaint", "false"),
    ("incident", "Security incident that concerns the customer", "true"),
)
_MAILINGS = Path(__file__).parent / "sample_mailings"


def write_consents(folder: Path) -> None:
    """Write consent types, consents, motives and objections into `folder`, beside the sample business."""
    customers = [f"C{number:04}" for number in range(1, CUSTOMERS + 1)]
    write(folder, "consent_types", _TYPES)
    write(folder, "motives", _MOTIVES)
    write(folder, "consents", (row for number, code in enumerate(customers, 1) for row in _consents(number, code)))
    write(folder, "objections", (row for number, code in enumerate(customers, 1) for row in _objections(number, code)))


def write_mailings(folder: Path) -> None:
    """Write the mailings NEWS and RENEWAL into `folder`: the installation's `mailings`."""
    shutil.copytree(_MAILINGS, folder, dirs_exist_ok=True)


def _consents(number: int, code: str) -> Iterator[Row]:
    """One in eight each: valid; valid twice; none; lapsed; withdrawn; valid, but for an objection; for other channels
    only; valid in autumn 2019 only. Some of those who withdrew consented again."""
    match number % 8:
        case 0 | 5:
            yield _form(code, "news", "2018-05-25")
        case 1:
            yield _form(code, "news", "2019-01-12")
            yield _form(code, "offers", "2019-06-01")
        case 3:
            yield _form(code, "offers", "2018-06-15")
        case 4:
            yield _form(code, "news", "2018-05-25")
            yield code, "news", "2018-05-25", "2019-07-15", "by mail", "2019-07-15T09:30:00"
            if number % 5 == 0:
                yield _form(code, "news", "2019-09-20")
        case 6:
            yield _form(code, "interviews", "2019-08-01")
        case 7:
            yield _form(code, "offers", "2019-09-10")


def _form(code: str, consent_type: str, day: str) -> Row:
    return code, consent_type, day, "", "web form, wording 2018-05", f"{day}T10:00:00"


def _objections(number: int, code: str) -> Iterator[Row]:
    if number % 8 == 5:
        yield code, "bulk", "2019-08-20"
    if number % 50 == 9:
        yield code, "contact", "2019-03-01"
