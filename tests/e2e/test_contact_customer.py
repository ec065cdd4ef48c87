"""Contacting one customer as an operator does it: in the form, with a motive from the list, or on the command line."""

import email
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments import launcher
from tests.forms import choose, submitted
from tests.operations import log_of, run, start, state_reached, summaries

CUSTOMER = "SINGLE-1"
SUBJECT = "Zebra crossing"
BODY = "Dear {{ customer_name }},\n\nthe xylophone is yours."


@pytest.fixture(scope="module", autouse=True)
def _imported(running: launcher.Running, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A customer that said nothing, a motive besides the contract, and an operator."""
    folder = tmp_path_factory.mktemp("single")
    (folder / "customers.csv").write_text(f"code,kind,name,email\n{CUSTOMER},person,Quetzal,quetzal@example.com\n")
    (folder / "operators.csv").write_text("code,name,email\nanna,Anna,anna@example.com\n")
    (folder / "motives.csv").write_text("code,title\nquestion,Answer to a question\n")
    with temporary_settings({PREFECT_API_URL: running.api}):
        assert run("import-records", path=str(folder)).state_name == "Completed"


def mails(server_home: Path) -> list[EmailMessage]:
    """What the customer got."""
    files = (path.read_bytes() for path in (server_home / "mail" / "new").iterdir())
    found = (email.message_from_bytes(file, policy=policy.default) for file in files if b"quetzal@" in file)
    return [mail for mail in found if isinstance(mail, EmailMessage)]


def forgotten(server_home: Path, run_id: UUID) -> bool:
    """Whether the customer and the texts are in no row, result or log of Prefect's, which knows the run."""
    with closing(sqlite3.connect(server_home / "prefect" / "prefect.db")) as db:
        kept = "\n".join(db.iterdump())
    for file in [*(server_home / "prefect" / "storage").glob("*"), *(server_home / "logs").glob("*.log")]:
        kept += file.read_text(errors="replace")
    return run_id.hex in kept.replace("-", "") and not re.search("Zebra|xylophone|Quetzal|quetzal@", kept)


@pytest.mark.browser
def test_in_the_form_a_motive_is_chosen_from_the_list_and_the_mail_is_sent_and_its_text_forgotten(
    running: launcher.Running, client: SyncPrefectClient, page: Page, server_home: Path, tmp_path: Path
) -> None:
    deployment = client.read_deployment_by_name("contact-customer/contact-customer")
    page.goto(f"{running.ui}/deployments/deployment/{deployment.id}/run")
    explained = re.compile(r"Why it is done without a valid consent: .*question \(Answer to a question\)")
    expect(page.get_by_text(explained)).to_be_visible()
    expect(page.get_by_label("motive")).to_have_text("none")
    page.get_by_label("customer").fill(CUSTOMER)
    choose(page, "channel", "single")
    page.get_by_label("motive").click()
    none, *motives = page.get_by_role("option").all_inner_texts()
    assert none == "none"
    assert {"contract", "question"} <= set(motives)
    page.get_by_role("option", name="question").click()
    page.get_by_label("subject").fill(SUBJECT)
    page.get_by_label("body").fill(BODY)
    page.get_by_label("operator").fill("anna")
    page.screenshot(path=tmp_path / "form.png")
    run_id = UUID(submitted(page)["id"])

    assert state_reached(client, run_id) == "Completed"
    [mail] = mails(server_home)
    assert (mail["Subject"], mail["X-Lifecycle-Kind"]) == (SUBJECT, "single")
    text: Any = mail.get_body(("plain",))
    assert text.get_content().splitlines()[:3] == ["Dear Quetzal,", "", "the xylophone is yours."]
    [summary] = summaries(client, run_id)
    assert f"| {CUSTOMER} | single | motive: question |" in summary
    assert "| sent | 1 |" in summary
    log_of(client, run_id, until="contact-customer completed: ")
    assert client.read_flow_run(run_id).parameters == {
        "customer": CUSTOMER,
        "channel": "single",
        "motive": "question",
        "subject": "",
        "body": "",
        "operator": "anna",
        "dry_run": False,
    }
    assert forgotten(server_home, run_id)


def test_without_a_motive_nothing_is_sent_and_the_summary_says_what_to_choose(
    client: SyncPrefectClient, server_home: Path
) -> None:
    before = len(mails(server_home))
    wish = {"customer": CUSTOMER, "channel": "single", "subject": "Zebra", "body": "{{ xylophone }}"}
    refused = run("contact-customer", **wish, operator="anna")
    assert refused.state_name == "Failed"
    [summary] = summaries(client, refused.id)
    wrong = "no consent allows single mail, and no motive was chosen"
    assert f"| motive | {wrong} | one of: " in summary
    assert "contract (Performance of the contract, a duty)" in summary
    assert "| body, line 1 | is not text that can be sent | only the offered values: customer_name, " in summary
    assert len(mails(server_home)) == before
    assert forgotten(server_home, refused.id)


def test_a_motive_that_there_is_not_is_refused_by_the_server_and_on_the_command_line(
    client: SyncPrefectClient, server_home: Path
) -> None:
    with pytest.raises(PrefectHTTPStatusError, match="whim"):
        start(client, "contact-customer", customer=CUSTOMER, channel="contact", motive="whim", operator="anna")
    said = lifecycle(server_home, "run", "contact-customer", "--channel", "contact", "--motive", "whim")
    assert said.returncode == 2
    assert "motive: 'whim' is no motive's code; expected one of: contract (" in said.stderr


def test_what_does_not_fit_the_form_is_refused_and_forgotten_also_where_the_form_did_not_check_it(
    client: SyncPrefectClient, server_home: Path
) -> None:
    deployment = client.read_deployment_by_name("contact-customer/contact-customer")
    wish = {"customer": CUSTOMER, "channel": "bulk", "subject": "Zebra", "body": "xylophone", "operator": "anna"}
    asked = {"parameters": wish, "enforce_parameter_schema": False}
    created = client.request(
        "POST", "/deployments/{id}/create_flow_run", path_params={"id": deployment.id}, json=asked
    ).json()
    run_id = UUID(created["id"])
    assert state_reached(client, run_id) == "Failed"
    log_of(client, run_id, until="Input should be 'single' or 'contact'")
    assert forgotten(server_home, run_id)


def lifecycle(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    those = ("--customer", CUSTOMER, "--operator", "anna")
    return subprocess.run(
        [sys.executable, "-c", "from deployments.cli import main; main()", *arguments, *those],
        env=os.environ | {"LIFECYCLE_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
    )
