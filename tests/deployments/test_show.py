"""What `lifecycle show` and `lifecycle outbox` say of a customer who is erased."""

import json
from collections.abc import Iterator
from datetime import date
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader

from deployments import show
from lifecycle.persistence.card_documents import DocumentLost
from lifecycle.persistence.database import transaction
from lifecycle.rules.findings import BadInput
from lifecycle.rules.outbox import State
from lifecycle.settings import settings
from tests.billing import DAY, IBAN, change, hold, rows, run
from tests.erasing import erase

CARD = "PF-2026-000001"


@pytest.fixture(autouse=True)
def erased(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """C1 had a card and a mail about it, which could not be delivered; then it was erased. C2 was not."""
    monkeypatch.setenv("LIFECYCLE_ISSUER__IBAN", IBAN)
    settings.cache_clear()
    hold("C1", {"S1": date(2026, 3, 20)})
    change("UPDATE customers SET locale = 'el', street = 'Λεωφ. Κηφισίας 12', tax_id = 'EL123456783'")
    run()
    show.card(CARD, home / "before.pdf")
    hold("C2", {"S2": date(2026, 3, 20)})
    run()
    change("UPDATE messages SET state = 'failed'")
    with transaction() as db:
        erase(db, "C1")
    yield
    settings.cache_clear()


def drawn(path: Path) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(BytesIO(path.read_bytes())).pages)


def test_the_customer_is_unknown_in_the_installations_language(capsys: pytest.CaptureFixture[str]) -> None:
    show.customer("C1", DAY, as_json=False)
    assert capsys.readouterr().out.startswith("C1  Cliente sconosciuto  erased on 2026-11-22  reseller: none\n")
    show.customer("C1", DAY, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["erased_on"]) == ("Cliente sconosciuto", "2026-11-22")
    show.customer("C2", DAY, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["erased_on"]) == ("Customer C2", None)
    show.card(CARD, None)
    assert "C1  Cliente sconosciuto\n" in capsys.readouterr().out


def test_its_card_is_drawn_anew_in_its_language_of_the_facts_that_stay(home: Path) -> None:
    show.card(CARD, home / "after.pdf")
    before, after = drawn(home / "before.pdf"), drawn(home / "after.pdf")
    assert {"Customer C1", "Λεωφ. Κηφισίας 12", "ΑΦΜ EL123456783"} <= set(before.splitlines())
    gone = [line for line in before.splitlines() if line not in after.splitlines()]
    assert [*gone, "Άγνωστος πελάτης"] == ["Customer C1", "Λεωφ. Κηφισίας 12", "ΑΦΜ EL123456783", "Άγνωστος πελάτης"]
    assert [line for line in after.splitlines() if line not in before.splitlines()] == ["Άγνωστος πελάτης"]
    assert rows("SELECT count(document) FROM card_revisions WHERE card_id = 1") == [(0,)]


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE card_revisions SET document = NULL, digest = NULL WHERE card_id = 2",
        "UPDATE card_revisions SET digest = 'x' WHERE card_id = 1",
        "DELETE FROM card_revisions",
    ],
    ids=["its customer is not erased", "its digest is there", "it never was"],
)
def test_a_document_that_is_missing_for_another_reason_is_lost(home: Path, harm: str) -> None:
    change(harm)
    with pytest.raises(DocumentLost, match="not there as it was stored"):
        show.card("PF-2026-000002" if "card_id = 2" in harm else CARD, home / "card.pdf")


def test_its_mails_are_listed_and_never_queued_again(capsys: pytest.CaptureFixture[str]) -> None:
    keys = [f"billing-card/{CARD}/1", "billing-card/PF-2026-000002/1"]
    show.messages([State.CANCELLED, State.FAILED], 10)
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()] == keys
    with pytest.raises(BadInput) as refused:
        show.resolve(keys, "again")
    [finding] = refused.value.findings
    assert (finding.where, finding.problem) == (keys[0], "is to a customer who is erased")
    states = "SELECT key, state FROM messages ORDER BY key"
    assert rows(states) == list(zip(keys, ["cancelled", "failed"], strict=True))
    show.resolve(keys[1:], "again")
    assert rows(states) == list(zip(keys, ["cancelled", "queued"], strict=True))
