//! `config/tiers.toml`: what each Sumo tier grants. Read and checked once, when the handler is created; a reload of
//! hookyard's configuration reads it again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hookyard_fulfilment::facts::Subscription;
use hookyard_fulfilment::fault::{Fault, word};
use serde::Deserialize;

use crate::purchase::{QUANTITY_MAX, quantity};

/// A catalogue of tiers is some kilobytes; more is a wrong file.
const TIERS_BYTES_MAX: u64 = 1024 * 1024;

/// The catalogue, and where it was read from.
#[derive(Debug)]
pub struct Tiers {
    path: PathBuf,
    tiers: BTreeMap<String, Tier>,
}

/// One tier.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// As customers know it.
    pub name: String,
    /// Granted as often as the quantity says.
    #[serde(default)]
    features: BTreeMap<String, u32>,
    /// Granted once, whatever the quantity.
    #[serde(default)]
    fixed: BTreeMap<String, u32>,
    /// Stripe's prices that mean this tier, for subscriptions that are changed at Stripe.
    #[serde(default)]
    prices: Vec<String>,
    /// Tiers whose purchases this one takes the place of: an upgrade.
    #[serde(default)]
    replaces: Vec<String>,
}

/// What is wrong with the catalogue.
#[derive(Debug, thiserror::Error)]
pub enum TiersError {
    #[error("cannot read the tiers from {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the tiers in {} are larger than {TIERS_BYTES_MAX} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error("the tiers in {} cannot be understood", path.display())]
    Parse { path: PathBuf, source: Box<toml::de::Error> },
    #[error("{} holds no [tier.…]", path.display())]
    Empty { path: PathBuf },
    #[error("[tier.{tier}] in {} grants nothing; give it `features` or `fixed`", path.display())]
    GrantsNothing { path: PathBuf, tier: String },
    #[error("[tier.{tier}] in {}: `{feature}` must be at least 1 and stand in only one of `features` and `fixed`", path.display())]
    Feature { path: PathBuf, tier: String, feature: String },
    #[error("[tier.{tier}] in {}: it replaces `{other}`, which is not in the file", path.display())]
    ReplacesUnknown { path: PathBuf, tier: String, other: String },
    #[error("[tier.{tier}] in {}: it replaces itself, directly or through others", path.display())]
    ReplacesItself { path: PathBuf, tier: String },
    #[error("{}: the price `{price}` stands in more than one tier", path.display())]
    PriceTwice { path: PathBuf, price: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    tier: BTreeMap<String, Tier>,
}

impl Tiers {
    /// Reads the catalogue; every tier in it grants something when this succeeds.
    pub fn load(path: &Path) -> Result<Self, TiersError> {
        let read = |source| TiersError::Read { path: path.to_path_buf(), source };
        if std::fs::metadata(path).map_err(read)?.len() > TIERS_BYTES_MAX {
            return Err(TiersError::TooLarge { path: path.to_path_buf() });
        }
        let text = std::fs::read_to_string(path).map_err(read)?;
        let file: File = toml::from_str(&text)
            .map_err(|error| TiersError::Parse { path: path.to_path_buf(), source: Box::new(error) })?;
        let tiers = Self { path: path.to_path_buf(), tiers: file.tier };
        tiers.check()?;
        Ok(tiers)
    }

    /// The tier of that id.
    pub fn get(&self, id: &str) -> Option<&Tier> {
        self.tiers.get(id)
    }

    /// Whether a purchase of `tier` takes the place of one of `other`, directly or through others.
    pub fn replaces(&self, tier: &str, other: &str) -> bool {
        let mut open: Vec<&str> = vec![tier];
        let mut seen = BTreeSet::new();
        while let Some(next) = open.pop() {
            let replaced = self.get(next).map(|tier| tier.replaces.as_slice()).unwrap_or_default();
            if replaced.iter().any(|replaced| replaced == other) {
                return true;
            }
            open.extend(replaced.iter().map(String::as_str).filter(|replaced| seen.insert(*replaced)));
        }
        false
    }

    /// The tier and quantity that a subscription has now, where Stripe's word of it says so: by its metadata, else by the
    /// price of its first item that the catalogue knows.
    pub fn plan(&self, told: &Subscription) -> Option<(String, u32)> {
        if let Some(tier) = told.tier.as_ref().filter(|tier| self.get(tier).is_some()) {
            return Some((tier.clone(), quantity(told.quantity.as_deref()).ok()?));
        }
        told.items.iter().find_map(|(price, amount)| {
            let (tier, _) = self.tiers.iter().find(|(_, tier)| tier.prices.contains(price))?;
            let amount = u32::try_from(*amount).ok().filter(|amount| (1..=QUANTITY_MAX).contains(amount))?;
            Some((tier.clone(), amount))
        })
    }

    /// The dead letter of a tier that is not here.
    pub fn unknown(&self, tier_id: &str) -> Fault {
        let message = format!(
            "the tier `{}` is not in {}; add it, reload, and redeliver",
            word(tier_id),
            self.path.display()
        );
        Fault::reject("tier_unknown", message)
    }

