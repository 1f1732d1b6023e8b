//! A team's own tables: statements from the settings that run in the same transaction, so that the team's users,
//! subscriptions and access never differ from ours. Ours stay: they are what makes a purchase happen once.
//!
//! | statement | when | parameters |
//! |---|---|---|
//! | `find_user` | at a purchase; its first column is the user's id | `:email` |
//! | `create_user` | where `find_user` gave no row; its first column is the id | `:email`, `:email_given`, `:name`, `:customer` |
//! | `subscription` | at a purchase and at each change of it: insert or update | `:user`, `:session`, `:stripe_subscription`, `:tier`, `:quantity`, `:status`, `:stands`, `:refunded`, `:ends_at` |
//! | `revoke` | before `grant`, and alone where nothing stands | `:user`, `:session` |
//! | `grant` | once for each feature that stands | `:user`, `:session`, `:tier`, `:feature`, `:quantity` |

use std::collections::BTreeMap;

use hookyard_fulfilment::database::{Database, Tx, Value};
use hookyard_fulfilment::fault::Fault;
use hookyard_fulfilment::statements::{self, Form, Gives, Statement, StatementError, Type};

use crate::entitle::Entitlement;
use crate::purchase::Purchase;

const FORMS: [Form; 5] = [
    Form { name: "find_user", parameters: &[("email", Type::Text)], gives: &[Gives::Id] },
    Form {
        name: "create_user",
        parameters: &[
            ("email", Type::Text),
            ("email_given", Type::Text),
            ("name", Type::Text),
            ("customer", Type::Text),
        ],
        gives: &[Gives::Id],
    },
    Form {
        name: "subscription",
        parameters: &[
            ("user", Type::Text),
            ("session", Type::Text),
            ("stripe_subscription", Type::Text),
            ("tier", Type::Text),
            ("quantity", Type::Number),
            ("status", Type::Text),
            ("stands", Type::Number),
            ("refunded", Type::Number),
            ("ends_at", Type::Number),
        ],
        gives: &[],
    },
    Form { name: "revoke", parameters: &[("user", Type::Text), ("session", Type::Text)], gives: &[] },
    Form {
        name: "grant",
        parameters: &[
            ("user", Type::Text),
            ("session", Type::Text),
            ("tier", Type::Text),
            ("feature", Type::Text),
            ("quantity", Type::Number),
        ],
        gives: &[],
    },
];

/// The statements that were given.
#[derive(Debug, Default)]
pub struct Own(BTreeMap<&'static str, Statement>);

/// What is wrong with them.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    #[error(transparent)]
    Statement(#[from] StatementError),
    #[error("statements: `{given}` needs `{missing}` beside it")]
    Half { given: &'static str, missing: &'static str },
}

impl Own {
    /// Reads them; touches nothing.
    pub fn read(given: &BTreeMap<String, String>) -> Result<Self, OwnError> {
        let own = Self(statements::read(given, &FORMS)?);
        let pairs = [
            ("find_user", "create_user"),
            ("create_user", "find_user"),
            ("grant", "revoke"),
            ("revoke", "grant"),
            ("grant", "find_user"),
            ("subscription", "find_user"),
        ];
        match pairs
            .into_iter()
            .find(|(given, missing)| own.0.contains_key(given) && !own.0.contains_key(missing))
        {
            Some((given, missing)) => Err(OwnError::Half { given, missing }),
            None => Ok(own),
        }
    }

    /// Lets the database read each of them.
    pub async fn check(&self, database: &Database) -> Result<(), StatementError> {
        statements::check(self.0.values(), database).await
    }

    /// The user's id in the team's table, and whether it was made now; `None` where the team has none.
    pub async fn user(&self, tx: &mut Tx, purchase: &Purchase) -> Result<Option<(String, bool)>, Fault> {
        let (Some(find), Some(create)) = (self.0.get("find_user"), self.0.get("create_user")) else {
            return Ok(None);
        };
        let values = [
            ("email", Value::from(purchase.email.normal())),
            ("email_given", purchase.email.given().into()),
            ("name", purchase.session.name().into()),
            ("customer", purchase.session.customer.as_deref().into()),
        ];
        if let Some(id) = tx.own(find, &values).await? {
            return Ok(Some((id, false)));
        }
        let made = tx.own(create, &values).await?;
        let id = made
            .ok_or_else(|| Fault::retry("database", "the statement `create_user` gave no row with an id"))?;
        Ok(Some((id, true)))
    }

    /// The purchase's row, as it stands now.
    pub async fn subscription(
        &self,
        tx: &mut Tx,
        user: &str,
        entitlement: &Entitlement,
    ) -> Result<(), Fault> {
        let Some(statement) = self.0.get("subscription") else { return Ok(()) };
        let standing = &entitlement.standing;
        let values = [
            ("user", Value::from(user)),
            ("session", (&entitlement.session_id).into()),
            ("stripe_subscription", entitlement.subscription_id.as_deref().into()),
            ("tier", (&entitlement.tier).into()),
            ("quantity", entitlement.quantity.into()),
            ("status", standing.status.word().into()),
            ("stands", i64::from(standing.status.stands()).into()),
            ("refunded", standing.refunded.into()),
            ("ends_at", standing.ends_at.into()),
        ];
        tx.own(statement, &values).await?;
        Ok(())
    }

    /// What the purchase gives now, in place of what it gave.
    pub async fn access(
        &self,
        tx: &mut Tx,
        user: &str,
        entitlement: &Entitlement,
        given: &BTreeMap<String, i64>,
    ) -> Result<(), Fault> {
        let (Some(grant), Some(revoke)) = (self.0.get("grant"), self.0.get("revoke")) else { return Ok(()) };
        let mut values = vec![
            ("user", Value::from(user)),
            ("session", (&entitlement.session_id).into()),
            ("tier", (&entitlement.tier).into()),
        ];
        tx.own(revoke, &values).await?;
        for (feature, amount) in given {
            values.truncate(3);
            values.extend([("feature", feature.into()), ("quantity", (*amount).into())]);
            tx.own(grant, &values).await?;
        }
        Ok(())
    }
}
