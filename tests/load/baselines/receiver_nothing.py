"""What most people begin with: FastAPI and the official SDK, which verifies. It stores nothing."""

import os

import stripe
from fastapi import FastAPI, Request, Response

SECRET = os.environ["STRIPE_WEBHOOK_SECRET"]
app = FastAPI()


@app.post("/webhooks/stripe")
async def receive(request: Request) -> Response:
    payload = await request.body()
    try:
        stripe.Webhook.construct_event(payload, request.headers["stripe-signature"], SECRET)
    except (KeyError, ValueError, stripe.SignatureVerificationError):
        return Response(status_code=400)
    return Response('{"status":"ok"}', media_type="application/json")
