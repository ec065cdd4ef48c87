"""The QR code of a transfer: put together from prepared parts, it must be what segno draws of the whole text."""

from decimal import Decimal
from io import StringIO

import segno
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.rendering.payment_code import payload, symbol
from lifecycle.rules.billing_card import Payee, number_of, reference_of


@settings(max_examples=40, deadline=None)
@given(
    st.decimals("0.01", "999999999.99", places=2),
    st.integers(1, 999_999),
    st.sampled_from(["Lifecycle S.r.l.", "Ανθοπωλείο Παπαδόπουλος & Υιοί 24", "é" * 70]),
)
def test_is_the_symbol_of_the_whole_text(amount: Decimal, serial: int, beneficiary: str) -> None:
    payee = Payee(beneficiary, "IT60X0542811101000000123456", "BPPIITRRXXX")
    beginning, end = payload(payee, amount, reference_of(number_of(2026, serial)))
    code = symbol(beginning, end)
    drawn = segno.make_qr(beginning + end, error="m", mode="byte", encoding="utf-8", mask=3, boost_error=False)
    rows = StringIO()
    drawn.save(rows, kind="txt", border=0)
    assert f"{code.modules:0{code.size**2}b}" == rows.getvalue().replace("\n", "")
