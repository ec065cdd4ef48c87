"""A mailing as an operator knows it: the form, the command line, its summary without names, its delivery."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from prefect.client.orchestration import SyncPrefectClient

from deployments import launcher
from tests.mailing import DAY, business, write

HOLDERS = ("--mailing", "spring", "--segment", "policy=licence,service country=IT,GR")


def lifecycle(*command: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from deployments.cli import main; main()"]
    return subprocess.run([*program, *command], env=os.environ.copy(), capture_output=True, text=True, check=False)


def counts(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])["counts"]
    return found


def test_it_is_queued_from_the_command_line_and_delivered_and_nobody_is_named_in_prefect(
    home: Path, prefect_api: str, server_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    business(home, monkeypatch)
    write(home)
    refused = lifecycle("run", "mailing-run", "--mailing", "autumn", "--segment", "reseller=R1,R7")
    assert refused.returncode == 2
    assert "mailing: 'autumn' is not in" in refused.stderr
    assert "segment: reseller 'R7' is not known; expected a reseller on record" in refused.stderr
    early = lifecycle("run", "mailing-run", *HOLDERS, "--business_date", str(DAY))
    assert early.returncode == 2
    assert early.stderr.endswith(f"business_date: {DAY} is yet to come; expected today or tomorrow, or a dry run\n")

    queued = counts(lifecycle("run", "mailing-run", *HOLDERS, "--json"))
    assert queued == {"in the segment": 3, "queued": 1, "skipped: no consent": 2}
    assert counts(lifecycle("run", "deliver-outbox", "--json")) == {"mailings: sent": 1}
    assert len(list((home / "mail" / "new").iterdir())) == 1

    stored = b"".join(file.read_bytes() for file in (server_home / "prefect").glob("prefect.db*"))
    assert b"mailing-run spring" in stored
    assert b"NOBODY" in stored  # a code, in the summary
    for named in ("Mario", "Rossi", "eleni@example.com", "Ελένη"):
        assert named.encode() not in stored


@pytest.mark.browser
def test_the_run_form_offers_choices_and_explains_them(
    running: launcher.Running, client: SyncPrefectClient, page: Page
) -> None:
    deployment = client.read_deployment_by_name("mailing-run/mailing-run")
    page.goto(f"{running.ui}/deployments/deployment/{deployment.id}/run")
    expect(page.get_by_text("Codes of resellers: those who look after them on the business date.")).to_be_visible()
    choices = page.locator("button", has_text="Select")
    expect(choices).to_have_count(3)
    for nth, offered in enumerate(("membership", "suspended", "el")):
        choices.nth(nth).click()
        page.get_by_role("option", name=offered, exact=True).click()
        choices.nth(nth).click(force=True)
    for chosen in ("membership", "suspended", "el"):
        expect(page.get_by_text(chosen, exact=True).first).to_be_visible()
