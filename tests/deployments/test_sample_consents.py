"""The sample's consents and mailings: every state of consent, and every language."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from deployments import sample, sample_consents
from lifecycle.rendering import mailing as rendering
from lifecycle.rendering.operator_template import Recipient
from lifecycle.rendering.templates import Issuer
from lifecycle.rules.languages import LOCALES
from lifecycle.rules.segment import Segment
from lifecycle.rules.subscriptions import Policy, Status
from lifecycle.rules.unsubscribing import Unsubscribing
from lifecycle.settings import settings
from tasks.delivery import deliver_bulk
from tasks.import_records import import_files
from tests.mailing import run

AUTUMN = date(2019, 10, 15)


@pytest.fixture(autouse=True)
def business(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in sample_consents.SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LIFECYCLE_POLICY__BULK_PER_MINUTE", "60000")
    settings.cache_clear()
    sample.write_business(home / "sample")
    sample_consents.write_consents(home / "sample")
    sample_consents.write_mailings(home / "mailings")
    import_files.fn(home / "sample", datetime.now(UTC), dry_run=False)


def test_there_is_everything_that_can_become_of_a_customer(home: Path) -> None:
    offered = Segment(policy=(Policy.LICENCE,), status=(Status.EXPIRED,))
    assert run(offered, name=sample_consents.RENEWAL, day=AUTUMN)[0].counts == {
        "queued": 150,
        "no consent": 94,
        "consent lapsed": 42,
        "consent withdrawn": 33,
        "objected": 44,
        "no address": 1,
    }
    assert deliver_bulk.fn(datetime.now(UTC), 60) == {
        "mailings: sent": 102,
        "mailings: not sent: consent lapsed": 48,  # since autumn 2019
    }
    assert run(name=sample_consents.NEWS, day=AUTUMN, dry_run=True)[0].counts == {
        "queued": 239,
        "no consent": 150,
        "consent lapsed": 75,
        "consent withdrawn": 60,
        "objected": 75,
        "no address": 1,
    }


@pytest.mark.parametrize("name", [sample_consents.NEWS, sample_consents.RENEWAL])
def test_mailings_are_in_every_language_for_those_with_a_reseller_and_without(home: Path, name: str) -> None:
    mailing = rendering.read(home / "mailings", name, "it")
    unsubscribing = Unsubscribing("stop@example.com", "u-1-0")
    for locale in LOCALES:
        for recipient in (Recipient("Anna", "Studio", "s@example.com", "+39 1"), Recipient("Anna")):
            content = rendering.content(
                mailing, locale, recipient, AUTUMN, Issuer("Us", "", ""), unsubscribing, agreed=True
            )
            assert content.subject
            for text in (content.text, content.html):
                assert "Anna" in text
                assert ("Studio" in text) == bool(recipient.reseller_name)
