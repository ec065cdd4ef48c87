"""The QR code that banking apps read to fill in a transfer (EPC069-12, version 002).

Computing a symbol takes milliseconds, for digits that differ from card to card while everything else stays. But a QR
code's error correction is linear, and the rest is a fixed arrangement: of texts of one length, under one mask, a digit
changed flips the same modules whatever the other characters are. So segno draws the symbol with zeros in place of the
digits, and once each digit at each place; the symbol of a card is the exclusive or of those.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

import segno

from lifecycle.rules.billing_card import Payee

MOST = Decimal("999999999.99")
"""The largest amount that such a code can say."""

_MASK = 3
"""Any of the eight can be read. Choosing the best one would break the linearity, and takes most of the time."""


def payload(payee: Payee, amount: Decimal, reference: str) -> tuple[str, str]:
    """What the code says, in two parts: how every transfer to this payee begins, and what differs.

    `amount` in euro, from 0.01 to `MOST`; `reference` is a creditor reference (ISO 11649).
    """
    beneficiary = payee.beneficiary[:70]
    return f"BCD\n002\n1\nSCT\n{payee.bic}\n{beneficiary}\n{payee.iban}\n", f"EUR{amount:.2f}\n\n{reference}"


@dataclass(frozen=True, slots=True)
class Symbol:
    """`modules` row by row from the upper left, the first is the highest bit of `size` times `size`; 1 is dark."""

    size: int
    modules: int

    def bits(self) -> bytes:
        """As an image: each module four pixels wide and high, each row from a new byte on."""
        rows = f"{self.modules:0{self.size**2}b}".translate(_HEXADECIMAL)
        blown_up = (rows[at : at + self.size] for at in range(0, len(rows), self.size))
        return b"".join(bytes.fromhex(row + "0" * (len(row) % 2)) * 4 for row in blown_up)


_HEXADECIMAL = str.maketrans("1", "f")


def symbol(beginning: str, end: str) -> Symbol:
    """The code that says `beginning` and `end`, error correction level M."""
    zeros = re.sub("[0-9]", "0", end)
    size, modules = _drawn(beginning + zeros)
    for at, digit in enumerate(end):
        if digit != zeros[at]:
            modules ^= _difference(beginning, zeros, at, digit)
    return Symbol(size, modules)


@lru_cache(maxsize=1 << 12)
def _difference(beginning: str, zeros: str, at: int, digit: str) -> int:
    changed = zeros[:at] + digit + zeros[at + 1 :]
    return _drawn(beginning + zeros)[1] ^ _drawn(beginning + changed)[1]


@lru_cache(maxsize=64)
def _drawn(text: str) -> tuple[int, int]:
    code = segno.make_qr(text, error="m", mode="byte", encoding="utf-8", mask=_MASK, boost_error=False)
    return len(code.matrix), int("".join("1" if module else "0" for row in code.matrix for module in row), 2)
