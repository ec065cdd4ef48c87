"""The forms of deployments: what an operator types in each, one line for each, and what comes of pressing Submit."""

import re
from http import HTTPStatus
from typing import Any

from playwright.sync_api import Page

ALL_SEGMENT: dict[str, list[str]] = {
    "reseller": [], "product": [], "policy": [], "status": [], "language": [], "country": [],
}  # fmt: skip

FORMS: dict[str, dict[str, Any]] = {
    "monthly-reseller-report": {"month": "2026-10", "skip_empty": True},
    "daily-expiry-sweep": {"business_date": "2026-10-01", "dry_run": True},
    "billing-card-run": {"customers": "C1,C2"},
    "consent-renewal": {},
    "record-renewal": {"subscription": "S1", "expires_on": "2027-01-31"},
    "deliver-outbox": {"connections": 2},
    "process-unsubscribes": {},
    "associate-customer": {"reseller": "R1", "customer": "C1", "action": "dissociate", "on": "2026-10-01"},
    "contact-customer": {"customer": "C1", "channel": "contact", "operator": "OP1"},
    "import-records": {"path": "/srv/import"},
    "open-cards-report": {"on": "2026-10-01"},
    "consent-report": {},
    "payment-import": {"path": "/srv/bank/october.xml"},
    "record-consent": {"customer": "C1", "consent_type": "news", "operator": "OP1", "granted_on": "2026-10-01"},
    "record-objection": {"customer": "C1", "channel": "bulk", "objected_on": "2026-10-01", "operator": "OP1"},
    "set-contact-switch": {"channel": "single", "asks": False, "operator": "OP1"},
    "mailing-run": {
        "mailing": "spring",
        "segment": ALL_SEGMENT | {"policy": ["membership"], "status": ["suspended"], "language": ["el"]},
    },
    "place-hold": {"customer": "C1", "reason": "audit", "until": "2027-01-31", "operator": "OP1"},
    "appointments-report": {"from_date": "2026-01-01", "to_date": "2026-06-30"},
    "gdpr-erasure-batch": {"preset": "2 years"},
    "erasure-upkeep": {"dry_run": True},
    "withdrawal-report": {"from_date": "2026-01-01", "to_date": "2026-06-30"},
    "membership-withdrawal": {
        "customer": "C1",
        "memberships": "M1, M2",
        "action_type": "WALK",
        "withdrawal_date": "2026-10-31",
        "operator": "WALK",
    },
    "charge-run": {"dry_run": True},
    "settle-instalment": {"subscription": "M1", "due_on": "2026-10-01", "outcome": "returned", "operator": "OP1"},
    "backfill": {"flow": "monthly-reseller-report", "from_month": "2026-01", "to_month": "2026-03", "which": "failed"},
    "make-up": {"dry_run": True},
    "health": {},
    "housekeeping": {"dry_run": True},
}
"""By deployment, what is typed and chosen in its form; all else is left as the form offers it."""


def choose(page: Page, parameter: str, value: str) -> None:
    """From the list that the form has for a parameter."""
    page.get_by_label(parameter).click()
    page.get_by_role("option", name=value, exact=True).click()


def submitted(page: Page) -> dict[str, Any]:
    """Press Submit. Returns the run that the server has made of what the form holds."""
    status = 0
    while not status or status == HTTPStatus.SERVICE_UNAVAILABLE:  # SQLite is busy: a person presses again
        with page.expect_response(re.compile("create_flow_run$")) as answer:
            page.get_by_role("button", name="Submit").click()
        status = answer.value.status
    assert answer.value.ok, answer.value.text()
    run: dict[str, Any] = answer.value.json()
    return run
