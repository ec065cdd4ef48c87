"""What the product page says of cards, money, services, contacts, memberships, as queries over the facts.

None may ever find a row. They are written from the page's words, share no code with the program, and read none of what
it has derived from the facts, except to hold that against them.
"""

from collections.abc import Mapping
from datetime import date

from sqlalchemy import Connection, TextClause, text

# The expiry of each subscription, from its terms; where it stands, from its last transition.
_FACTS = """
WITH expiry AS (
    SELECT DISTINCT ON (subscription_id) subscription_id, expires_on FROM terms
    ORDER BY subscription_id, starts_on DESC, recorded_at DESC
), status AS (
    SELECT DISTINCT ON (subscription_id) subscription_id, to_status FROM transitions ORDER BY subscription_id, id DESC
), held AS (
    SELECT subscriptions.id, subscriptions.code, customer_id, policy, expires_on,
        coalesce(to_status, 'active') AS status
    FROM subscriptions JOIN products ON products.id = product_id
    JOIN expiry ON expiry.subscription_id = subscriptions.id
    LEFT JOIN status ON status.subscription_id = subscriptions.id
), on_card AS (
    SELECT cards.*, coalesce((SELECT sum(amount) FROM allocations WHERE card_id = cards.id AND purpose = 'card'), 0)
        AS paid
    FROM cards
), line AS (
    SELECT card_lines.*, number, state FROM card_lines
    JOIN cards ON cards.id = card_id AND cards.revision = card_lines.revision
), placed AS (
    SELECT payments.id, payments.amount, reverses_id, coalesce(sum(allocations.amount), 0) AS placed
    FROM payments LEFT JOIN allocations ON payment_id = payments.id GROUP BY payments.id
), mail AS (
    SELECT messages.*, facts ->> 'card' AS card, (facts ->> 'revision')::int AS revision,
        (facts ->> 'expires_on')::date AS lapse
    FROM messages
)
"""

