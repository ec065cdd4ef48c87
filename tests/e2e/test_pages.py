"""What an operator sees in the browser."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from deployments import launcher
from deployments.deploy import ROOT

pytestmark = pytest.mark.browser


def test_the_run_form_explains_its_parameters_refuses_a_wrong_month_and_asks_no_outside_host(
    running: launcher.Running, client: SyncPrefectClient, page: Page, tmp_path: Path
) -> None:
    asked: set[str | None] = set()
    page.on("request", lambda request: asked.add(urlsplit(request.url).hostname))
    page.on("websocket", lambda socket: asked.add(urlsplit(socket.url).hostname))
    name = "monthly-reseller-report"
    deployment = client.read_deployment_by_name(f"{name}/{name}")

    for path in ("dashboard", "runs", f"deployments/deployment/{deployment.id}"):
        page.goto(f"{running.ui}/{path}")
        page.wait_for_load_state("networkidle")
    page.get_by_role("link", name="Run", exact=True).or_(page.get_by_role("button", name="Run", exact=True)).click()
    page.get_by_role("menuitem", name="Custom run").click()

    flow: Flow[..., None] = load_flow_from_entrypoint(
        f"{ROOT}/flows/monthly_reseller_report.py:monthly_reseller_report"
    )
    for parameter, schema in parameter_schema(flow).properties.items():
        expect(page.get_by_text(f"{parameter} (Optional)", exact=True)).to_be_visible()
        expect(page.get_by_text(schema["description"], exact=True)).to_be_visible()

    page.get_by_label("month").fill("2026-13")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("does not match").first).to_be_visible()
    page.screenshot(path=tmp_path / "form.png")

    assert asked - {None} == {"127.0.0.1"}
