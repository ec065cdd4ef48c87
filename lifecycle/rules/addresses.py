"""What counts as an e-mail address we can write to."""

import re

_LOCAL = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}"
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_ADDRESS = re.compile(rf"{_LOCAL}@{_LABEL}(?:\.{_LABEL})+")


def is_address(value: str) -> bool:
    """Tell whether `value` is one bare ``local@domain`` (RFC 5321 dot-string, domain may be international).

    Quoted local parts, address literals and local parts beyond ASCII are refused: few servers take them. So is anything
    with white space or control characters, which could otherwise reach a mail's header.
    """
    return len(value) <= 254 and _ADDRESS.fullmatch(value) is not None
