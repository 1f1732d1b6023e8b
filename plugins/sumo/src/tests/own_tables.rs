//! A team's own tables, kept up by statements from the settings.

use super::*;

/// A team's own tables on PostgreSQL: its users have UUIDs, and were there before.
const OWN_TABLES: &str = "CREATE SCHEMA app; \
    CREATE TABLE app.people (id UUID PRIMARY KEY DEFAULT gen_random_uuid(), mail TEXT UNIQUE, called TEXT); \
    CREATE TABLE app.plans (checkout TEXT PRIMARY KEY, person UUID REFERENCES app.people (id), plan TEXT, state TEXT); \
    CREATE TABLE app.rights (person UUID, checkout TEXT, what TEXT, amount INTEGER); \
    INSERT INTO app.people (mail, called) VALUES ('marta.quental@buyer.example', 'here before')";

fn own_statements() -> Value {
    json!({
        "find_user": "SELECT id::text FROM app.people WHERE mail = :email",
        "create_user": "INSERT INTO app.people (mail, called) VALUES (:email, :name) RETURNING id::text",
        "subscription": "INSERT INTO app.plans (checkout, person, plan, state) VALUES (:session, :user::uuid, :tier, :status) \
            ON CONFLICT (checkout) DO UPDATE SET plan = :tier, state = :status",
        "revoke": "DELETE FROM app.rights WHERE checkout = :session",
        "grant": "INSERT INTO app.rights (person, checkout, what, amount) VALUES (:user::uuid, :session, :feature, :quantity::integer)",
    })
}

#[test]
fn a_teams_own_tables_are_kept_by_its_own_statements() {
    let [_, shop] = Shop::both();
    let database = shop.database();
    database.run(sqlx::raw_sql(OWN_TABLES).execute(database.pool())).unwrap();
    let mut settings = with_tiers(shop.settings());
    settings["statements"] = own_statements();
    let bench = Bench::new::<Sumo>(&settings);
    let delivered = bench.deliver(&fixture(PAID));
    assert_eq!(delivered.result.unwrap()["mail"]["kind"], "new_subscription", "the team knew this user");
    let rights = "SELECT string_agg(what || '=' || amount, ' ' ORDER BY what) FROM app.rights JOIN app.people ON id = person \
        WHERE called = 'here before'";
    assert_eq!(shop.text(rights).unwrap(), "projects=150 storage_gb=300");
    assert_eq!(shop.text("SELECT plan || ' ' || state FROM app.plans").unwrap(), "tier_2 active");
    let other = changed(
        "08_checkout_completed_sumo_customer_null.json",
        &json!({"customer_details/email": "new@buyer.example"}),
    );
    assert_eq!(bench.deliver(&other).result.unwrap()["mail"]["kind"], "welcome");
    assert_eq!(shop.number("SELECT count(*) FROM app.people"), 2);
    bench.deliver(&fixture("11_charge_refunded_full.json"));
    assert_eq!(shop.text(rights), None, "what 01 gave is gone");
    assert_eq!(shop.number("SELECT count(*) FROM app.rights"), 2, "what the other bought stands");
}

#[test]
fn own_statements_that_cannot_work_are_told_at_the_start() {
    for (shop, words) in
        Shop::both().into_iter().zip(["no such table: people", "relation \"people\" does not exist"])
    {
        let mut settings = with_tiers(shop.settings());
        settings["statements"] = json!({
            "find_user": "SELECT id FROM people WHERE mail = :email", "create_user": "INSERT INTO people (mail) VALUES (:email)",
        });
        let error = Bench::try_new::<Sumo>(&settings, &[]).unwrap_err();
        assert!(error.contains("`create_user`") || error.contains("`find_user`"), "{error}");
        assert!(error.contains(words) && error.contains("$1 is :email"), "{error}");
        settings["statements"] = json!({"grant": "SELECT 1", "revoke": "SELECT 1"});
        let error = Bench::try_new::<Sumo>(&settings, &[]).unwrap_err();
        assert!(error.contains("`grant` needs `find_user` beside it"), "{error}");
    }
}

#[test]
fn what_a_statement_gives_back_is_told_at_the_start_where_it_cannot_be_read() {
    let [sqlite, postgres] = Shop::both();
    let database = postgres.database();
    database.run(sqlx::raw_sql(OWN_TABLES).execute(database.pool())).unwrap();
    let told = |shop: &Shop, find: &str, create: &str| {
        let mut settings = with_tiers(shop.settings());
        settings["statements"] = json!({ "find_user": find, "create_user": create });
        Bench::try_new::<Sumo>(&settings, &[]).unwrap_err()
    };
    let (find, create) = ("SELECT id FROM app.people WHERE mail = :email", "SELECT 'x' || :email");
    let error = told(&postgres, find, create);
    let words = "`find_user` gives back `id` as UUID, where text or a whole number is read; write id::text";
    assert!(error.contains(words), "{error}");
    let error = told(&postgres, "SELECT 'x', now() WHERE :email = 'y'", create);
    assert!(error.contains("gives back `now` as TIMESTAMPTZ"), "a row is read whole: {error}");
    sqlite.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT)");
    let create = "INSERT INTO people (mail) VALUES (:email)";
    let error = told(&sqlite, "SELECT id FROM people WHERE mail = :email", create);
    assert!(error.contains("`create_user` gives back 0 columns, and 1 are read"), "{error}");
}
