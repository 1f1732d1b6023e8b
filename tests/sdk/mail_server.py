"""A real SMTP server (aiosmtpd) for the tests. Prints its port; each line of standard input is a sender's address, and the
answer is a JSON array of the mails that were taken from it. At the end of standard input it ends.

By the recipient's local part: `busy…` is told 450 at its first try (greylisting), `gone…` is told 550.
With --tls CERTIFICATE KEY it speaks STARTTLS; with --login USER PASSWORD it takes mail only after AUTH.
"""
import argparse
import json
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

arguments = argparse.ArgumentParser()
arguments.add_argument("--tls", nargs=2)
arguments.add_argument("--login", nargs=2)
arguments = arguments.parse_args()
taken, seen = [], set()


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone"):
            return "550 5.1.1 <%s>: no such mailbox here" % address
        first = (envelope.mail_from, address)
        if address.startswith("busy") and first not in seen:
            seen.add(first)
            return "450 4.2.0 <%s>: greylisted, try again later" % address
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        tls = session.ssl is not None
        mail = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": tls, "connection": str(session.peer)}
        taken.append(mail | {"text": envelope.original_content.decode("utf-8", "replace")})
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    good = [data.login.decode(), data.password.decode()] == arguments.login
    return AuthResult(success=good)


options = {"enable_SMTPUTF8": True}
if arguments.tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*arguments.tls)
    options |= {"tls_context": context, "require_starttls": True}
if arguments.login:
    options |= {"authenticator": authenticate, "auth_required": True}


class AnyPort(Controller):
    def _trigger_server(self):
        """The port is the kernel's: ask which one, before the first connection proves that it listens."""
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


controller = AnyPort(Handler(), hostname="127.0.0.1", port=0, **options)
controller.start()
print(controller.port, flush=True)
for line in sys.stdin:
    mails = [mail for mail in taken if mail["from"] == line.strip()]
    print(json.dumps(mails), flush=True)
