//! What a Sumo session says was bought: its `sumo_*` metadata, checked. Pure; every fault here is the data's and final.
//!
//! Faults, all rejected: `email_missing`, `email_invalid`, `tier_missing`, `tier_unknown`, `quantity_invalid`,
//! `addons_invalid`.

use hookyard_fulfilment::admit::Admitted;
use hookyard_fulfilment::email::Email;
use hookyard_fulfilment::fault::{Fault, word};
use hookyard_plugin::stripe::CheckoutSession;
use serde_json::Value;

use crate::tiers::Tiers;

/// Digits of the largest quantity: 999 999 licences.
const QUANTITY_DIGITS_MAX: usize = 6;
/// The same as a number.
pub(crate) const QUANTITY_MAX: u32 = 999_999;

/// A purchase that can be provisioned.
#[derive(Debug, Clone)]
pub struct Purchase {
    pub session: CheckoutSession,
    pub livemode: bool,
    pub email: Email,
    pub tier_id: String,
    /// The tier as customers know it.
    pub tier_name: String,
    pub quantity: u32,
    /// A JSON array, as Sumo sent it; `[]` where it sent none.
    pub addons: String,
    /// Feature and amount, the quantity multiplied in.
    pub grants: Vec<(String, i64)>,
}

impl Purchase {
    /// Reads an admitted session against the catalogue of tiers.
    pub fn read(admitted: Admitted, tiers: &Tiers) -> Result<Self, Fault> {
        let Admitted { session, livemode } = admitted;
        let email = email(&session)?;
        let tier_id = session
            .metadata
            .get("sumo_product_tier_id")
            .ok_or_else(|| {
                Fault::reject("tier_missing", "the session's metadata has no sumo_product_tier_id")
            })?
            .to_owned();
        let tier = tiers.get(&tier_id).ok_or_else(|| tiers.unknown(&tier_id))?;
        let quantity = quantity(session.metadata.get("sumo_quantity"))?;
        let addons = addons(session.metadata.get("sumo_addons"))?;
        let (tier_name, grants) = (tier.name.clone(), tier.grants(quantity));
        Ok(Self { session, livemode, email, tier_id, tier_name, quantity, addons, grants })
    }
}

fn email(session: &CheckoutSession) -> Result<Email, Fault> {
    let given = session.email().ok_or_else(|| {
        let message = "the session names no e-mail address of the buyer, so there is nobody to give access to; \
            find the buyer at Stripe";
        Fault::reject("email_missing", message)
    })?;
    Email::parse(given).map_err(|error| Fault::reject("email_invalid", error.to_string()))
}

/// Absent is one. Otherwise a plain whole number from 1 on: what other readers make of "0", "-2", "3x" or " 3 " differs,
/// so none of those may decide what somebody gets.
pub(crate) fn quantity(text: Option<&str>) -> Result<u32, Fault> {
    let Some(text) = text else { return Ok(1) };
    let plain = text.len() <= QUANTITY_DIGITS_MAX
        && text.bytes().all(|b| b.is_ascii_digit())
        && !text.starts_with('0');
    plain.then(|| text.parse().ok()).flatten().ok_or_else(|| {
        let message = format!("sumo_quantity `{}` is not a whole number from 1 to 999999", word(text));
        Fault::reject("quantity_invalid", message)
    })
}

fn addons(text: Option<&str>) -> Result<String, Fault> {
    let Some(text) = text else { return Ok("[]".to_owned()) };
    match serde_json::from_str(text) {
        Ok(Value::Array(_)) => Ok(text.to_owned()),
        _ => Err(Fault::reject("addons_invalid", "sumo_addons is not a JSON array")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_that_other_readers_disagree_on_are_refused() {
        assert_eq!(quantity(None), Ok(1));
        for (text, expected) in [("1", 1), ("3", 3), ("999999", 999_999)] {
            assert_eq!(quantity(Some(text)), Ok(expected));
        }
        for bad in ["0", "00", "01", "-2", "+1", "3x", "abc", " 3 ", "1_0", "1.0", "1e3", "1000000", "٣", "³"]
        {
            assert_eq!(quantity(Some(bad)).unwrap_err().code(), "quantity_invalid", "{bad}");
        }
    }

    #[test]
    fn add_ons_are_a_json_array_or_nothing() {
        assert_eq!(addons(None).unwrap(), "[]");
        assert_eq!(addons(Some(r#"[{"id":"a"}]"#)).unwrap(), r#"[{"id":"a"}]"#);
        for bad in ["{}", "null", "\"x\"", "[", "addon_a"] {
            assert_eq!(addons(Some(bad)).unwrap_err().code(), "addons_invalid", "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_quantity_up_to_the_bound_is_read_as_itself(number in 1_u32..=999_999) {
            prop_assert_eq!(quantity(Some(&number.to_string())), Ok(number));
        }

        #[test]
        fn a_quantity_that_is_read_prints_as_it_was(text in "\\PC{0,8}") {
            if let Ok(number) = quantity(Some(&text)) {
                prop_assert_eq!(number.to_string(), text);
                prop_assert!((1..=999_999).contains(&number));
            }
        }
    }
}
