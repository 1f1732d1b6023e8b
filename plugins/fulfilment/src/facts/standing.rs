//! What stands, from the facts alone: the one place that decides whether a purchase still gives access. Pure.
//!
//! A full refund, a lost dispute and a subscription that has ended take away; a partial refund, an open dispute, a renewal
//! that failed and a cancellation that lies ahead are told and take nothing away.

use super::{Dispute, Facts};

/// The state of a purchase, worst first: of several that hold, the first is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All of its money has gone back.
    Refunded,
    DisputeLost,
    /// Its subscription has ended.
    Canceled,
    /// The seller's settings left it unpaid after the last try.
    Unpaid,
    Paused,
    /// Another purchase of the same user stands in its place.
    Superseded,
    PastDue,
    Disputed,
    /// Cancelled, and runs to the end of its period.
    Ending,
    PartlyRefunded,
    Active,
}

/// What the facts come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub status: Status,
    /// In the currency's smallest unit.
    pub refunded: i64,
    /// A dispute is open.
    pub disputed: bool,
    /// Unix seconds.
    pub ends_at: Option<i64>,
}

impl Status {
    /// The word in the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::Refunded => "refunded",
            Self::DisputeLost => "dispute_lost",
            Self::Canceled => "canceled",
            Self::Unpaid => "unpaid",
            Self::Paused => "paused",
            Self::Superseded => "superseded",
            Self::PastDue => "past_due",
            Self::Disputed => "disputed",
            Self::Ending => "ending",
            Self::PartlyRefunded => "partly_refunded",
            Self::Active => "active",
        }
    }

    /// Whether a purchase in this state gives what it was bought for.
    pub fn stands(self) -> bool {
        matches!(self, Self::PastDue | Self::Disputed | Self::Ending | Self::PartlyRefunded | Self::Active)
    }
}

/// What the facts come to for a purchase of `paid`, in the currency's smallest unit.
pub fn standing(facts: &Facts, paid: Option<i64>) -> Standing {
    let refunded = refunded(facts);
    let disputed = facts.disputes.contains(&Dispute::Open);
    let ends_at = facts.subscription.as_ref().and_then(|subscription| subscription.ends_at);
    let money = money(facts, refunded, paid);
    let status = money.or_else(|| subscribed(facts)).unwrap_or(match () {
        () if disputed => Status::Disputed,
        () if ends_at.is_some() => Status::Ending,
        () if refunded > 0 => Status::PartlyRefunded,
        () => Status::Active,
    });
    Standing { status, refunded, disputed, ends_at }
}

/// Stripe counts what has gone back in two ways: by charge, cumulative at a moment, and refund by refund. Either may be
/// the only one that was told, so the greater counts; a refund that failed after that moment is money that came back.
fn refunded(facts: &Facts) -> i64 {
    let by_charge: i64 = facts
        .charges
        .iter()
        .map(|charge| {
            let failed_since =
                |failed_at: &Option<i64>| failed_at.is_some_and(|failed_at| failed_at >= charge.at);
            let came_back: i64 = facts
                .refunds
                .iter()
                .filter(|refund| failed_since(&refund.failed_at))
                .map(|refund| refund.amount)
                .sum();
            (charge.amount_refunded - came_back).max(0)
        })
        .sum();
    let by_refund =
        facts.refunds.iter().filter(|refund| refund.failed_at.is_none()).map(|refund| refund.amount).sum();
    by_charge.max(by_refund)
}

fn money(facts: &Facts, refunded: i64, paid: Option<i64>) -> Option<Status> {
    let charged: i64 = facts.charges.iter().map(|charge| charge.amount).sum();
    let invoiced = facts.invoice.map(|invoice| invoice.amount_paid).filter(|amount| *amount > 0);
    let whole = if charged > 0 { Some(charged) } else { invoiced.or(paid) };
    if refunded > 0 && whole.is_some_and(|whole| refunded >= whole) {
        return Some(Status::Refunded);
    }
    facts.disputes.contains(&Dispute::Lost).then_some(Status::DisputeLost)
}

fn subscribed(facts: &Facts) -> Option<Status> {
    let told = facts.subscription.as_ref();
    match told.map(|subscription| subscription.status.as_str()) {
        Some("canceled" | "incomplete_expired") => return Some(Status::Canceled),
        Some("unpaid") => return Some(Status::Unpaid),
        Some("paused") => return Some(Status::Paused),
        Some("past_due") => return Some(Status::PastDue),
        _ => {}
    }
    // A renewal that failed, and no later word that the subscription runs again.
    let failed = facts.invoice.filter(|invoice| !invoice.paid)?;
    let runs_since = told.is_some_and(|subscription| subscription.at > failed.at);
    (!runs_since).then_some(Status::PastDue)
}

#[cfg(test)]
mod tests;
