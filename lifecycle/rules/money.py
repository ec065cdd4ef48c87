"""Money: decimal amounts with two decimals, and the one place that rounds them.

An amount and its currency travel together; every currency here has cents. Rounding is half up, as invoices do it.
"""

from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")
NOTHING = Decimal("0.00")
MOST = Decimal("999999999999.99")
"""The largest amount that is recorded: 14 digits."""


def cents(amount: Decimal) -> Decimal:
    """`amount` to the cent, half up: 0.125 becomes 0.13, -0.125 becomes -0.13."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def tax_on(net: Decimal, rate: Decimal) -> Decimal:
    """The VAT on a sum, `rate` in percent. It is taken of the sum of all lines of a rate, never line by line."""
    return cents(net * rate / 100)
