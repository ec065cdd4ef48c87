import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.rules.brake import base_that_matters, brake_holds


@pytest.mark.parametrize(
    ("cut_off", "active", "holds"),
    [
        (25, 0, False),  # no more than 25
        (26, 0, True),
        (26, 1299, True),  # 26 are more than 2 % of 1299
        (26, 1300, False),  # and not more than 2 % of 1300
        (1000, 40_000, True),
    ],
)
def test_the_brake_holds_more_than_the_share_and_more_than_the_count(cut_off: int, active: int, holds: bool) -> None:
    assert brake_holds(cut_off, active, share=0.02, count=25) is holds


@given(st.integers(0, 10**6), st.integers(0, 10**7), st.floats(0.0001, 1), st.integers(0, 50))
def test_brake_needs_no_more_of_the_base_than_is_counted_for_it(
    cut_off: int, active: int, share: float, count: int
) -> None:
    enough = base_that_matters(cut_off, share)
    assert enough is not None
    counted = min(active, enough)
    assert brake_holds(cut_off, counted, share, count) == brake_holds(cut_off, active, share, count)


def test_where_no_share_may_be_cut_off_the_whole_base_is_counted() -> None:
    assert base_that_matters(26, 0) is None
