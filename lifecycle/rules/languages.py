"""The languages in which we write to people."""

from typing import Literal, get_args

Locale = Literal["it", "el", "en"]
LOCALES: tuple[Locale, ...] = get_args(Locale)
