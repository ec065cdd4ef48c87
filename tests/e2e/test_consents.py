"""Consents as an operator reports on them and has customers asked, in the UI and without a name in it."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from prefect.client.orchestration import SyncPrefectClient

from deployments import launcher
from tests.operations import personal_values_in_prefect, run, start, state_reached, summaries, summary_artifacts

RECORDS = {
    "resellers": "code,name,email\nKR,Konsentina Reseller,\n",
    "customers": "code,kind,name,email,phone\n"
    + "".join(f"K{n:02},person,Konsentina Kappa {n:02},konsentina.{n:02}@example.com,\n" for n in range(60)),
    "consent_types": "code,title,valid_days,allows_bulk,allows_single,allows_contact\n"
    "k-news,News by mail,365,true,true,false\nk-calls,Calls,365,false,false,true\n",
    "consents": "customer,consent_type,granted_on,withdrawn_on,recorded_at\n"
    + "".join(
        f"K{n:02},{'k-calls' if n % 5 == 0 else 'k-news'},2025-{n % 12 + 1:02}-10,"
        f"{'2025-12-20' if n % 9 == 0 else ''},2025-12-21T10:00:00+01:00\n"
        for n in range(60)
    ),
    "objections": "customer,channel,objected_on\nK01,bulk,2025-12-30\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("consents")
    for name, lines in RECORDS.items():
        (made / f"{name}.csv").write_text(lines)
    return made


@pytest.mark.browser
def test_a_report_shows_figures_a_chart_and_codes_and_nobodys_name(
    running: launcher.Running,
    client: SyncPrefectClient,
    server_home: Path,
    folder: Path,
    page: Page,
    tmp_path: Path,
) -> None:
    assert state_reached(client, start(client, "import-records", path=str(folder))) == "Completed"
    made = start(client, "consent-report", on="2026-01-15")
    assert state_reached(client, made) == "Completed"
    [artifact] = summary_artifacts(client, made)
    assert "| k-news | 48 | 40 | 4 | 3 | 5 |" in str(artifact.data)
    assert (server_home / "documents" / "consents-2026-01-15.xlsx").exists()

    page.goto(f"{running.ui}/artifacts/artifact/{artifact.id}")
    expect(page.get_by_role("cell", name="k-news", exact=True).first).to_be_visible()
    chart = page.get_by_role("img", name="Consents that end, per month")
    expect(chart).to_be_visible()
    assert chart.evaluate("image => image.naturalWidth") > 0
    page.screenshot(path=tmp_path / "report.png", full_page=True)
    assert personal_values_in_prefect(server_home, folder, "consent-report 2026-01-15") == set()


def test_by_default_nobody_is_asked_to_renew(client: SyncPrefectClient) -> None:
    [summary] = summaries(client, run("consent-renewal", business_date="2026-01-15").id)
    assert "nobody is asked: LIFECYCLE_POLICY__CONSENT_RENEWAL_DAYS is 0" in summary
