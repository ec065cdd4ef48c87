"""The billing-card run as an operator knows it: its form, its mail with the document, its summary without names."""

import email
from email import policy
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from prefect.client.orchestration import SyncPrefectClient

from deployments import launcher
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


@pytest.mark.browser
def test_the_run_form_explains_its_three_parameters(
    running: launcher.Running, client: SyncPrefectClient, page: Page
) -> None:
    deployment = client.read_deployment_by_name("billing-card-run/billing-card-run")
    page.goto(f"{running.ui}/deployments/deployment/{deployment.id}/run")
    explained = {
        "business_date": "The day to act for. None: the day for which the run was scheduled.",
        "customers": 'Codes separated by commas, or "all".',
        "dry_run": "Do everything, list it, and take it back.",
    }
    for parameter, meaning in explained.items():
        expect(page.get_by_text(f"{parameter} (Optional)", exact=True)).to_be_visible()
        expect(page.get_by_text(meaning, exact=True)).to_be_visible()
