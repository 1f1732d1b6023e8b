"""One hookyard on a store of its own, with the plugin that is done at once."""

import hashlib
import hmac
import http.client
import json
import os
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

from lab.processes import Process, connects, free_port, wait_until
from lab.setup import ROOT

SECRET = "whsec_of_the_measurements"
TOKEN = "operator-token-of-the-measurements"
AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("HOOKYARD_")},
    "STRIPE_WEBHOOK_SECRET": SECRET,
    "HOOKYARD_ADMIN_TOKEN": TOKEN,
    "PYTHONDONTWRITEBYTECODE": "1",
}
CHECKOUT = json.loads((ROOT / "tests/fixtures/01_checkout_completed_sumo_paid.json").read_text())
PAUSE_SECONDS = 0.01
RULES_PER_FILE = 1_000


@dataclass
class Setup:
    """What differs from measurement to measurement."""

    #: Whether a rule takes the events. Without one they are stored, looked at, and kept as unrouted.
    dispatch: bool = True
    #: Handlers; every event goes to the first.
    handlers: int = 1
    #: Calls of a handler at once. The default of 8 is for handlers that talk to others; for one that is done at once, on
    #: cores that are all busy, it would be the limit: a call is two turns of the scheduler.
    concurrency: int = 64
    #: Rules; the last takes the events, the others look at them.
    rules: int = 1
    #: Whether the handler puts every event off, so that it stays due.
    later: bool = False
    #: What the daemon logs.
    log: str = "warn"
    #: Further lines of [server].
    server: list[str] = field(default_factory=list)
    #: Further lines of [store].
    store: list[str] = field(default_factory=list)


