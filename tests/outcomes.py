"""What sweeps, billing runs and deliveries leave behind, to be compared between two installations."""

from collections import Counter
from email import message_from_bytes
from pathlib import Path

from sqlalchemy import text

from lifecycle.persistence.database import transaction

_FACTS = {
    "transitions": """
        SELECT code, to_status, rule, transitions.business_date FROM transitions
        JOIN subscriptions ON subscriptions.id = subscription_id""",
    "messages": "SELECT kind, recipient, state, count(*) FROM messages GROUP BY kind, recipient, state",
    "cards": """
        SELECT customers.code, subscriptions.code, line.starts_on, line.quantity, line.unit_price, revision.total
        FROM card_lines AS line JOIN card_revisions AS revision USING (card_id, revision)
        JOIN cards ON cards.id = card_id JOIN customers ON customers.id = cards.customer_id
        JOIN subscriptions ON subscriptions.id = subscription_id""",
}


def facts() -> dict[str, list[tuple[str, ...]]]:
    """All facts, but for numbers that depend on who comes first."""
    with transaction() as db:
        return {what: sorted(tuple(map(str, row)) for row in db.execute(text(query))) for what, query in _FACTS.items()}


def mails(home: Path) -> Counter[tuple[str, str]]:
    """The mails in the folder, by kind and recipient; none of them is there twice."""
    found = [message_from_bytes(path.read_bytes()) for path in (home / "mail" / "new").iterdir()]
    assert len({mail["Message-ID"] for mail in found}) == len(found)
    return Counter((mail["X-Lifecycle-Kind"], mail["Delivered-To"]) for mail in found)
