from hypothesis import given
from hypothesis import strategies as st

from lifecycle.rules.licence_expiry import base_that_matters, brake_holds


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
