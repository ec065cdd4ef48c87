"""Who acts: one of the operators there are; and what only an administrator may do, which a one-time code confirms."""

from datetime import datetime

from pyotp import TOTP

from lifecycle.persistence import operators
from lifecycle.persistence.database import Transaction, transaction
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.one_time_code import NO_CODE, USED, Operator, Tries, digits, heard, matched, mismatch
from lifecycle.settings import settings


def unknown(db: Transaction, operator: str, where: str = "operator") -> list[Finding]:
    """That the code is no operator's, where it is none. `where`: the parameter that it was given as."""
    if operators.known(db, [operator]):
        return []
    expected = "the code of one in operators.csv"
    if not operators.listed(db):
        expected += ", which is to be imported first: there are no operators yet"
    return [Finding(where, f"{operator!r} is no operator", expected)]


def confirm(db: Transaction, operator: str, one_time_code: str, entered_at: datetime) -> None:
    """Use up the administrator's code, which was entered at that moment, in the transaction of what it confirms.

    Raises BadInput, with one finding, where the operator may not confirm, is locked, or the code is not right. The try
    is counted whatever becomes of `db`: in a transaction of its own, which ends before the code is looked at. So ask
    this last, once in a transaction, when nothing else is in the way: where `db` is rolled back, the code was not used,
    but tried.
    """
    secret, code = operator_secret(), digits(one_time_code)
    if code is None:
        raise BadInput([NO_CODE])
    confirming, tries = _heard(operator, entered_at)
    codes_secret = operators.opened(confirming, secret)
    if codes_secret is None:
        problem = f"{operator!r} was enrolled under another LIFECYCLE_OPERATOR_SECRET"
        expected = f"that one, or who is enrolled anew: `lifecycle operators enrol {operator}`"
        raise BadInput([Finding("operator", problem, expected)])
    code_of = TOTP(codes_secret).generate_otp
    step = matched(code, entered_at, code_of)
    if step is None:
        raise BadInput([mismatch(code, entered_at, code_of, tries)])
    if not operators.use(db, confirming, step):
        raise BadInput([USED])


def _heard(code: str, entered_at: datetime) -> tuple[Operator, Tries]:
    """The operator, and its tries with this one, which counts as wrong until it is found right. Raises BadInput."""
    with transaction() as db:
        operator = heard(operators.locked(db, code), code, entered_at)
        if isinstance(operator, Finding):
            raise BadInput([operator])
        tries = operator.tries.one_more(entered_at)
        operators.count(db, operator, tries)
    return operator, tries


def operator_secret() -> str:
    """What encrypts the secrets of one-time codes. Raises BadInput where the settings have none."""
    secret = settings().operator_secret
    if secret is None:
        expected = "what encrypts the secrets of one-time codes, at least 16 characters at random; always the same"
        raise BadInput([Finding("LIFECYCLE_OPERATOR_SECRET", "is missing", expected)])
    return secret.get_secret_value()