CLAIMS = {
    "money that is moved within the house neither grows nor shrinks": """
        SELECT currency, sum(amount) FROM allocations WHERE payment_id IS NULL GROUP BY currency HAVING sum(amount) <> 0
        """,
    "of a payment at most itself is placed": """
        SELECT id, amount, placed FROM placed WHERE placed * sign(amount) NOT BETWEEN 0 AND abs(amount)
        """,
    "what was taken back is placed nowhere, but for what was refunded": """
        SELECT back.id, back.placed, original.placed FROM placed AS back JOIN placed AS original
            ON original.id = back.reverses_id
        WHERE back.placed + original.placed
            <> (SELECT coalesce(sum(amount), 0) FROM allocations WHERE payment_id = original.id AND purpose = 'refund')
        """,
    "money stays in its currency and with its customer": """
        SELECT allocations.id FROM allocations
        LEFT JOIN payments ON payments.id = payment_id LEFT JOIN cards ON cards.id = card_id
        WHERE allocations.currency <> coalesce(payments.currency, allocations.currency)
            OR allocations.currency <> coalesce(cards.currency, allocations.currency)
            OR allocations.customer_id <> coalesce(cards.customer_id, allocations.customer_id)
        """,
    "no more credit is used than there is, but for what the bank took back": """
        SELECT customer_id, currency, sum(amount) FROM allocations
        WHERE purpose = 'credit' GROUP BY customer_id, currency
        HAVING sum(amount) < coalesce(sum(amount) FILTER (WHERE rule = 'taken back by the bank'), 0)
        """,
    "numbers go from 1 to n without holes": """
        SELECT year, numbers FROM (
            SELECT extract(year FROM issued_on) AS year, array_agg(number ORDER BY number) AS numbers
            FROM cards GROUP BY 1
        ) AS made
        WHERE numbers <> (
            SELECT array_agg('PF-' || year || '-' || lpad(serial::text, 6, '0') ORDER BY serial)
            FROM generate_series(1, cardinality(numbers)) AS serial)
        """,
    "a card costs the sum of its last revision's lines, VAT per rate and half up": """
        SELECT number, total, cost FROM cards JOIN LATERAL (
            SELECT sum(net + round(net * vat_rate / 100, 2)) AS cost FROM (
                SELECT vat_rate, sum(quantity * unit_price) AS net FROM line WHERE card_id = cards.id GROUP BY vat_rate
            ) AS rate
        ) AS rates ON true WHERE total IS DISTINCT FROM cost
        """,
    "a card falls due with the first of its lines": """
        SELECT number FROM cards WHERE due_on <> (SELECT min(expires_on) FROM line WHERE card_id = cards.id)
        """,
    "each revision has its document, unchanged": """
        SELECT number, cards.revision FROM cards LEFT JOIN card_revisions AS made
            ON card_id = id AND made.revision = cards.revision
        WHERE digest IS DISTINCT FROM encode(sha256(document), 'hex') OR made.total <> cards.total
            OR (SELECT count(*) FROM card_revisions WHERE card_id = cards.id) <> cards.revision
        """,
    "a paid card was paid in full and no more": """
        SELECT number, total, paid FROM on_card WHERE state = 'paid' AND paid <> total
        """,
    "an open card is not paid in full": """
        SELECT number, total, paid FROM on_card WHERE state = 'open' AND NOT trial AND NOT (0 <= paid AND paid < total)
        """,
    "what was paid on a void card is credit": """
        SELECT number, paid FROM on_card WHERE state = 'void' AND paid <> 0
        """,
    "only the last revision of an open card is payable": """
        SELECT number, payable.revision FROM card_lines AS payable JOIN cards ON cards.id = card_id
        WHERE payable AND (state <> 'open' OR payable.revision <> cards.revision)
        """,
    "a service stands on one open card for one period": """
        SELECT subscription_id, expires_on FROM card_lines WHERE payable
        GROUP BY subscription_id, expires_on HAVING count(*) > 1
        """,
    "what stands on a card is its customer's": """
        SELECT number FROM line JOIN cards USING (number) JOIN held ON held.id = subscription_id
        WHERE held.customer_id <> cards.customer_id
        """,
    "a paid card has renewed each of its lines, unless that was renewed otherwise, corrected or deleted": """
        SELECT number, subscription_id FROM line JOIN held ON held.id = subscription_id
        WHERE state = 'paid' AND held.expires_on <= line.expires_on AND status <> 'deleted' AND NOT EXISTS (
            SELECT FROM terms AS version WHERE version.subscription_id = held.id
            GROUP BY starts_on HAVING count(*) > 1)
        """,
    "a renewal has the period of its line, which begins where the last one ended": """
        SELECT line.number, line.subscription_id FROM card_renewals
        LEFT JOIN line USING (card_id, subscription_id) LEFT JOIN terms ON terms.id = term_id
        WHERE (terms.starts_on, terms.expires_on) IS DISTINCT FROM (line.starts_on, line.ends_on)
            OR line.starts_on <> line.expires_on + 1
        """,
    "no period of a service is renewed by two cards": """
        SELECT subscription_id, starts_on FROM card_renewals JOIN terms USING (subscription_id)
        WHERE terms.id = term_id GROUP BY subscription_id, starts_on HAVING count(*) > 1
        """,
    "only a card that was paid has renewed, and it is still owed where that was taken back": """
        SELECT number, on_card.state FROM card_renewals JOIN on_card ON on_card.id = card_id
        WHERE on_card.state = 'void' OR (on_card.state = 'open' AND NOT EXISTS (
            SELECT FROM allocations WHERE allocations.card_id = on_card.id AND amount < 0))
        """,
    "where a service stands is what its facts say": """
        SELECT code FROM held JOIN subscription_status AS standing ON subscription_id = held.id
        WHERE (held.expires_on, held.status) <> (standing.expires_on, standing.status)
        """,
    "what is deleted stays so, and stands on no open card": """
        SELECT held.code FROM held JOIN transitions ON subscription_id = held.id AND to_status = 'deleted'
        WHERE status <> 'deleted' OR EXISTS (SELECT FROM line WHERE line.subscription_id = held.id AND payable)
        """,
    "nothing is suspended or deleted before its day, nor without its card sent a week before": """
        SELECT held.code, to_status, business_date FROM transitions JOIN held ON held.id = subscription_id
        JOIN terms ON terms.id = term_id
        WHERE to_status IN ('suspended', 'deleted') AND (
            business_date <= terms.expires_on + CASE to_status WHEN 'suspended' THEN 7 ELSE 60 END
            OR NOT EXISTS (
                SELECT FROM mail JOIN cards ON number = mail.card
                JOIN card_lines AS told ON told.card_id = cards.id AND told.revision = mail.revision
                WHERE kind = 'billing-card' AND mail.state = 'sent'
                    AND mail.business_date <= transitions.business_date - 7
                    AND told.subscription_id = held.id AND told.expires_on = terms.expires_on))
        """,
    "nothing is deleted without a suspension, and a warning sent a week before": """
        SELECT held.code, gone.business_date FROM transitions AS gone JOIN held ON held.id = subscription_id
        JOIN terms ON terms.id = term_id
        WHERE to_status = 'deleted' AND (
            NOT EXISTS (
                SELECT FROM mail WHERE kind = 'deletion-warning' AND mail.state = 'sent'
                    AND mail.business_date <= gone.business_date - 7
                    AND mail.subscription_id = held.id AND lapse = terms.expires_on)
            OR 'suspended' IS DISTINCT FROM (
                SELECT to_status FROM transitions AS earlier
                WHERE earlier.subscription_id = held.id AND earlier.id < gone.id ORDER BY id DESC LIMIT 1))
        """,
    "each suspension and deletion has one call, and so has each way back": """
        SELECT held.code, transitions.to_status FROM transitions JOIN held ON held.id = subscription_id
        WHERE policy <> 'membership' AND 1 <> (
            SELECT count(*) FROM messages WHERE channel = 'call' AND facts ->> 'transition' = transitions.id::text)
        """,
    "a customer is told once": """
        SELECT kind, card, subscription_id, revision, lapse FROM mail
        WHERE channel = 'mail' AND kind NOT IN ('card-reminder', 'withdrawal-acknowledged') AND state <> 'withheld'
        GROUP BY kind, card, subscription_id, revision, lapse HAVING count(*) > 1
        """,
    "before the go-live nothing leaves": """
        SELECT key, state FROM messages
        WHERE state <> 'withheld' AND kind <> 'withdrawal-acknowledged' AND business_date < CASE
            WHEN kind IN ('billing-card', 'card-reminder', 'renewal-confirmed') THEN cast(:cards_from AS date)
            ELSE cast(:services_from AS date) END
        """,
    "what was withheld never leaves": """
        SELECT key FROM messages WHERE key LIKE '%/withheld' AND state <> 'withheld'
        """,
    "before the go-live no service is touched": """
        SELECT transitions.id FROM transitions JOIN held ON held.id = subscription_id
        WHERE policy <> 'membership' AND to_status <> 'active' AND business_date < cast(:services_from AS date)
        """,
    "of a card for trial nobody hears": """
        SELECT key FROM mail JOIN cards ON number = mail.card
        WHERE trial AND mail.state <> 'withheld' AND kind <> 'renewal-confirmed'
        """,
}

