"""A segment as it is typed."""

import pytest

from lifecycle.rules.segment import parts_of


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("", {}),
        ("policy=licence", {"policy": ["licence"]}),
        ("status=expired,disabled", {"status": ["expired", "disabled"]}),
        ("policy=licence  status=expired , disabled", {"policy": ["licence"], "status": ["expired", "disabled"]}),
        ("product=LIC OFFICE,B=C country=IT", {"product": ["LIC OFFICE", "B=C"], "country": ["IT"]}),
        ("reseller=", {"reseller": [""]}),  # nobody's code: found when it is looked up
    ],
)
def test_a_segment_is_typed_as_names_with_values(line: str, parts: dict[str, list[str]]) -> None:
    assert parts_of(line) == parts


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("expired", "expected name=value"),
        ("expired policy=licence", "expected name=value"),
        ("statuss=expired", "'statuss' is unknown"),
        ("status=expired status=active", "'status' is there twice"),
    ],
)
def test_what_cannot_be_read_is_named(line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parts_of(line)
