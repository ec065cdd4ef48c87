"""Periods that a report is asked for: what is wrong with one."""

from datetime import date

from lifecycle.rules.calendar import SINCE_EVER
from lifecycle.rules.findings import Finding
from lifecycle.rules.records import LAST_DAY


def unfit(from_date: date, to_date: date) -> list[Finding]:
    """What is wrong with the period between these days, both included, under the names of flows' parameters."""
    reach = f"a day from {SINCE_EVER} to {LAST_DAY}"
    findings = [
        Finding(what, f"{day} is out of reach", reach)
        for what, day in (("from_date", from_date), ("to_date", to_date))
        if not SINCE_EVER <= day <= LAST_DAY
    ]
    if to_date < from_date:
        findings.append(Finding("to_date", f"{to_date} is before {from_date}", "the last day, on or after from_date"))
    return findings
