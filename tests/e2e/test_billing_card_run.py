"""The billing-card run as an operator knows it: its mail with the document, its summary without names."""

import email
from email import policy
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient

from tests.operations import personal_values_in_prefect, run, summaries

CUSTOMER = "C0487"
"""Holds a domain up to 2019-10-31: of the other tests, which share the server, only a sweep of 2020 cares for it."""


def test_a_card_is_made_mailed_with_its_document_and_nobody_is_named_in_prefect(
    client: SyncPrefectClient, server_home: Path, business: Path
) -> None:
    assert run("import-records", path=str(business)).state_name == "Completed"
    billed = run("billing-card-run", business_date="2019-10-05", customers=CUSTOMER)
    assert (billed.name, billed.state_name) == ("billing-card-run 2019-10-05", "Completed")

    [summary] = summaries(client, billed.id)
    assert "| cards made | 1 |" in summary
    assert f"| PF-2019-000001 | {CUSTOMER} | EUR | 87.84 | cards made |" in summary
    assert personal_values_in_prefect(server_home, business, billed.name) == set()

    mails = [email.message_from_bytes(path.read_bytes(), policy=policy.default) for path in new_mails(server_home)]
    [mail] = [mail for mail in mails if mail["X-Lifecycle-Kind"] == "billing-card"]
    [document] = mail.iter_attachments()
    assert document.get_filename() == "PF-2019-000001.pdf"
    assert document.get_content().startswith(b"%PDF")


def new_mails(server_home: Path) -> list[Path]:
    return list((server_home / "mail" / "new").iterdir())