    /// Where the catalogue was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn check(&self) -> Result<(), TiersError> {
        if self.tiers.is_empty() {
            return Err(TiersError::Empty { path: self.path.clone() });
        }
        for (id, tier) in &self.tiers {
            let (path, id) = (self.path.clone(), id.clone());
            if tier.features.is_empty() && tier.fixed.is_empty() {
                return Err(TiersError::GrantsNothing { path, tier: id });
            }
            let zero = tier.features.iter().chain(&tier.fixed).find(|(_, amount)| **amount == 0);
            let twice = tier.features.iter().find(|(feature, _)| tier.fixed.contains_key(*feature));
            if let Some((feature, _)) = zero.or(twice) {
                return Err(TiersError::Feature { path, tier: id, feature: feature.clone() });
            }
            if let Some(other) = tier.replaces.iter().find(|other| self.get(other).is_none()) {
                return Err(TiersError::ReplacesUnknown { path, tier: id, other: other.clone() });
            }
            if self.replaces(&id, &id) {
                return Err(TiersError::ReplacesItself { path, tier: id });
            }
        }
        self.check_prices()
    }

    /// A price decides what somebody gets, so it may mean one tier only.
    fn check_prices(&self) -> Result<(), TiersError> {
        let mut seen = BTreeSet::new();
        match self.tiers.values().flat_map(|tier| &tier.prices).find(|price| !seen.insert(*price)) {
            Some(price) => Err(TiersError::PriceTwice { path: self.path.clone(), price: price.clone() }),
            None => Ok(()),
        }
    }
}

impl Tier {
    /// What a purchase of this quantity grants: each feature once, by name.
    pub fn grants(&self, quantity: u32) -> Vec<(String, i64)> {
        let many =
            self.features.iter().map(|(feature, amount)| (feature, i64::from(*amount) * i64::from(quantity)));
        let once = self.fixed.iter().map(|(feature, amount)| (feature, i64::from(*amount)));
        let grants: BTreeMap<_, _> = many.chain(once).collect();
        grants.into_iter().map(|(feature, amount)| (feature.clone(), amount)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Tiers, TiersError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tiers.toml");
        std::fs::write(&path, text).unwrap();
        Tiers::load(&path)
    }

    #[test]
    fn the_quantity_multiplies_features_and_leaves_the_fixed_alone() {
        let tiers = load("[tier.a]\nname='A'\nfeatures={projects=50}\nfixed={api=1}").unwrap();
        let granted = tiers.get("a").unwrap().grants(3);
        assert_eq!(granted, [("api".to_owned(), 1), ("projects".to_owned(), 150)]);
    }

    #[test]
    fn the_largest_purchase_does_not_overflow() {
        let tiers = load(&format!("[tier.a]\nname='A'\nfeatures={{projects={}}}", u32::MAX)).unwrap();
        assert_eq!(tiers.get("a").unwrap().grants(999_999)[0].1, i64::from(u32::MAX) * 999_999);
    }

    #[test]
    fn a_tier_replaces_what_its_replaced_tiers_replace() {
        let tiers = load(
            "[tier.a]\nname='A'\nfeatures={x=1}\n[tier.b]\nname='B'\nfeatures={x=1}\nreplaces=['a']\n\
             [tier.c]\nname='C'\nfeatures={x=1}\nreplaces=['b']",
        )
        .unwrap();
        assert!(tiers.replaces("c", "a") && tiers.replaces("b", "a"));
        assert!(!tiers.replaces("a", "c") && !tiers.replaces("c", "c"));
    }

    #[test]
    fn a_subscriptions_metadata_says_its_tier_and_else_its_price() {
        let tiers = load(
            "[tier.a]\nname='A'\nfeatures={x=1}\nprices=['price_a']\n[tier.b]\nname='B'\nfeatures={x=1}",
        )
        .unwrap();
        let told = |tier: Option<&str>, quantity: Option<&str>, items: &[(&str, i64)]| Subscription {
            status: "active".to_owned(),
            ends_at: None,
            at: 1,
            tier: tier.map(str::to_owned),
            quantity: quantity.map(str::to_owned),
            items: items.iter().map(|(price, amount)| ((*price).to_owned(), *amount)).collect(),
        };
        let plan = |told: Subscription| tiers.plan(&told);
        assert_eq!(plan(told(Some("b"), Some("2"), &[("price_a", 5)])), Some(("b".to_owned(), 2)));
        assert_eq!(plan(told(None, None, &[("price_x", 9), ("price_a", 5)])), Some(("a".to_owned(), 5)));
        assert_eq!(plan(told(None, Some("7"), &[("price_x", 9)])), None, "what was bought stays");
        assert_eq!(plan(told(Some("b"), Some("3x"), &[])), None);
    }

    #[test]
    fn each_mistake_is_named() {
        let mistakes = [
            ("", "holds no [tier"),
            ("[tier.a]\nname='A'", "grants nothing"),
            ("[tier.a]\nname='A'\nfeatures={x=0}", "`x` must be at least 1"),
            ("[tier.a]\nname='A'\nfeatures={x=1}\nfixed={x=1}", "only one of"),
            ("[tier.a]\nname='A'\nfeature={x=1}", "cannot be understood"),
            ("[tier", "cannot be understood"),
            ("[tier.a]\nname='A'\nfeatures={x=1}\nreplaces=['b']", "replaces `b`, which is not in the file"),
            ("[tier.a]\nname='A'\nfeatures={x=1}\nreplaces=['a']", "replaces itself"),
            (
                "[tier.a]\nname='A'\nfeatures={x=1}\nreplaces=['b']\n[tier.b]\nname='B'\nfeatures={x=1}\nreplaces=['a']",
                "replaces itself",
            ),
            (
                "[tier.a]\nname='A'\nfeatures={x=1}\nprices=['p']\n[tier.b]\nname='B'\nfeatures={x=1}\nprices=['p']",
                "the price `p` stands in more than one tier",
            ),
        ];
        for (text, expected) in mistakes {
            let error = load(text).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert!(matches!(Tiers::load(Path::new("/nowhere")), Err(TiersError::Read { .. })));
    }
}