# Every mail to a customer that was begun, as of its last attempt; and all that it could have rested on.
_BEGUN = """
WITH begun AS (
    SELECT messages.id, key, state, customer_id, CASE channel WHEN 'bulk' THEN 'bulk' ELSE 'single' END AS channel,
        motive, asked_on AS day, attempt.started_at AS moment, attempt.outcome
    FROM messages JOIN LATERAL (
        SELECT started_at, outcome FROM message_attempts WHERE message_id = messages.id ORDER BY id DESC LIMIT 1
    ) AS attempt ON true
    WHERE channel <> 'call' AND customer_id IS NOT NULL
), known AS (
    SELECT begun.id, begun.channel, day, moment, version.id AS consent_id, consent_type_id, granted_on, withdrawn_on,
        begun.customer_id
    FROM begun JOIN consents AS version ON version.customer_id = begun.customer_id AND recorded_at <= moment
    WHERE NOT EXISTS (
        SELECT FROM consents AS newer
        WHERE (newer.customer_id, newer.consent_type_id, newer.granted_on)
                = (version.customer_id, version.consent_type_id, version.granted_on)
            AND newer.recorded_at <= moment AND newer.recorded_at > version.recorded_at)
), objected AS (
    SELECT begun.id, objected_on FROM begun JOIN objections USING (customer_id, channel)
    WHERE objected_on <= day AND recorded_at <= moment
), silent AS (
    SELECT * FROM begun WHERE id NOT IN (SELECT id FROM objected)
), basis AS (
    SELECT known.id, 'consent' AS basis, consent_id, NULL AS motive
    FROM known JOIN consent_types ON consent_types.id = consent_type_id
    WHERE granted_on <= day AND (valid_days IS NULL OR day - granted_on + 1 <= valid_days)
        AND CASE channel WHEN 'bulk' THEN allows_bulk ELSE allows_single END
        AND NOT EXISTS (
            SELECT FROM known AS stopped
            WHERE stopped.id = known.id AND stopped.consent_type_id = known.consent_type_id
                AND stopped.withdrawn_on <= day
                AND (stopped.consent_id = known.consent_id OR stopped.withdrawn_on > known.granted_on))
        AND NOT EXISTS (SELECT FROM objected WHERE objected.id = known.id AND objected_on >= granted_on)
    UNION ALL
    SELECT id, 'motive', NULL, motive FROM silent JOIN motives ON code = motive WHERE channel = 'single' AND NOT duty
    UNION ALL
    SELECT id, 'duty', NULL, motive FROM begun JOIN motives ON code = motive WHERE channel = 'single' AND duty
    UNION ALL
    SELECT id, 'unasked', NULL, NULL FROM silent WHERE false = (
        SELECT asks FROM switches WHERE switches.channel = silent.channel
            AND business_date <= day AND recorded_at <= moment
        ORDER BY business_date DESC, recorded_at DESC LIMIT 1)
)
"""

