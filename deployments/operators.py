"""``lifecycle operators``: who may confirm what only administrators may, and enrolling them for one-time codes."""

import sys
from datetime import UTC, datetime

import segno
from pyotp import TOTP, random_base32

from lifecycle.persistence import operators
from lifecycle.persistence.database import transaction
from lifecycle.rules.findings import BadInput, Finding
from lifecycle.rules.one_time_code import Operator
from lifecycle.rules.records import shown
from lifecycle.settings import settings
from tasks.operators import operator_secret


def listing() -> None:
    """A line for each operator."""
    now = datetime.now(UTC)
    with transaction() as db:
        for each in operators.listed(db):
            may = "administrator" if each.administrator else "operator"
            print(f"{each.code}  {shown(each.name, 300)}  {may}  {_standing(each, now)}")


def _standing(operator: Operator, now: datetime) -> str:
    if operator.enrolled_at is None:
        return "not enrolled"
    secret = settings().operator_secret
    if secret and operators.opened(operator, secret.get_secret_value()) is None:
        return "to be enrolled again: LIFECYCLE_OPERATOR_SECRET has changed"
    enrolled, until = f"enrolled since {_local(operator.enrolled_at)}", operator.tries.locked_until
    return f"{enrolled}  locked until {_local(until)}" if until and operator.tries.is_locked(now) else enrolled


def enrol(code: str) -> None:
    """Make a new secret for the operator's one-time codes and show it, this once."""
    codes_secret = random_base32()
    sealed = operators.sealed(codes_secret, code, operator_secret())
    with transaction() as db:
        if not operators.enrol(db, code, sealed, datetime.now(UTC)):
            expected = "a code that `lifecycle operators` lists"
            raise BadInput([Finding("CODE", f"{code!r} is no operator's code", expected)])
    uri = TOTP(codes_secret).provisioning_uri(name=code, issuer_name=settings().issuer.name)
    segno.make_qr(uri, error="l").terminal(sys.stdout, compact=True)
    print(
        f"{uri}\nScan it now with {code}'s app for one-time codes: it is shown once. Former codes are no longer taken."
    )


def _local(moment: datetime) -> str:
    return moment.astimezone(settings().zone).isoformat(timespec="seconds")
