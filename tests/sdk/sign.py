"""Signs bodies with the official Stripe SDK: a JSON object a line in, a signature header a line out."""

import base64
import json
import sys

import stripe

for line in sys.stdin:
    case = json.loads(line)
    payload = base64.b64decode(case["body_b64"]).decode()
    header = stripe.WebhookSignature.generate_signature_header(
        payload, case["secret"], timestamp=case["timestamp"]
    )
    print(header, flush=True)