CONTACT_CLAIMS = {
    "what was sent to a customer is logged, once, for the day for which it was asked": """
        SELECT begun.key FROM begun LEFT JOIN contacts USING (key, customer_id, channel)
        WHERE begun.state = 'sent' AND business_date IS DISTINCT FROM day
        """,
    "what was logged rests on what was known at its moment": """
        SELECT begun.key, contacts.basis FROM begun JOIN contacts USING (key) LEFT JOIN basis
            ON basis.id = begun.id AND basis.basis = contacts.basis
            AND basis.consent_id IS NOT DISTINCT FROM contacts.consent_id
            AND basis.motive IS NOT DISTINCT FROM contacts.motive
        WHERE basis.id IS NULL
        """,
    "nothing is logged that was not sent, but for calls": """
        SELECT key FROM contacts LEFT JOIN messages USING (key)
        WHERE contacts.channel <> 'contact' AND state IS DISTINCT FROM 'sent'
        """,
    "nothing goes to who is erased": """
        SELECT key FROM begun JOIN customers ON customers.id = customer_id WHERE state = 'sent' AND erased_on <= day
        """,
    "nothing is stopped that may be sent": """
        SELECT begun.key FROM begun JOIN basis USING (id) JOIN customers ON customers.id = customer_id
        WHERE outcome = 'not sent: no basis any more' AND erased_on IS NULL
        """,
}

