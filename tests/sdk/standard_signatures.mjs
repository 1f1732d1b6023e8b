// Asks the official Standard Webhooks library for JavaScript: JSON lines on stdin, an answer a line on stdout.
//
// Called by plugins/forward/tests/signature.rs and tests/it/forward.rs. A line is {"do": "verify", "secret", "body" (hex),
// "id", "timestamp", "signature", "now"} or {"do": "sign", "secret", "body" (hex), "id", "timestamp"}.

import { createInterface } from 'node:readline';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';

// The library takes the time from nowhere else.
let now = 0;
Date.now = () => now * 1000;

function verify(asked, webhook) {
  now = asked.now;
  const headers = {
    'webhook-id': asked.id,
    'webhook-timestamp': asked.timestamp,
    'webhook-signature': asked.signature,
  };
  try {
    webhook.verify(Buffer.from(asked.body, 'hex'), headers);
  } catch (error) {
    if (error instanceof WebhookVerificationError) {
      return { verdict: 'reject' };
    }
    throw error;
  }
  return { verdict: 'accept' };
}

function sign(asked, webhook) {
  const moment = new Date(Number(asked.timestamp) * 1000);
  return { signature: webhook.sign(asked.id, moment, Buffer.from(asked.body, 'hex').toString('utf8')) };
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const webhook = new Webhook(asked.secret);
  console.log(JSON.stringify(asked.do === 'verify' ? verify(asked, webhook) : sign(asked, webhook)));
}
