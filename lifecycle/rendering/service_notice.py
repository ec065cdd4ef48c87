"""The notices about an unpaid service as mails, in the customer's language."""

from dataclasses import replace

from lifecycle.rendering.locales import long_day, money
from lifecycle.rendering.templates import Content, Issuer, render
from lifecycle.rules.billing_card import print_form, reference_of
from lifecycle.rules.service_notice import Notice, NoticeKind

_MAILS = {
    NoticeKind.SUSPENDED: "service_suspended",
    NoticeKind.DELETION_WARNING: "deletion_warning",
    NoticeKind.DELETED: "service_deleted",
}


def content(notice: Notice, issuer: Issuer) -> Content:
    """The mail. It names the day of each step and never a number of days, which a late notice would get wrong.

    Raises ValueError for a notice that asks for money and does not say to whom.
    """
    facts: dict[str, object] = {"card": notice.card}
    if notice.kind is not NoticeKind.DELETED:
        facts |= _payment(notice)
    return render(
        _MAILS[notice.kind],
        notice.locale,
        customer_name=notice.customer_name,
        product=notice.product,
        service=notice.service,
        reference=notice.reference,
        expires_on=long_day(notice.expires_on, notice.locale),
        day=long_day(notice.day, notice.locale),
        contact=notice.contact,
        issuer=issuer,
        **facts,
    )


def _payment(notice: Notice) -> dict[str, object]:
    if notice.payee is None:
        raise ValueError(f"a {notice.kind} asks for money and names no payee")
    return {
        "to_pay": money(notice.to_pay, notice.currency, notice.locale),
        "payee": replace(notice.payee, iban=print_form(notice.payee.iban)),
        "remittance": print_form(reference_of(notice.card)),
    }
