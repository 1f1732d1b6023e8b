#!/usr/bin/env python3
"""Writes the seed corpora: `seeds.py DIRECTORY`, one folder in it for each target.

Fixtures and vectors are the project's own and stand elsewhere in the tree; what is written here is made anew for each
run and never committed. The few seeds that no fixture gives stand below, as text or hex.
"""

import base64
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FIXTURES = [p.read_bytes() for p in sorted((ROOT / "tests/fixtures").glob("*.json")) if p.name != "INDEX.json"]
VECTORS = json.loads((ROOT / "tests/vectors/stripe_signature.json").read_text())
RULES = [p.read_bytes() for p in sorted((ROOT / "config/rules").glob("*.toml"))]
MAIN = (ROOT / "config/hookyard.toml").read_bytes()
# The instant of targets/signature.rs.
NOW = 1_796_000_000
# `KINDS` of daemon/src/store/sled/fuzz.rs.
VALUE_KINDS = 11

SPECIAL_HEADERS = [
    b"", b"t=,v1={0}", b"t=%d" % NOW, b"t=%d,v1={0}\nt=%d,v1={0}" % (NOW, NOW), b"t=0%d,v1={0}" % NOW,
    b"t=%d,t=%d,v1={0}" % (NOW, NOW), b"v1={0},t=%d" % NOW, b"t=%d,v0={0}" % NOW,
    b"t=%d" % NOW + b",v1={0}" * 33, b"t=%d,v1={1},v1={0}" % (NOW - 301),
]
SPECIAL_EVENTS = [
    b'{"id":"a/b%","type":"t","account":"c","livemode":false}', b'{"id":"e","id":"f","type":"t"}',
    b'{"id":1e999,"type":"t"}', b'{"id":"e","type":null}', b'[]', b'{"\\u0069d":"e","type":"t"}',
    b'{"id":"e","type":"t","x":' + b"[" * 200 + b"]" * 200 + b"}",
]
SPECIAL_RULES = [
    b"when = { not = { any = [{ type = \"a\" }, { all = [{ obj.x = { ge = 1.5 } }] }] } }",
    b"when = { \"data.object.items[*].price\" = { some = { id = { prefix = \"p\" } } } }",
    b"when = { obj.a = { glob = \"a*b?[c]\", len = { gt = 2 }, is = [\"string\", \"null\"] } }",
    b"when = { obj.id = { ieq = \"\xc3\x84\" }, obj.y = { not_in = [1, 2.0, true, \"x\"] } }",
]
# Messages of daemon/plugin-host/src/protocol.rs by hand: cancel, ended, log, an upcall, replies, ready.
MESSAGES = [
    "02ac02", "04070f010570616e696302c3a4027b7d", "0201070304746578740101610162", "0307010700046b657931",
    "030000030161", "03000004016b017600", "0303010261620700", "03030704ab", "0001610130016201",
]


def main(directory: pathlib.Path) -> None:
    """One folder a target; a target without a maker begins from nothing."""
    makers = {
        "signature": signature, "envelope": envelope, "rules": rules, "config": config,
        "protocol": protocol, "store": store,
    }
    for target, make in makers.items():
        folder = directory / target
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(make()):
            (folder / f"seed_{number:03}").write_bytes(seed)


def signature():
    """Every fixture under a good header, and every vector's header as it stands."""
    for body in FIXTURES[:8]:
        yield b"t=%d,v1={0}\0%s" % (NOW, body)
    for answer in VECTORS["known_answers"]:
        yield answer["header"].encode() + b"\0" + base64.b64decode(answer["body_b64"])
    for header in SPECIAL_HEADERS:
        yield header + b"\0{}"


def envelope():
    """Every fixture, with headers that are kept and headers that are not."""
    lines = b"content-type: application/json\nuser-agent: Stripe/1.0\nauthorization: x\nx-api-key: y\nx-\xff: \xff"
    for body in FIXTURES + SPECIAL_EVENTS:
        yield lines + b"\0" + body


def rules():
    """The shipped rules and some of every operator, over some of the fixtures."""
    special = [b"[[rule]]\n" + rule for rule in SPECIAL_RULES]
    for text in RULES + special:
        for body in FIXTURES[:6] + SPECIAL_EVENTS[:2]:
            yield text + b"\0" + body


def config():
    """The shipped configuration, whole and by its sections, and the ones that the config's own tests write."""
    for text in RULES:
        yield MAIN + b"\0" + text
    for section in re.split(rb"\n(?=\[)", MAIN):
        yield section
    for path in sorted((ROOT / "daemon/src/config/tests").glob("*.rs")):
        for text in re.findall(rb'r#"(.*?)"#', path.read_bytes(), re.S):
            if b"=" in text:
                yield text


def protocol():
    """Bare messages, and the same as frames."""
    for message in map(bytes.fromhex, MESSAGES):
        yield message
        yield len(message).to_bytes(4, "little") + message


def store():
    """The golden rows of the codec's tests, each as every kind; and one key of each shape: event, delivery, due, waiting, attempt."""
    for row in golden():
        for kind in range(VALUE_KINDS):
            yield bytes([kind]) + row
    event, name, key = bytes(range(16)), b"\0\x04sumo", bytes([VALUE_KINDS])
    yield key + b"i" + event
    yield key + b"d" + event + b"sumo"
    yield key + b"q" + name + (1_800_000_000_000).to_bytes(8, "big") + event
    yield key + b"w" + name
    yield key + b"a" + event + name + b"\0\0\0\x02\0\0"
    yield key + b"\xff" * 20


def golden():
    """Each hex text of the codec's tests that is as long as a row."""
    text = (ROOT / "daemon/src/store/sled/codec/tests.rs").read_text()
    return [bytes.fromhex(row) for row in re.findall(r'"((?:[0-9a-f]{2}){2,})"', text)]


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
