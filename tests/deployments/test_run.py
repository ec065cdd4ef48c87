"""What ``lifecycle run`` makes of the words typed after a flow's name."""

import pytest

from deployments.run import run
from lifecycle.rules.findings import BadInput


def refused(flow: str, *tokens: str) -> list[str]:
    with pytest.raises(BadInput) as error:
        run(flow, list(tokens), as_json=False)
    return [f.where for f in error.value.findings]


def test_from_and_to_stand_for_the_days_of_a_period_where_a_flow_has_one() -> None:
    days = ("--from", "2019-01-01", "--to=2019-12-31")
    assert refused("appointments-report", *days, "--by", "year") == ["--by"]
    assert refused("appointments-report", "--from", "2019-13-01") == ["--from_date", "--to_date"]
    assert refused("appointments-report", "--from-date", "2019-01-01") == ["--to_date"]
    assert refused("consent-report", *days) == ["--from", "--to"]