# Of each membership the terms in their last version, those that came into force numbered from 0; and its withdrawal.
_HELD = """
WITH latest AS (
    SELECT DISTINCT ON (subscription_id, starts_on) subscription_id, starts_on, expires_on FROM terms
    ORDER BY subscription_id, starts_on, recorded_at DESC
), expiry AS (
    SELECT DISTINCT ON (subscription_id) subscription_id, expires_on FROM latest
    ORDER BY subscription_id, starts_on DESC
), status AS (
    SELECT DISTINCT ON (subscription_id) subscription_id, to_status FROM transitions ORDER BY subscription_id, id DESC
), membership AS (
    SELECT subscriptions.id, code, customer_id, anchor, auto_renew AND period_months = 1 AS monthly, expires_on,
        coalesce(to_status, 'active') AS status
    FROM subscriptions JOIN (SELECT id AS product_id, policy, period_months FROM products) AS product USING (product_id)
    JOIN expiry ON expiry.subscription_id = subscriptions.id
    LEFT JOIN status ON status.subscription_id = subscriptions.id
    WHERE policy = 'membership'
), term AS (
    SELECT membership.id, code, anchor, starts_on, latest.expires_on,
        lag(latest.expires_on) OVER successive AS before, row_number() OVER successive - 1 AS number
    FROM membership JOIN latest ON subscription_id = membership.id
    WHERE monthly AND latest.expires_on >= starts_on
    WINDOW successive AS (PARTITION BY membership.id ORDER BY starts_on)
), withdrawn AS (
    SELECT subscription_id, withdrawals.*, removed, to_be_refunded
    FROM withdrawn_memberships JOIN withdrawals ON withdrawals.id = withdrawal_id
)
"""

