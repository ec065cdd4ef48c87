"""The consents that a run must look at: the statement against the rule."""

from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from lifecycle.persistence.consent_renewal import due
from lifecycle.persistence.contact import said
from lifecycle.rules.consent_renewal import left
from tests import consents
from tests.consents import DAY, Person, people

DAYS = 15


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(everybody=st.lists(people, max_size=8))
def test_the_statement_finds_whatever_the_rule_would_ask_about(db: Connection, everybody: list[Person]) -> None:
    with db.begin_nested() as savepoint:
        types = consents.types(db)
        for number, person in enumerate(everybody):
            consents.recorded(db, f"C{number}", person, types)
        ids = list(db.execute(text("SELECT id FROM customers WHERE erased_on IS NULL")).scalars())
        customers = said(db, ids, DAY)
        found = {
            (it.customer_id, it.consent_type, it.granted_on)
            for it in due(db, DAY, DAYS)
            if left(customers[it.customer_id], customers[it.customer_id].consent(it.consent_type, it.granted_on), DAY)
            is None
        }
        savepoint.rollback()
    assert found == {
        (id_, consent.type.code, consent.granted_on)
        for id_, customer in customers.items()
        for consent in customer.consents
        if consent.lapses_on is not None
        and consent.granted_on <= DAY
        and consent.lapses_on <= DAY + timedelta(days=DAYS)
        and left(customer, consent, DAY) is None
    }
