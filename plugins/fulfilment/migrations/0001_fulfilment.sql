-- What the shipped plugins write: people and what they may use (sumo), orders (direct), and the outbox of both.
-- Times are RFC 3339 text in UTC; the database's clock stamps them. Amounts are in the currency's smallest unit.
-- Words in braces are filled in by src/database: a table's name, and the database's clock. PostgreSQL reads
-- INTEGER as BIGINT, and a numbered key as an identity.

CREATE TABLE {users} (
    id                 INTEGER PRIMARY KEY,
    email              TEXT NOT NULL UNIQUE,      -- normalised: trimmed, lowercase; the key to find a person by
    email_given        TEXT NOT NULL,             -- as the buyer typed it; mail goes here
    name               TEXT,
    stripe_customer_id TEXT,                      -- null for guests
    source             TEXT NOT NULL,             -- which flow made the user: sumo
    created_at         TEXT NOT NULL DEFAULT ({now})
);

-- One row for each Checkout Session ever fulfilled. Inserting it is the claim that makes a purchase happen once.
CREATE TABLE {purchases} (
    session_id      TEXT PRIMARY KEY,
    event_id        TEXT NOT NULL,                -- the hookyard event whose delivery fulfilled it
    user_id         INTEGER NOT NULL REFERENCES {users} (id),
    payment_intent  TEXT,                         -- null in subscription mode and for nothing to pay; refunds name it
    subscription_id TEXT,
    campaign        TEXT,
    product         TEXT,
    tier            TEXT NOT NULL,
    sumo_user_id    TEXT,
    quantity        INTEGER NOT NULL CHECK (quantity > 0),
    addons          TEXT NOT NULL,                -- a JSON array, as Sumo sent it
    amount_total    INTEGER,
    currency        TEXT,
    livemode        INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    created_at      TEXT NOT NULL DEFAULT ({now})
);
CREATE INDEX {purchases}_payment_intent ON {purchases} (payment_intent) WHERE payment_intent IS NOT NULL;
CREATE INDEX {purchases}_user ON {purchases} (user_id);

CREATE TABLE {subscriptions} (
    id                     INTEGER PRIMARY KEY,
    session_id             TEXT NOT NULL UNIQUE REFERENCES {purchases} (session_id),
    user_id                INTEGER NOT NULL REFERENCES {users} (id),
    stripe_subscription_id TEXT,                  -- null for one-off (lifetime) purchases
    tier                   TEXT NOT NULL,
    quantity               INTEGER NOT NULL CHECK (quantity > 0),
    status                 TEXT NOT NULL,         -- active, until a later event ends it
    created_at             TEXT NOT NULL DEFAULT ({now})
);
CREATE UNIQUE INDEX {subscriptions}_stripe ON {subscriptions} (stripe_subscription_id)
    WHERE stripe_subscription_id IS NOT NULL;
CREATE INDEX {subscriptions}_user ON {subscriptions} (user_id);

-- What a user may use: one row a feature of a session, so that ending one purchase never touches another's.
CREATE TABLE {access} (
    id         INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES {purchases} (session_id),
    user_id    INTEGER NOT NULL REFERENCES {users} (id),
    tier       TEXT NOT NULL,
    feature    TEXT NOT NULL,
    quantity   INTEGER NOT NULL CHECK (quantity > 0),
    created_at TEXT NOT NULL DEFAULT ({now}),
    UNIQUE (session_id, feature)
);
CREATE INDEX {access}_user ON {access} (user_id);

-- The shop writes these before it sends a buyer to Checkout; the direct plugin marks them paid.
CREATE TABLE {orders} (
    id                TEXT PRIMARY KEY,
    stripe_session_id TEXT UNIQUE,                -- null until the shop, or a payment, knows it
    client_reference  TEXT UNIQUE,                -- what the shop gave Stripe as client_reference_id, if not the id
    amount_total      INTEGER,                    -- null: whatever Checkout charged is right (promotion codes, taxes)
    currency          TEXT,
    status            TEXT NOT NULL DEFAULT 'pending',
    payment_intent    TEXT,
    paid_at           TEXT,
    paid_by_event     TEXT,                       -- the hookyard event that paid it
    created_at        TEXT NOT NULL DEFAULT ({now}),
    CHECK ((amount_total IS NULL) = (currency IS NULL))
);

-- The outbox: a mail is owed from the moment its row commits with the purchase, whatever crashes before it goes.
CREATE TABLE {mails} (
    message_id TEXT PRIMARY KEY,                  -- made of the session and the kind: never changes between retries
    session_id TEXT NOT NULL,
    kind       TEXT NOT NULL,                     -- welcome, new_subscription, receipt
    recipient  TEXT NOT NULL,
    state      TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent')),
    event_id   TEXT NOT NULL,                     -- whose delivery sends it
    created_at TEXT NOT NULL DEFAULT ({now}),
    sent_at    TEXT
);
CREATE INDEX {mails}_session ON {mails} (session_id);
