//! `config/tiers.toml`: what each Sumo tier grants. Read and checked once, when the handler is created; a reload of
//! hookyard's configuration reads it again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

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
        }
        Ok(())
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
    fn each_mistake_is_named() {
        let mistakes = [
            ("", "holds no [tier"),
            ("[tier.a]\nname='A'", "grants nothing"),
            ("[tier.a]\nname='A'\nfeatures={x=0}", "`x` must be at least 1"),
            ("[tier.a]\nname='A'\nfeatures={x=1}\nfixed={x=1}", "only one of"),
            ("[tier.a]\nname='A'\nfeature={x=1}", "cannot be understood"),
            ("[tier", "cannot be understood"),
        ];
        for (text, expected) in mistakes {
            let error = load(text).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert!(matches!(Tiers::load(Path::new("/nowhere")), Err(TiersError::Read { .. })));
    }
}