MEMBERSHIP_CLAIMS = {
    "what was due after a withdrawal is not owed any more, and what was paid of it is to be refunded": """
        SELECT instalments.id, status FROM instalments JOIN withdrawn USING (subscription_id)
        WHERE due_on > withdrawn_on AND status NOT IN ('cancelled', 'to_be_refunded')
        """,
    "what was due on the last day of a membership or before is as it was": """
        SELECT instalments.id, status FROM instalments LEFT JOIN withdrawn USING (subscription_id)
        WHERE status IN ('cancelled', 'to_be_refunded') AND (due_on <= withdrawn_on OR withdrawn_on IS NULL)
        """,
    "a withdrawal remembers what it removed and what is to be refunded": """
        SELECT subscription_id FROM withdrawn WHERE removed + to_be_refunded <> (
            SELECT coalesce(sum(amount), 0) FROM instalments
            WHERE instalments.subscription_id = withdrawn.subscription_id AND due_on > withdrawn_on)
        """,
    "no term of a membership ends after a withdrawal": """
        SELECT subscription_id, starts_on FROM latest JOIN withdrawn USING (subscription_id)
        WHERE expires_on > withdrawn_on
        """,
    "a membership from which was withdrawn expires on its last day, or is renewed up to it": """
        SELECT code FROM membership JOIN withdrawn ON subscription_id = membership.id
        WHERE expires_on <> withdrawn_on AND (status = 'withdrawn' OR NOT (monthly AND expires_on < withdrawn_on))
        """,
    "a membership is withdrawn after its last day, and none without a withdrawal": """
        SELECT transitions.id FROM transitions LEFT JOIN withdrawn USING (subscription_id)
        WHERE to_status = 'withdrawn' AND transitions.business_date > withdrawn_on IS NOT TRUE
        """,
    "what is withdrawn stays so": """
        SELECT code FROM membership JOIN transitions ON subscription_id = membership.id
        WHERE to_status = 'withdrawn' AND status <> 'withdrawn'
        """,
    "a withdrawal that is done ends memberships, all of its customer": """
        SELECT withdrawals.id FROM withdrawals LEFT JOIN withdrawn USING (id)
        LEFT JOIN membership ON membership.id = subscription_id
        WHERE withdrawals.state = 'done' AND membership.customer_id IS DISTINCT FROM withdrawals.customer_id
            OR withdrawals.state <> 'done' AND subscription_id IS NOT NULL
        """,
    "each withdrawal that is done has a CRM action of its own, which says the same": """
        SELECT withdrawals.id FROM withdrawals LEFT JOIN crm_actions AS action ON action.id = crm_action_id
        WHERE state = 'done' AND (
            (action.customer_id, action.action_type, action.operator, action.business_date)
                IS DISTINCT FROM (
                    withdrawals.customer_id, withdrawals.action_type, withdrawals.operator, withdrawals.business_date)
            OR EXISTS (
                SELECT FROM withdrawals AS other
                WHERE other.crm_action_id = action.id AND other.id <> withdrawals.id))
        """,
    "a withdrawal is acknowledged once at most, and only if it is done": """
        SELECT facts ->> 'withdrawal' FROM messages
        LEFT JOIN withdrawals ON withdrawals.id::text = facts ->> 'withdrawal'
        WHERE kind = 'withdrawal-acknowledged'
        GROUP BY 1 HAVING count(*) > 1 OR bool_or(withdrawals.state IS DISTINCT FROM 'done')
        """,
    "nothing of a membership is charged once somebody has withdrawn from it": """
        SELECT instalments.id FROM instalments JOIN withdrawn USING (subscription_id)
        JOIN collections ON collections.id = collection_id WHERE collections.recorded_at > done_at
        """,
    "terms from month to month begin with the anchor, and one follows the other without gap or overlap": """
        SELECT code, starts_on FROM term WHERE starts_on <> coalesce(before + 1, anchor)
        """,
    "terms from month to month keep the rhythm of the anchor, but for the one that was cut": """
        SELECT code, starts_on FROM term LEFT JOIN withdrawn ON subscription_id = term.id
        WHERE expires_on <> (anchor + (number + 1) * interval '1 month')::date - 1
            AND expires_on IS DISTINCT FROM withdrawn_on
        """,
    "a month is charged once": """
        SELECT code, starts_on FROM term JOIN instalments ON subscription_id = term.id
        WHERE due_on BETWEEN starts_on AND expires_on GROUP BY code, starts_on HAVING count(*) > 1
        """,
}


def _every(facts: str, claims: Mapping[str, str]) -> TextClause:
    return text(
        facts
        + " UNION ALL ".join(
            f"SELECT '{claim.replace(chr(39), chr(39) * 2)}' AS claim, to_json(broken)::text AS by "
            f"FROM ({query}) AS broken"
            for claim, query in claims.items()
        )
    )


_ALL = _every(_FACTS, CLAIMS)
_CONTACTS = _every(_BEGUN, CONTACT_CLAIMS)
_MEMBERSHIPS = _every(_HELD, MEMBERSHIP_CLAIMS)


def broken(db: Connection, cards_from: date, services_from: date) -> list[tuple[str, str]]:
    """The claims that do not hold, each with what breaks it. The days are those of going live."""
    asked = {"cards_from": cards_from, "services_from": services_from}
    return [(row.claim, row.by) for row in db.execute(_ALL, asked)] + unfounded(db) + misled(db)


def unfounded(db: Connection) -> list[tuple[str, str]]:
    """The claims about contacts that do not hold, each with what breaks it."""
    return [(row.claim, row.by) for row in db.execute(_CONTACTS)]


def misled(db: Connection) -> list[tuple[str, str]]:
    """The claims about memberships that do not hold, each with what breaks it.

    The moment of a collection is held against that of a withdrawal: of two that ran beside each other it says nothing.
    """
    return [(row.claim, row.by) for row in db.execute(_MEMBERSHIPS)]
