"""Mails that are written as they are sent, of the facts they were queued with and the names and contacts of then."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from uuid import UUID

from lifecycle.persistence import (
    card_documents,
    consent_renewal,
    erasure_certificate,
    licence_expiry,
    service_expiry,
    withdrawal_acknowledgement,
)
from lifecycle.persistence import mailing as mailings
from lifecycle.persistence import reseller_report as reports
from lifecycle.persistence.database import transaction
from lifecycle.persistence.outbox import Body, Claimed
from lifecycle.rendering import billing_card, card_mail, licence_notice, mailing, reseller_report, service_notice
from lifecycle.rendering import consent_renewal as renewal_question
from lifecycle.rendering import erasure_certificate as certificates
from lifecycle.rendering import withdrawal_acknowledgement as acknowledgement
from lifecycle.rendering.mailing import Mailing
from lifecycle.rendering.operator_template import Recipient
from lifecycle.rendering.templates import Content
from lifecycle.rules.billing_card import CardKind
from lifecycle.rules.consent_renewal import KIND as CONSENT_RENEWAL
from lifecycle.rules.erasure import CONFIRMATION as ERASURE_DONE
from lifecycle.rules.licence_notice import NoticeKind as LicenceNotice
from lifecycle.rules.mailing import KIND as MAILING
from lifecycle.rules.membership_withdrawal import ACKNOWLEDGEMENT
from lifecycle.rules.reseller_report import KIND as RESELLER_REPORT
from lifecycle.rules.reseller_report import is_copy
from lifecycle.rules.service_notice import NoticeKind as ServiceNotice
from lifecycle.settings import settings
from tasks.issuer import contact, issuer, payee, unsubscribing


def written(message: Claimed) -> Body:
    """What the message says. Raises Obsolete where there is nothing to say any more, and DocumentLost."""
    return _WRITERS[message.kind](message)


def _reseller_report(message: Claimed) -> Body:
    with transaction() as db:
        report = reports.mailed(db, message.id, settings().locale)
    content = reseller_report.content(report, issuer(), copy=is_copy(message.key))
    return _body(
        content, (reseller_report.attachment_name(report), reseller_report.XLSX, reseller_report.workbook(report))
    )


def _licence_notice(message: Claimed) -> Body:
    with transaction() as db:
        notice = licence_expiry.notice(db, message.id, settings().locale, contact())
    return _body(licence_notice.content(notice, issuer()))


def _service_notice(message: Claimed) -> Body:
    with transaction() as db:
        notice = service_expiry.notice(db, message.id, settings().locale, contact(), payee())
    return _body(service_notice.content(notice, issuer()))


def _card(message: Claimed) -> Body:
    with transaction() as db:
        mail = card_documents.mail(db, message.id, settings().locale)
    return _body(card_mail.card(mail.card, payee(), issuer()), _pdf(mail))


def _reminder(message: Claimed) -> Body:
    with transaction() as db:
        mail = card_documents.mail(db, message.id, settings().locale)
    content = card_mail.reminder(mail.card, mail.paid, mail.day, payee(), issuer())
    # The document asks for the amount of when it was made: not attached where a part of it was paid since.
    return _body(content, _pdf(mail) if mail.paid == mail.card.paid else None)


def _confirmation(message: Claimed) -> Body:
    with transaction() as db:
        confirmation = card_documents.confirmation(db, message.id, settings().locale)
    return _body(card_mail.confirmation(confirmation, issuer()))


def _mailing(message: Claimed) -> Body:
    with transaction() as db:
        to = mailings.recipient(db, message.id, settings().locale)
    whom = Recipient(to.name, to.reseller_name, to.reseller_email, to.reseller_phone)
    ways = unsubscribing(message.id)
    content = mailing.content(_texts(to.digest), to.locale, whom, to.day, issuer(), ways, agreed=to.agreed)
    return replace(_body(content), unsubscribing=ways)


@lru_cache(maxsize=8)
def _texts(digest: str) -> Mailing:
    with transaction() as db:
        return Mailing.from_json(mailings.texts(db, digest))


def _consent_renewal(message: Claimed) -> Body:
    with transaction() as db:
        asked = consent_renewal.question(db, message.id, settings().locale)
    content = renewal_question.content(asked.customer_name, asked.consent, asked.last_day, asked.locale, issuer())
    return replace(_body(content), unsubscribing=unsubscribing(message.id) if asked.bulk else None)


def _erasure_done(message: Claimed) -> Body:
    erasure = UUID(message.key.rpartition("/")[2])
    with transaction() as db:
        certificate = erasure_certificate.read(db, erasure, settings().zone)
        document = erasure_certificate.document(db, erasure)
    content = certificates.mail(certificate, message.recipient_name, issuer(), settings().locale)
    return _body(content, (certificates.file_name(certificate), "application/pdf", document))


def _acknowledgement(message: Claimed) -> Body:
    ours = settings()
    # It must not wait for an account: without one it says whom to ask how what is still owed is paid.
    to = payee() if ours.issuer.iban else None
    with transaction() as db:
        done = withdrawal_acknowledgement.acknowledgement(db, message.id, ours.locale, ours.zone, contact(), to)
    return _body(acknowledgement.content(done, issuer()))


def _pdf(mail: card_documents.CardMail) -> tuple[str, str, bytes]:
    return billing_card.attachment_name(mail.card), "application/pdf", mail.document


def _body(content: Content, attachment: tuple[str, str, bytes] | None = None) -> Body:
    return Body(content.subject, content.text, content.html, attachment)


_WRITERS: dict[str, Callable[[Claimed], Body]] = {
    RESELLER_REPORT: _reseller_report,
    **dict.fromkeys(LicenceNotice, _licence_notice),
    **dict.fromkeys(ServiceNotice, _service_notice),
    CardKind.CARD: _card,
    CardKind.REMINDER: _reminder,
    CardKind.CONFIRMATION: _confirmation,
    MAILING: _mailing,
    CONSENT_RENEWAL: _consent_renewal,
    ERASURE_DONE: _erasure_done,
    ACKNOWLEDGEMENT: _acknowledgement,
}
