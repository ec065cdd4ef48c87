"""International domains, held against the reference implementation of IDNA 2008."""

import idna
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lifecycle.rules.addresses import ascii_form


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("Info@Example.com", "Info@Example.com"),  # ASCII is left as it is
        ("info@παράδειγμα.gr", "info@xn--hxajbheg2az3al.gr"),
        ("info@ΠΑΡΆΔΕΙΓΜΑ.gr", "info@xn--hxajbheg2az3al.gr"),
        ("info@www.λόγος.gr", "info@www.xn--oxapnm1c.gr"),  # the final sigma stays one
    ],
)
def test_a_domain_is_written_in_ascii(address: str, expected: str) -> None:
    assert ascii_form(address) == expected


@given(st.text("αάβγδεζηθικλμνξοόπρσςτυφχψωώΆΒΓΔàèìòùÀÉabcxyz09", min_size=1, max_size=30))
def test_it_is_the_form_that_the_reference_gives(label: str) -> None:
    assume(not label.isascii())
    assert ascii_form(f"a@{label}.gr") == f"a@{idna.encode(f'{label}.gr', uts46=True).decode()}"
