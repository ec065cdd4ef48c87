"""Who writes, whom customers turn to, and whom they pay, by this installation's settings."""

from lifecycle.rendering.templates import Issuer
from lifecycle.rules.billing_card import Payee
from lifecycle.rules.charge_run import Creditor
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.licence_notice import Contact
from lifecycle.rules.unsubscribing import Unsubscribing, token_of
from lifecycle.settings import settings


def issuer() -> Issuer:
    """As it stands at the foot of mails and on cards."""
    ours = settings().issuer
    return Issuer(ours.name, ours.address, ours.vat_number)


def contact() -> Contact:
    """For customers that no reseller looks after."""
    ours = settings().issuer
    return Contact(ours.name, ours.reply_to or ours.mail_from, None)


def payee() -> Payee:
    """Whom the money goes to. Raises BadInput where the settings do not say."""
    ours = settings().issuer
    if not ours.iban:
        raise BadInput([Finding("LIFECYCLE_ISSUER__IBAN", "is missing", "the account that cards are paid to")])
    return Payee(ours.beneficiary or ours.name, ours.iban, ours.bic)


def creditor() -> Creditor:
    """Who collects by SEPA direct debit. Raises BadInput for everything that the settings do not say."""
    ours = settings().issuer
    needed = {
        "CREDITOR_ID": (ours.creditor_id, "the identifier under which the bank lets us collect"),
        "IBAN": (ours.iban, "the account that direct debits are paid to"),
        "NAME": (ours.beneficiary or "name" in ours.model_fields_set, "the account's holder"),
    }
    if settings().policy.debit_schema == "pain.008.001.02":
        needed["BIC"] = ours.bic, "the BIC of our bank, which pain.008.001.02 asks for"
    if missing := {name: expected for name, (given, expected) in needed.items() if not given}:
        raise BadInput([Finding(f"LIFECYCLE_ISSUER__{name}", "is missing", it) for name, it in missing.items()])
    return Creditor(ours.beneficiary or ours.name, ours.iban, ours.bic, ours.creditor_id)


def unsubscribing(message_id: int) -> Unsubscribing:
    """How the recipient of this message stops mailings. Raises BadInput where the settings have no secret."""
    ours = settings()
    token = token_of(message_id, unsubscribe_secret())
    return Unsubscribing(ours.unsubscribe_address or ours.issuer.mail_from, token, ours.unsubscribe_url)


def unsubscribe_secret() -> str:
    """What signs the ways to unsubscribe. Raises BadInput where the settings have none."""
    secret = settings().unsubscribe_secret
    if secret is None:
        expected = "what signs the ways to unsubscribe, at least 16 characters; always the same"
        raise BadInput([Finding("LIFECYCLE_UNSUBSCRIBE_SECRET", "is missing", expected)])
    return secret.get_secret_value()