class Hookyard:
    """A daemon in `folder`, which keeps its store over restarts."""

    def __init__(self, programs: Path, folder: Path, setup: Setup):
        self.programs, self.folder, self.setup = programs, folder, setup
        self.process = None
        self.posted = 0
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Hookyard":
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def start(self) -> dict[str, float]:
        """Starts it and waits until it is ready. Says how long its door took, in seconds."""
        self.port, self.admin_port = free_port(), free_port()
        self.write_config()
        command = [self.programs / "hookyard", "serve", "--dev", "--log", self.setup.log, "-c", "hookyard.toml"]
        begun = time.monotonic()
        self.process = Process(command, self.folder / "daemon.log", cwd=self.folder, env=ENVIRONMENT)
        wait_until(lambda: connects(self.port), self.process, "the door listens", patience=600)
        listening = time.monotonic() - begun
        wait_until(self.answers, self.process, "the door answers", patience=600)
        answering = time.monotonic() - begun
        wait_until(self.is_ready, self.process, "the daemon is ready", patience=600)
        ready = time.monotonic() - begun
        return {"listening_seconds": listening, "answering_seconds": answering, "ready_seconds": ready}

    def stop(self) -> None:
        if self.process:
            self.process.stop()
            self.process = None

    def answers(self) -> bool:
        return asked(self.port, "/") == 404

    def is_ready(self) -> bool:
        """Whether what is stored is read: before it events are taken, and everything else waits."""
        return asked(self.admin_port, "/v1/status", AUTHORIZED) == 200

    @property
    def load_arguments(self) -> list[str]:
        return ["--url", f"http://127.0.0.1:{self.port}/webhooks/stripe", "--secret-env", "STRIPE_WEBHOOK_SECRET"]

    def get(self, path: str):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=600)
        try:
            connection.request("GET", path, headers=AUTHORIZED)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.status} {body!r}")
            return json.loads(body)
        finally:
            connection.close()

    def counts(self) -> dict[str, int]:
        return self.get("/v1/status")["counts"]

    def settle(self, patience: float = 3600) -> float:
        """Waits until nothing is left to be done now. Says how long that took, in seconds."""
        begun = time.monotonic()
        while time.monotonic() - begun < patience:
            self.process.must_run()
            counts = self.counts()
            waiting = 0 if self.setup.later else counts["pending"]
            first_tries = self.setup.later and counts["pending"] and self.untried()
            if counts["to_route"] == 0 and counts["leased"] == 0 and waiting == 0 and not first_tries:
                return time.monotonic() - begun
            time.sleep(PAUSE_SECONDS)
        raise SystemExit(f"the backlog did not drain within {patience} s: {self.counts()}")

    def untried(self) -> bool:
        """Whether the newest delivery still waits for its first attempt."""
        rows = self.get("/v1/deliveries?limit=1")["rows"]
        return bool(rows) and rows[0]["attempts"] == 0

    def event(self) -> tuple[bytes, dict[str, str]]:
        """A fresh event, signed now."""
        self.posted += 1
        body = json.dumps({**CHECKOUT, "id": f"evt_probe{os.getpid():08}{time.time_ns()}"}).encode()
        seconds = str(int(time.time()))
        mac = hmac.new(SECRET.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {"stripe-signature": f"t={seconds},v1={mac}", "content-type": "application/json"}
        return body, headers

    def to_plugin(self, events: int) -> dict[str, float]:
        """From before the request is sent until the plugin is called, one event at a time, in microseconds."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {}
        for _ in range(events):
            body, headers = self.event()
            at = time.time_ns() // 1000
            connection.request("POST", "/webhooks/stripe", body, headers)
            sent[json.loads(connection.getresponse().read())["event"]] = at
            time.sleep(PAUSE_SECONDS)
        connection.close()
        self.settle()
        return spread([self.called(id) - at for id, at in sent.items()])

    def empty_answers(self, count: int) -> dict[str, float]:
        """How long a 404 takes, one at a time, in microseconds: what an idle machine itself takes to wake up twice."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        taken = []
        for _ in range(count):
            begun = time.perf_counter()
            connection.request("GET", "/")
            connection.getresponse().read()
            taken.append((time.perf_counter() - begun) * 1e6)
            time.sleep(PAUSE_SECONDS)
        connection.close()
        return spread(taken)

    def called(self, event: str) -> int:
        """When the plugin was called for it, in microseconds since 1970: its message ends in that."""
        first = self.get(f"/v1/events/{event}")["deliveries"][0]["tries"][0]
        return int(first["message"].split()[-1])

    def reads(self, paths: list[str]) -> dict[str, float]:
        """How long the operator API takes for these, in microseconds."""
        taken = []
        for path in paths:
            begun = time.perf_counter()
            self.get(path)
            taken.append((time.perf_counter() - begun) * 1e6)
        return spread(taken)

    def some_events(self, count: int, from_ms: int, to_ms: int) -> list[str]:
        """Events from all over that time: those that follow moments in equal steps."""
        found = []
        for step in range(count):
            moment = from_ms + (to_ms - from_ms) * step // count
            found += self.get(f"/v1/events?newest=false&limit=1&after={first_id(moment)}")["rows"]
        return [row["event"] for row in found]

    def disk_bytes(self) -> int:
        return sum(path.stat().st_blocks * 512 for path in (self.folder / "store").rglob("*") if path.is_file())

    def write_config(self) -> None:
        """The main file, and the rules in as many files as hold them: a file has a limit."""
        (self.folder / "hookyard.toml").write_text(self.config())
        folder = self.folder / "rules"
        folder.mkdir(exist_ok=True)
        rules = self.rules()
        for number, first in enumerate(range(0, len(rules), RULES_PER_FILE)):
            lines = [line for one in rules[first : first + RULES_PER_FILE] for line in one]
            (folder / f"{number:03}.toml").write_text("\n".join([*lines, ""]))

    def config(self) -> str:
        setup = self.setup
        lines = [
            "[server]",
            f'listen = "127.0.0.1:{self.port}"',
            f'admin = {{ listen = "127.0.0.1:{self.admin_port}", token = "env:HOOKYARD_ADMIN_TOKEN" }}',
            *setup.server,
            "[store]",
            'path = "store"',
            *setup.store,
            "[source.stripe]",
            'path = "/webhooks/stripe"',
            'scheme = "stripe"',
            'secrets = ["env:STRIPE_WEBHOOK_SECRET"]',
            *self.handlers(),
            "[default]",
            "unrouted = true",
        ]
        return "\n".join([*lines, ""])

    def handlers(self) -> list[str]:
        """The plugins and the handlers."""
        setup, library = self.setup, self.programs / "libhookyard_test_done.so"
        lines = ["[plugin.done]", f'path = "{library}"']
        for number in range(setup.handlers):
            settings = f"settings = {{ later = {str(setup.later).lower()} }}"
            lines += [f"[handler.done-{number}]", 'plugin = "done"', f"concurrency = {setup.concurrency}", settings]
        return lines

    def rules(self) -> list[list[str]]:
        """Each rule's lines, in the order in which they are asked."""
        condition = 'type = "checkout.session.completed", metadata.sumo_campaign_id = "camp_{}_of_nobody"'
        rules = [rule(f"nobody's {number}", condition.format(number)) for number in range(self.setup.rules - 1)]
        if self.setup.dispatch:
            rules.append(rule("every event", 'type = { glob = "*" }'))
        return rules


def asked(port: int, path: str, headers: dict[str, str] = {}) -> int | None:
    """The status of an answer; nothing where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def first_id(unix_ms: int) -> str:
    """The smallest ULID of that millisecond."""
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "".join(alphabet[unix_ms >> (5 * place) & 31] for place in range(9, -1, -1)) + "0" * 16


def rule(name: str, condition: str, handlers: str = '"done-0"') -> list[str]:
    return ["[[rule]]", f'name = "{name}"', f"when = {{ {condition} }}", f"handlers = [{handlers}]"]


def spread(values: list[float]) -> dict[str, float]:
    values = sorted(values)
    at = lambda share: values[min(len(values) - 1, int(len(values) * share))]
    return {"p50": statistics.median(values), "p99": at(0.99), "max": values[-1], "count": len(values)}
