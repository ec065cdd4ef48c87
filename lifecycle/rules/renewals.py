"""A renewal: the term that follows the last one."""

from datetime import date, timedelta


class NotLater(Exception):
    """The new expiry does not lie after the present one."""


def next_term(expires_on: date, new_expiry: date) -> tuple[date, date] | None:
    """The term that renews a subscription to `new_expiry`: from the day after its expiry, however late it is renewed.

    None: it is renewed to that day already. Raises NotLater.
    """
    if new_expiry == expires_on:
        return None
    if new_expiry < expires_on:
        raise NotLater(f"{new_expiry} is before the present expiry {expires_on}")
    return expires_on + timedelta(days=1), new_expiry
