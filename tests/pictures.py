"""The pictures of the README, of a demo that runs: `make demo`, then `python -m tests.pictures` (or with its port).

It leaves a sweep behind that was held by the brake and refused.
"""

import sys
from io import BytesIO
from pathlib import Path
from uuid import UUID

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.launcher import PORT
from tests.operations import start, state_reached, summary_artifacts

FOLDER = Path(__file__).parent.parent / "docs" / "images"
SWEEP, REPORT = "daily-expiry-sweep", "monthly-reseller-report"
HELD_DAY = "2020-02-15"


def picture(page: Page, name: str) -> None:
    """As a palette, which is a third of the size."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1500)  # what fades in
    shot = Image.open(BytesIO(page.screenshot()))
    shot.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(FOLDER / f"{name}.png", optimize=True)


def held(client: SyncPrefectClient) -> UUID:
    run_id = start(client, SWEEP, business_date=HELD_DAY)
    assert state_reached(client, run_id, suspended=True) == "Suspended"
    return run_id


def draw(page: Page, client: SyncPrefectClient, ui: str) -> None:
    page.goto(f"{ui}/deployments")
    expect(page.get_by_role("link", name="billing-card-run").first).to_be_visible()
    picture(page, "deployments")

    deployment = client.read_deployment_by_name(f"{REPORT}/{REPORT}")
    page.goto(f"{ui}/deployments/deployment/{deployment.id}/run")
    page.get_by_label("month").fill("2019-10")
    picture(page, "form")

    waiting = held(client)
    page.goto(f"{ui}/runs")
    expect(page.get_by_text(f"{SWEEP} {HELD_DAY}").first).to_be_visible()
    page.get_by_text("Items per page").evaluate("element => element.scrollIntoView()")
    picture(page, "runs")

    [summary] = summary_artifacts(client, waiting)
    page.goto(f"{ui}/artifacts/artifact/{summary.id}")
    chart = page.get_by_role("img", name="Expiries per month")
    expect(chart).to_be_visible()
    chart.scroll_into_view_if_needed()
    picture(page, "summary")

    page.goto(f"{ui}/runs/flow-run/{waiting}")
    page.get_by_role("button").filter(has=page.locator("svg.lucide-ellipsis-vertical")).first.click()
    page.get_by_role("menuitem", name="Resume").click()
    expect(page.get_by_role("dialog").get_by_label("Decision")).to_be_visible()
    picture(page, "resume")
    client.resume_flow_run(waiting, run_input={"decision": "refuse"})


if __name__ == "__main__":
    site = f"http://127.0.0.1:{sys.argv[1] if len(sys.argv) > 1 else PORT}"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        temporary_settings({PREFECT_API_URL: f"{site}/api"}),
        get_client(sync_client=True) as client,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        draw(page, client, f"{site}/v2")
        browser.close()
