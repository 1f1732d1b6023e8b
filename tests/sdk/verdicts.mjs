// Asks Stripe's own Node library: verifies and signs what comes as JSON lines on stdin, and answers line by line.
//
// Called by tests/it/signature_sdk.rs, which also lists where the library's verdicts differ from ours, and why.
// A line is {"do": "verify", "secret", "header", "body" (hex), "now_millis", "tolerance_seconds"}
// or {"do": "sign", "secret", "body" (hex), "timestamp"}.

import { createInterface } from 'node:readline';
import Stripe from 'stripe';

const { webhooks } = new Stripe('sk_test_never_used');

function verify(asked) {
  const { header, secret, tolerance_seconds: tolerance, now_millis: now } = asked;
  try {
    webhooks.signature.verifyHeader(Buffer.from(asked.body, 'hex'), header, secret, tolerance, undefined, now);
  } catch (error) {
    if (error instanceof Stripe.errors.StripeSignatureVerificationError) {
      return { verdict: 'reject' };
    }
    // What would be a 500 in a program that catches only the above.
    return { verdict: 'error', error: error.constructor.name };
  }
  return { verdict: 'accept' };
}

function sign({ body, secret, timestamp }) {
  const payload = Buffer.from(body, 'hex').toString('utf8');
  return { header: webhooks.generateTestHeaderString({ payload, secret, timestamp }) };
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  console.log(JSON.stringify(asked.do === 'verify' ? verify(asked) : sign(asked)));
}
