"""What counts as an e-mail address we can write to."""

import re
import unicodedata

_LOCAL = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}"
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_ADDRESS = re.compile(rf"{_LOCAL}@{_LABEL}(?:\.{_LABEL})+")


def is_address(value: str) -> bool:
    """Tell whether `value` is one bare ``local@domain`` (RFC 5321 dot-string, domain may be international).

    Quoted local parts, address literals and local parts beyond ASCII are refused: few servers take them. So is anything
    with white space or control characters, which could otherwise reach a mail's header.
    """
    return len(value) <= 254 and _ADDRESS.fullmatch(value) is not None


def ascii_form(address: str) -> str:
    """`address` with an international domain in the form that mail servers and mail headers take (IDNA 2008).

    Mapped as RFC 5895 says: letter by letter to lower case, then NFC. The standard library's ``idna`` codec implements
    the older IDNA 2003, which sends mail for a Greek name that ends in a final sigma to somebody else's domain.
    """
    local, _, domain = address.rpartition("@")
    if domain.isascii():
        return address
    labels = unicodedata.normalize("NFC", "".join(map(str.lower, domain))).split(".")
    return f"{local}@{'.'.join(label if label.isascii() else _punycode(label) for label in labels)}"


def _punycode(label: str) -> str:
    return f"xn--{label.encode('punycode').decode()}"
