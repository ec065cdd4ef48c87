"""What an operator sees in the browser: every deployment's form, filled in, and what it says of what is wrong."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from playwright.sync_api import Locator, Page, expect
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import PrefectHTTPStatusError

from deployments import deploy, launcher
from lifecycle.persistence import database
from tests import cast
from tests.forms import FORMS, submitted
from tests.operations import start

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def _offered(running: launcher.Running, server_database: str) -> None:
    engine = database.connect(server_database)
    with engine.begin() as db:
        cast.action_type(db, "WALK")
        cast.operator(db, "WALK")
    engine.dispose()
    deploy.offer_choices(running.api)


@pytest.fixture
def form(_offered: None, running: launcher.Running, client: SyncPrefectClient, page: Page) -> Iterator["Form"]:
    """The forms, in one page. Nobody runs meanwhile what they start."""
    client.update_work_pool(deploy.POOL, WorkPoolUpdate(is_paused=True))
    page.goto(f"{running.ui}/deployments")
    expect(page.get_by_placeholder("Search deployments")).to_be_visible()
    # Its messages lie over what is to be pressed next.
    hidden = "const style = document.createElement('style'); style.textContent = text; document.head.append(style)"
    page.evaluate(f"text => {{{hidden}}}", "[data-sonner-toaster] {display: none}")
    yield Form(page, client)
    client.update_work_pool(deploy.POOL, WorkPoolUpdate(is_paused=False))


class Form:
    def __init__(self, page: Page, client: SyncPrefectClient) -> None:
        self.page = page
        self.client = client

    def open(self, name: str) -> DeploymentResponse:
        deployment = self.client.read_deployment_by_name(f"{name}/{name}")
        # As a link does it: the pages, which take their time to load, stay.
        to = f"{urlsplit(self.page.url).path.partition('/deployments')[0]}/deployments/deployment/{deployment.id}/run"
        self.page.evaluate("to => history.pushState({}, '', to)", to)
        expect(self.page.get_by_role("link", name=name).first).to_be_visible()
        expect(self.page.get_by_text("Enforce Parameter Schema")).to_be_visible()
        return deployment

    def says(self, *lines: str) -> None:
        for line in lines:
            expect(self.page.get_by_role("main")).to_contain_text(line, use_inner_text=True)

    def field(self, parameter: str) -> Locator:
        return self.page.get_by_label(re.compile(rf"^{parameter}( \(Optional\))?$"))

    def fill(self, parameter: str, value: Any, about: dict[str, Any]) -> None:
        if parameter == "segment":
            self._choose_several(value)
        elif "enum" in about or "$ref" in about:
            label = self.page.locator("label", has_text=re.compile(rf"^{parameter}( \(Optional\))?$"))
            label.locator("xpath=following::button[not(contains(., 'Open menu'))][1]").click()  # it does not name it
            self.page.get_by_role("option", name=value, exact=True).click()
        elif about.get("format") == "date":
            self.field(parameter).click()
            self.page.get_by_placeholder("yyyy-MM-dd").fill(value)
            self.page.keyboard.press("Escape")
        elif about["type"] == "boolean":
            switch = self.field(parameter)
            if switch.is_checked() != value:
                switch.click()
            expect(switch).to_be_checked(checked=value)  # which takes it a moment
        else:
            self.field(parameter).fill(str(value))

    def _choose_several(self, segment: dict[str, list[str]]) -> None:
        choices = self.page.locator("button", has_text="Select")
        expect(choices).to_have_count(3)
        for nth, name in enumerate(("policy", "status", "language")):
            choices.nth(nth).click()
            for value in segment[name]:
                self.page.get_by_role("option", name=value, exact=True).click()
            choices.nth(nth).click(force=True)

    def submit(self) -> dict[str, Any]:
        """What the server was given, and has accepted."""
        created = self.client.read_flow_run(UUID(submitted(self.page)["id"]))
        self.client.delete_flow_run(created.id)
        expect(self.page.get_by_role("tab", name="Upcoming")).to_be_visible()
        return created.parameters

    def refused(self, because: str) -> None:
        self.page.get_by_role("button", name="Submit").click()
        expect(self.page.get_by_text(because).first).to_be_visible()


def explanations(schema: dict[str, Any]) -> list[str]:
    """What is to be read above and beside the fields, each in one line."""
    nested = [each.get("properties", {}) for each in schema.get("definitions", {}).values()]
    lines = [
        f"{parameter}{'' if parameter in schema.get('required', []) else ' (Optional)'} {about['description']}"
        for parameter, about in schema["properties"].items()
    ] + [about["description"] for properties in nested for about in properties.values()]
    return [" ".join(line.split()) for line in lines]


def test_every_form_explains_its_parameters_and_starts_what_was_filled_in_and_asks_no_outside_host(form: Form) -> None:
    asked: set[str | None] = set()
    form.page.on("request", lambda request: asked.add(urlsplit(request.url).hostname))
    form.page.on("websocket", lambda socket: asked.add(urlsplit(socket.url).hostname))
    submitted, expected = {}, {}
    for name, typed in FORMS.items():
        schema = form.open(name).parameter_openapi_schema or {}
        properties = schema["properties"]
        form.says(*explanations(schema))
        for parameter, value in typed.items():
            form.fill(parameter, value, properties[parameter])
        submitted[name] = form.submit()
        offered = {parameter: about["default"] for parameter, about in properties.items() if "default" in about}
        expected[name] = offered | typed
    assert submitted == expected
    assert asked - {None} == {"127.0.0.1"}


def test_a_form_says_beside_the_parameter_what_is_wrong(form: Form) -> None:
    form.open("record-renewal")
    form.refused("'expires_on' is a required property")
    form.open("monthly-reseller-report")
    form.field("month").fill("2026-13")
    form.refused("'2026-13' does not match")
    form.open("deliver-outbox")
    form.field("connections").fill("17")
    told = form.field("connections").evaluate("field => field.validationMessage")  # the browser shows it at the field
    assert told == "Value must be less than or equal to 16."
    # What a calendar and a choice do not let through, the server does not either.
    hold = {"customer": "C1", "reason": "audit", "until": "2026-02-30", "operator": "OP1"}
    with pytest.raises(PrefectHTTPStatusError, match="2026-02-30"):
        start(form.client, "place-hold", **hold)
    with pytest.raises(PrefectHTTPStatusError, match="'bulk' is not one of"):
        start(form.client, "contact-customer", customer="C1", channel="bulk", operator="OP1")
