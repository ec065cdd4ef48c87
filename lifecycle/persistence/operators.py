"""Our own people, and what their one-time codes are made from: encrypted, under a key that is not in the database.

The key is made from LIFECYCLE_OPERATOR_SECRET and the operator's code: without that secret a copy of the database makes
no codes, and a row put in the place of another's opens for nobody. Only the last 30-second step that was used and the
number of wrong codes are kept of what was entered.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Connection, Row, text

from lifecycle.rules.one_time_code import Operator, Tries

_OPERATORS = """
SELECT code, name, administrator, secret, enrolled_at, coalesce(failures, 0), locked_until
FROM operators LEFT JOIN enrolments ON operator_id = id"""

_LISTED = text(f'{_OPERATORS} ORDER BY code COLLATE "C"')

_OPERATOR = text(f"{_OPERATORS} WHERE code = :code")

_KNOWN = text("SELECT code FROM operators WHERE code = ANY(:codes)")

_ENROL = text("""
INSERT INTO enrolments (operator_id, secret, enrolled_at) SELECT id, :secret, :now FROM operators WHERE code = :code
ON CONFLICT (operator_id) DO UPDATE SET
    secret = excluded.secret, enrolled_at = excluded.enrolled_at,
    last_step = NULL, failures = 0, locked_until = NULL""")

_ENROLMENT = "operator_id = (SELECT id FROM operators WHERE code = :code)"

_LOCK = text(f"SELECT FROM enrolments WHERE {_ENROLMENT} FOR UPDATE")

_COUNT = text(f"UPDATE enrolments SET failures = :failures, locked_until = :locked_until WHERE {_ENROLMENT}")

# Of two at once with the same code the second one waits for the first, and then finds the step used.
_USE = text(f"""
UPDATE enrolments SET last_step = :step, failures = 0, locked_until = NULL
WHERE {_ENROLMENT} AND secret = :secret AND coalesce(last_step < :step, true)""")


def listed(db: Connection) -> list[Operator]:
    """All operators, by code."""
    return [_operator(row) for row in db.execute(_LISTED)]


def known(db: Connection, codes: Iterable[str]) -> set[str]:
    """Those of `codes` that are an operator's."""
    return set(db.execute(_KNOWN, {"codes": list(codes)}).scalars())


def locked(db: Connection, code: str) -> Operator | None:
    """The operator with this code; None: there is none. Its tries take turns until the transaction ends."""
    # A statement that waits for a lock sees other rows as they were before it waited: so the look is one of its own.
    db.execute(_LOCK, {"code": code})
    row = db.execute(_OPERATOR, {"code": code}).one_or_none()
    return _operator(row) if row else None


def _operator(row: Row[Any]) -> Operator:
    return Operator(row.code, row.name, row.administrator, row.secret, row.enrolled_at, Tries(*row[-2:]))


def enrol(db: Connection, code: str, secret: bytes, now: datetime) -> bool:
    """Let the operator's codes be made from this secret, encrypted by `sealed`, and no longer from the former one.

    Returns whether there is such an operator.
    """
    return db.execute(_ENROL, {"code": code, "secret": secret, "now": now}).rowcount > 0


def count(db: Connection, operator: Operator, tries: Tries) -> None:
    """Record how often the operator was wrong."""
    asked = {"code": operator.code, "failures": tries.failures, "locked_until": tries.locked_until}
    db.execute(_COUNT, asked)


def use(db: Connection, operator: Operator, step: int) -> bool:
    """Use up the code of a step, which was right. Returns False where that, or a later one, was used before."""
    return db.execute(_USE, {"code": operator.code, "secret": operator.secret, "step": step}).rowcount > 0


def sealed(codes_secret: str, operator: str, secret: str) -> bytes:
    """What the operator's codes are made from, encrypted (Fernet) under the key of that operator and `secret`."""
    return _cipher(operator, secret).encrypt(codes_secret.encode())


def opened(operator: Operator, secret: str) -> str | None:
    """What the operator's codes are made from; None: it is not enrolled, or was under another `secret`."""
    if operator.secret is None:
        return None
    try:
        return _cipher(operator.code, secret).decrypt(operator.secret).decode()
    except InvalidToken:
        return None


def _cipher(operator: str, secret: str) -> Fernet:
    info = f"one-time codes of operator {operator}".encode()
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret.encode())
    return Fernet(urlsafe_b64encode(key))
