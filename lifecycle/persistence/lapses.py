"""What is done about a lapse, whatever the policy: access is cut off and the customer told, each once per lapse.

A lapse is one expiry of one subscription; keys name it as ``<code>/<expiry>``.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from lifecycle.persistence.associations import looked_after
from lifecycle.persistence.contact import CONTRACTUAL
from lifecycle.rules.licence_notice import Contact
from lifecycle.rules.outbox import State
from lifecycle.rules.provisioning import Access

# An access that is taken away gives the status its name.
_CUT_OFF = text("""
WITH cut AS (
    UPDATE subscription_status SET status = :access
    WHERE subscription_id = ANY(:subscriptions)
    RETURNING subscription_id, expires_on
), transition AS (
    INSERT INTO transitions (subscription_id, term_id, to_status, rule, business_date, run_id, recorded_at)
    SELECT subscription_id, term_id, :access, :rule, :day, :run_id, :now
    FROM cut CROSS JOIN LATERAL (
        SELECT id AS term_id FROM terms WHERE terms.subscription_id = cut.subscription_id
        ORDER BY starts_on DESC, recorded_at DESC LIMIT 1) AS term
    RETURNING id, subscription_id
)
INSERT INTO messages (
    key, kind, channel, state, recipient, recipient_name, customer_id, subscription_id, business_date, run_id, facts)
SELECT 'access/' || :access || '/' || subscription.code || '/' || to_char(expires_on, 'YYYY-MM-DD') || '/'
        || transition.id,
    'access.' || :access, 'call', 'queued', '', '', customer_id, subscription.id, :day, :run_id,
    jsonb_build_object(
        'access', cast(:access AS text), 'subscription', subscription.code, 'customer', customer.code,
        'product', product.code, 'rule', cast(:rule AS text), 'expires_on', expires_on, 'transition', transition.id)
FROM transition
JOIN cut USING (subscription_id)
JOIN subscriptions AS subscription ON subscription.id = subscription_id
JOIN customers AS customer ON customer.id = customer_id
JOIN products AS product ON product.id = product_id
""")

_WITHHOLD_CALL = text("""
INSERT INTO messages (
    key, kind, channel, state, recipient, recipient_name, customer_id, subscription_id, business_date, run_id)
SELECT 'access/' || :access || '/' || code || '/' || to_char(expires_on, 'YYYY-MM-DD') || '/withheld',
    'access.' || :access, 'call', 'withheld', '', '', customer_id, subscription_id, :day, :run_id
FROM subscription_status JOIN subscriptions ON subscriptions.id = subscription_id
WHERE subscription_id = ANY(:subscriptions)
ON CONFLICT (key) DO NOTHING
""")

_NOTIFY = text(f"""
INSERT INTO messages (
    key, kind, state, recipient, recipient_name, customer_id, subscription_id, business_date, run_id, facts, motive,
    basis)
SELECT :prefix || subscription.code || '/' || to_char(standing.expires_on, 'YYYY-MM-DD') || :suffix, :kind, :state,
    coalesce(email, ''), name, customer_id, subscription.id, :day, :run_id,
    jsonb_build_object('expires_on', standing.expires_on) || about.facts, 'contract', basis
FROM unnest(cast(:subscriptions AS bigint[]), cast(:facts AS jsonb[])) AS about (subscription_id, facts)
JOIN subscription_status AS standing USING (subscription_id)
JOIN subscriptions AS subscription ON subscription.id = subscription_id
JOIN customers AS customer ON customer.id = customer_id
JOIN LATERAL {CONTRACTUAL} AS allowed ON basis IS NOT NULL
ON CONFLICT (key) DO NOTHING
""")


def cut_off(
    db: Connection,
    access: Access,
    rule: str,
    subscriptions: Sequence[int],
    day: date,
    run_id: UUID,
    now: datetime,
) -> None:
    """Take access away by this rule: status, transition, and the call that carries it out."""
    about = {"subscriptions": list(subscriptions), "day": day, "run_id": run_id, "now": now}
    db.execute(_CUT_OFF, about | {"access": access, "rule": rule})


def withhold_call(db: Connection, access: Access, subscriptions: Sequence[int], day: date, run_id: UUID) -> None:
    """Record, once per lapse, a call that would have been made had its stream been live."""
    about = {"subscriptions": list(subscriptions), "day": day, "run_id": run_id}
    db.execute(_WITHHOLD_CALL, about | {"access": access})


def notify(
    db: Connection,
    prefix: str,
    kind: str,
    state: State,
    facts: Mapping[int, Mapping[str, str]],
    day: date,
    run_id: UUID,
) -> None:
    """Queue a notice, once per lapse, to the customer of each subscription in `facts`; or record it as withheld.

    It is written of its facts, beside the expiry, at the moment it is sent. `prefix` is what its key begins with.
    """
    about = {
        "prefix": prefix,
        "suffix": "/withheld" if state is State.WITHHELD else "",
        "kind": kind,
        "state": state,
        "day": day,
        "run_id": run_id,
    }
    each = {"subscriptions": list(facts), "facts": [json.dumps(one) for one in facts.values()]}
    db.execute(_NOTIFY, about | each)


TOLD = f"""
    messages.kind, customer.name AS customer_name, coalesce(customer.locale, :default_locale) AS locale,
    subscription.code, coalesce(reference, '') AS reference, product.name AS product, facts,
    standing.expires_on > (facts ->> 'expires_on')::date AS renewed,
    reseller.name AS reseller_name, reseller.email, reseller.phone
FROM messages
JOIN subscription_status AS standing USING (subscription_id)
JOIN subscriptions AS subscription ON subscription.id = subscription_id
JOIN customers AS customer ON customer.id = subscription.customer_id
JOIN products AS product ON product.id = product_id{looked_after("customer.id", "messages.business_date")}"""
"""Of what a notice is written, whatever its kind: to go on with after SELECT and before WHERE."""


def contact(told: Row[Any], issuer: Contact) -> Contact:
    """Whom the customer can turn to: the reseller that looks after it, or else the issuer."""
    return issuer if told.reseller_name is None else Contact(told.reseller_name, told.email, told.phone)
