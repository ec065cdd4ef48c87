"""What `lifecycle show customer` and `lifecycle show agenda` print of memberships and of the CRM history."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from deployments import show
from lifecycle.persistence.database import transaction
from lifecycle.rules.findings import BadInput
from tests import cast

DAY = date(2026, 2, 3)
KNOWN = datetime(2026, 2, 3, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def left(home: Path) -> None:
    """A membership with two months to come was left on 3 February; otto is to call. Then somebody else left hers."""
    with transaction() as db:
        cast.operator(db, "otto")
        cast.operator(db, "olga")
        cast.action_type(db)
        cast.action_type(db, "CALL", "task", in_agenda=True)
        for code in ("C1", "C2"):
            customer = cast.customer(db, code)
            held = cast.membership(db, customer, f"M-{code}", terms=3, mandate=cast.mandate(db, customer, f"U-{code}"))
            cast.instalment(db, held, date(2026, 2, 1))
            cast.instalment(db, held, date(2026, 3, 1), status="to_be_refunded")
            cast.withdrawal(db, customer, [held], date(2026, 2, 10), done_at=KNOWN)
            note = f"ask {code}\nwhy\x1b[2J"
            cast.crm_action(db, customer, "CALL", DAY, operator="olga", assigned_to="otto", note=note, known=KNOWN)


def test_a_person_reads_terms_charges_and_the_history(capsys: pytest.CaptureFixture[str]) -> None:
    show.customer("C1", DAY, as_json=False)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "M-C1  MEM-MONTH (membership)    active  expires on 2026-02-10  withdrawn from, last day 2026-02-10",
        "    2026-01-01 .. 2026-01-31  recorded 2000-01-01T01:00:00+01:00",
        "    2026-02-01 .. 2026-02-28  recorded 2000-01-01T01:00:00+01:00",
        "    2026-02-01 .. 2026-02-10  recorded 2026-02-03T10:00:00+01:00",
        "    2026-03-01 .. 2026-03-31  recorded 2000-01-01T01:00:00+01:00",
        "    2026-03-01  never came into force  recorded 2026-02-03T10:00:00+01:00",
        "mandate U-C1  sepa  IBAN ends in 3456  signed on 2018-01-01  used by M-C1",
        "instalment  M-C1  2026-02-01  12.20 EUR  due, not charged any more",
        "instalment  M-C1  2026-03-01  12.20 EUR  to be refunded",
        "CRM  2026-02-03  WITHDRAWN  Type WITHDRAWN  by anna  recorded 2026-02-03T10:00:00+01:00",
        "    as agreed",
        "CRM  2026-02-03  CALL  Type CALL  by olga  recorded 2026-02-03T10:00:00+01:00  in the agenda of otto",
        "    ask C1\\nwhy\\x1b[2J",
    ]


def test_a_script_reads_no_account_and_the_term_that_never_was(capsys: pytest.CaptureFixture[str]) -> None:
    show.customer("C1", DAY, as_json=True)
    printed = capsys.readouterr().out
    assert cast.IBAN not in printed
    found = json.loads(printed)
    assert found["instalments"][0]["amount"] == "12.20"
    assert found["subscriptions"][0]["terms"][-1]["expires_on"] == "2026-02-10"


def test_an_agenda_holds_what_is_assigned_the_newest_first(capsys: pytest.CaptureFixture[str]) -> None:
    with transaction() as db:
        early = date(2026, 2, 1)
        customer = db.execute(text("SELECT id FROM customers WHERE code = 'C1'")).scalar_one()
        cast.crm_action(db, customer, "CALL", early, assigned_to="otto", note=None)
    show.agenda("otto", as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "2026-02-03  CALL  Type CALL  C2  ask C2\\nwhy\\x1b[2J",
        "2026-02-03  CALL  Type CALL  C1  ask C1\\nwhy\\x1b[2J",
        "2026-02-01  CALL  Type CALL  C1  ",
    ]
    show.agenda("otto", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["operator"] == "otto"
    assert found["crm_actions"][2] == {
        "type": "CALL", "title": "Type CALL", "customer": "C1", "business_date": "2026-02-01", "note": None,
    }  # fmt: skip
    show.agenda("olga", as_json=False)
    assert capsys.readouterr().out == ""


def test_an_agenda_of_nobody_is_refused() -> None:
    with pytest.raises(BadInput, match="'OTTO' is no operator"):
        show.agenda("OTTO", as_json=False)
