"""The notices about a lapsed licence as mails, in the customer's language."""

from lifecycle.rendering.locales import long_day
from lifecycle.rendering.templates import Content, Issuer, render
from lifecycle.rules.licence_notice import Notice, NoticeKind

_MAILS = {NoticeKind.EXPIRED_3_MONTHS: "expired_3_months", NoticeKind.ACCESS_DISABLED: "access_disabled"}


def content(notice: Notice, issuer: Issuer) -> Content:
    """The mail. It names the day access ends and never a number of months, which a late notice would get wrong."""
    return render(
        _MAILS[notice.kind],
        notice.locale,
        customer_name=notice.customer_name,
        product=notice.product,
        licence=notice.licence,
        reference=notice.reference,
        expires_on=long_day(notice.expires_on, notice.locale),
        access_ends_on=long_day(notice.access_ends_on, notice.locale),
        contact=notice.contact,
        direct=notice.direct,
        issuer=issuer,
    )
