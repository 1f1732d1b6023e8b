-- What follows a purchase: refunds, disputes, subscriptions that change. Facts are kept as Stripe told them; what a user
-- may use is worked out from all of them each time, so that it does not matter which came first.

-- One row for each object of Stripe's that has told us something, whether or not we know its purchase yet.
CREATE TABLE {stripe_facts} (
    kind      TEXT NOT NULL,                      -- charge, refund, dispute, subscription, invoice, invoice_payment
    object_id TEXT NOT NULL,                      -- Stripe's id; for invoice_payment the payment intent's
    subject   TEXT NOT NULL,                      -- what it is about: a payment intent, a subscription or an invoice
    order_key TEXT NOT NULL COLLATE BINARY,       -- of two tellings the greater one stands, whichever came first
    body      TEXT NOT NULL,                      -- JSON: amounts and states, nothing personal
    used      INTEGER NOT NULL DEFAULT 0,         -- 1 once a purchase or an order rests on it; others go after 210 days
    noted_ms  INTEGER NOT NULL,                   -- when the event was received
    PRIMARY KEY (kind, object_id)
);
CREATE INDEX {stripe_facts}_subject ON {stripe_facts} (subject);
CREATE INDEX {stripe_facts}_unused ON {stripe_facts} (noted_ms) WHERE used = 0;

-- What a purchase gives while it stands; `access` holds what stands now.
CREATE TABLE {grants} (
    session_id TEXT NOT NULL REFERENCES {purchases} (session_id),
    feature    TEXT NOT NULL,
    quantity   INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (session_id, feature)
);
INSERT INTO {grants} (session_id, feature, quantity) SELECT session_id, feature, quantity FROM {access};

ALTER TABLE {purchases} ADD COLUMN invoice_id TEXT;     -- the first invoice, in subscription mode
ALTER TABLE {purchases} ADD COLUMN customer_id TEXT;
CREATE INDEX {purchases}_subscription ON {purchases} (subscription_id) WHERE subscription_id IS NOT NULL;
CREATE INDEX {purchases}_invoice ON {purchases} (invoice_id) WHERE invoice_id IS NOT NULL;

ALTER TABLE {subscriptions} ADD COLUMN refunded INTEGER NOT NULL DEFAULT 0;    -- so much of its payment went back
ALTER TABLE {subscriptions} ADD COLUMN disputed INTEGER NOT NULL DEFAULT 0;    -- 1 while a dispute is open
ALTER TABLE {subscriptions} ADD COLUMN ends_at INTEGER;                        -- Unix seconds; cancelled, and runs until then

ALTER TABLE {orders} ADD COLUMN invoice_id TEXT;
ALTER TABLE {orders} ADD COLUMN amount_paid INTEGER;    -- what Checkout charged
ALTER TABLE {orders} ADD COLUMN refunded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE {orders} ADD COLUMN disputed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX {orders}_payment_intent ON {orders} (payment_intent) WHERE payment_intent IS NOT NULL;
CREATE INDEX {orders}_invoice ON {orders} (invoice_id) WHERE invoice_id IS NOT NULL;

-- The user's id in the team's own tables, where the settings give statements for them.
ALTER TABLE {users} ADD COLUMN own_id TEXT;
