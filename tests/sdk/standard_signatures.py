"""Asks the official Standard Webhooks library for Python: JSON lines on stdin, an answer a line on stdout.

Called by plugins/forward/tests/signature.rs and tests/it/forward.rs. A line is {"do": "verify", "secret", "body" (hex),
"id", "timestamp", "signature", "now"} or {"do": "sign", "secret", "body" (hex), "id", "timestamp"}.
"""

import datetime
import json
import sys

import standardwebhooks.webhooks as library


class Clock(datetime.datetime):
    """The moment that the line says; the library takes no other way."""

    moment = 0

    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(cls.moment, tz)


library.datetime = Clock


def verify(case, webhook):
    Clock.moment = case["now"]
    headers = {
        "webhook-id": case["id"],
        "webhook-timestamp": case["timestamp"],
        "webhook-signature": case["signature"],
    }
    try:
        webhook.verify(bytes.fromhex(case["body"]), headers)
    except library.WebhookVerificationError:
        return {"verdict": "reject"}
    return {"verdict": "accept"}


def sign(case, webhook):
    moment = datetime.datetime.fromtimestamp(int(case["timestamp"]), datetime.timezone.utc)
    body = bytes.fromhex(case["body"]).decode()
    return {"signature": webhook.sign(case["id"], moment, body)}


for line in sys.stdin:
    case = json.loads(line)
    webhook = library.Webhook(case["secret"])
    print(json.dumps((verify if case["do"] == "verify" else sign)(case, webhook)))
