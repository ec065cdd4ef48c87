"""The mail that asks a customer whether a consent that is about to lapse shall go on."""

from datetime import date

from lifecycle.rendering.locales import long_day
from lifecycle.rendering.templates import Content, Issuer, render
from lifecycle.rules.languages import Locale


def content(customer_name: str, consent: str, last_day: date, locale: Locale, issuer: Issuer) -> Content:
    """The mail. `consent` is the title of the consent's type, `last_day` the last one on which it is valid."""
    return render(
        "consent_renewal",
        locale,
        customer_name=customer_name,
        consent=consent,
        last_day=long_day(last_day, locale),
        issuer=issuer,
    )
