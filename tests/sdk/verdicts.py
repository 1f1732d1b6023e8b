"""Asks Stripe's own Python library: verifies and signs what comes as JSON lines on stdin, and answers line by line.

Called by tests/it/signature_sdk.rs, which also lists where the library's verdicts differ from ours, and why.
A line is {"do": "verify", "secret", "header", "body" (hex), "now_millis", "tolerance_seconds"}
or {"do": "sign", "secret", "body" (hex), "timestamp"}.
"""

import json
import sys
import time

import stripe

now_millis = 0
time.time = lambda: now_millis / 1000


def verify(case):
    global now_millis
    now_millis = case["now_millis"]
    try:
        stripe.WebhookSignature.verify_header(
            bytes.fromhex(case["body"]), case["header"], case["secret"], case["tolerance_seconds"]
        )
    except stripe.SignatureVerificationError:
        return {"verdict": "reject"}
    except Exception as error:  # what would be a 500 in a program that catches only the above
        return {"verdict": "error", "error": type(error).__name__}
    return {"verdict": "accept"}


def sign(case):
    body = bytes.fromhex(case["body"]).decode("utf-8")
    return {
        "header": stripe.WebhookSignature.generate_signature_header(
            body, case["secret"], timestamp=case["timestamp"]
        )
    }


for line in sys.stdin:
    case = json.loads(line)
    print(json.dumps(verify(case) if case["do"] == "verify" else sign(case)))
