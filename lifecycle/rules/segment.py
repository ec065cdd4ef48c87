"""Segments: a part of the customers, as a person chooses it."""

import re
from dataclasses import dataclass, fields

from lifecycle.rules.languages import Locale
from lifecycle.rules.subscriptions import Policy, Status

_PART = re.compile(r"(?:^|\s)\s*([a-z]+)=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of the customers: those of whom all that is given is true; of each, one of the values listed."""

    # For the UI's form, which is made of this.
    __pydantic_config__ = {"use_attribute_docstrings": True, "extra": "forbid", "str_strip_whitespace": True}  # noqa: RUF012

    reseller: tuple[str, ...] = ()
    """Codes of resellers: those who look after them on the business date."""
    product: tuple[str, ...] = ()
    """Codes of products: they hold a subscription of one of them."""
    policy: tuple[Policy, ...] = ()
    """They hold a subscription of a product with one of these policies."""
    status: tuple[Status, ...] = ()
    """They hold a subscription with one of these statuses; the same one, where a product or policy is given too."""
    language: tuple[Locale, ...] = ()
    """They read one of these languages."""
    country: tuple[str, ...] = ()
    """They are in one of these countries, written as in their records."""

    @property
    def given(self) -> dict[str, tuple[str, ...]]:
        """What is given, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: listed for name, listed in values.items() if listed}

    def __str__(self) -> str:
        """As it is typed."""
        return " ".join(f"{name}={','.join(values)}" for name, values in self.given.items())


def parts_of(line: str) -> dict[str, list[str]]:
    """A segment as it is typed: ``policy=licence status=expired,disabled``. Raises ValueError."""
    names = [field.name for field in fields(Segment)]
    head, *pairs = _PART.split(line)
    found: dict[str, list[str]] = {}
    for name, listed in zip(pairs[::2], pairs[1::2], strict=True):
        if name not in names or name in found:
            raise ValueError(
                f"{name!r} is {'there twice' if name in found else 'unknown'}; expected {', '.join(names)}"
            )
        found[name] = [value.strip() for value in listed.split(",")]
    if head.strip():
        raise ValueError("expected name=value,value parted by blanks")
    return found
