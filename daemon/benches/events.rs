//! Events of any size, as Stripe would send them, and envelopes of them.

use bytes::Bytes;
use hookyard::model::clock::{Clock, SystemClock};
use hookyard::model::event::Envelope;
use hookyard::model::ids::{IdempotencyKey, SourceName};

/// The sizes of the issue: a small event, a usual one, the largest that was seen.
pub(crate) const SIZES_KB: [usize; 3] = [1, 4, 46];

/// A checkout of about this many bytes: line items make up the size.
pub(crate) fn body(id: &str, bytes: usize) -> Bytes {
    let head = format!(
        r#"{{"id":"{id}","object":"event","api_version":"2025-03-31.basil","created":1796000000,"livemode":true,"type":"checkout.session.completed","data":{{"object":{{"id":"cs_{id}","object":"checkout.session","amount_total":17700,"currency":"usd","mode":"payment","payment_status":"paid","customer_details":{{"email":"buyer@example.com","name":"A Buyer"}},"metadata":{{"sumo_campaign_id":"camp_1","sumo_product_tier_id":"tier_2"}},"lines":["#
    );
    let tail = "]}}}";
    let mut text = head;
    let mut number = 0;
    while text.len() + tail.len() < bytes {
        let comma = if number == 0 { "" } else { "," };
        text.push_str(&format!(
            r#"{comma}{{"id":"il_{number:08}","object":"line_item","amount":5900,"quantity":3,"price":{{"id":"price_{number}","unit_amount":1900.5,"recurring":null}},"description":"A \"line\" of the bill"}}"#
        ));
        number += 1;
    }
    text.push_str(tail);
    text.into()
}

pub(crate) fn envelope(id: &str, bytes: usize) -> Envelope {
    Envelope {
        source: SourceName::new("stripe"),
        idempotency_key: IdempotencyKey::new(id),
        provider_id: id.to_owned(),
        event_type: "checkout.session.completed".to_owned(),
        account: None,
        livemode: Some(true),
        content_type: "application/json; charset=utf-8".to_owned(),
        headers: vec![("user-agent".to_owned(), "Stripe/1.0 (+https://stripe.com/docs/webhooks)".to_owned())],
        body: body(id, bytes),
        received: SystemClock.now(),
    }
}
