"""Notification rules and channels from documents, with every fault named."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from scheduler.domain.documents import UnreadableDocument, node_of
from scheduler.domain.durations import parse_duration
from scheduler.domain.errors import Invalid, InvalidDefinition
from scheduler.domain.names import TYPE_NAME, TYPE_NAME_RULE
from scheduler.domain.secrets import SECRET_NAME, SECRET_NAME_RULE
from scheduler.domain.sections import (
    Cursor,
    Faults,
    Section,
    decimal,
    flag,
    kind_of,
    matching,
    one_of,
    text,
    whole,
)

# What each event tells of, and which settings of a rule it looks at.
EVENTS: Mapping[str, tuple[str, ...]] = {
    "failed": (),
    "failed_often": ("count", "of_last"),
    "late": ("after",),
    "missed": (),
    "longer": ("factor", "count"),
    "approval": ("after",),
    "dead_letters": ("count",),
    "cloned": (),
    "unreachable": ("after",),
}
TITLES = {
    "failed": "a run failed",
    "failed_often": "runs fail often",
    "late": "a schedule started late",
    "missed": "a schedule missed a tick",
    "longer": "a run takes longer than usual",
    "approval": "an approval is waited for",
    "dead_letters": "dead letters are growing",
    "cloned": "the identity of a workstation is used twice",
    "unreachable": "a workstation is out of reach",
    "test": "this is a test",
}
KINDS = ("webhook", "email", "run")
RULE = (
    "name",
    "event",
    "type",
    "count",
    "of_last",
    "factor",
    "after",
    "quiet",
    "most_a_day",
    "channels",
)
CHANNEL = ("name", *KINDS, "secret")
MOST_CHANNELS, MOST_ADDRESSES, LONGEST_URL = 20, 50, 2000
LONGEST = timedelta(days=365)
NOBODY: list[str] = []
NOTHING: dict[str, Any] = {}

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
NAME_RULE = "1 to 63 of a-z, 0-9 and '-', a letter or digit first"
ADDRESS = re.compile(r"[^@\s,<>\"\x00-\x1f\x7f]{1,64}@[A-Za-z0-9.-]{1,253}")

name = matching(NAME, NAME_RULE)
type_name = matching(TYPE_NAME, TYPE_NAME_RULE)
secret_name = matching(SECRET_NAME, SECRET_NAME_RULE)
address = matching(ADDRESS, "an address is written as someone@example.org")


def read_rule(document: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a rule; raises InvalidDefinition with all faults."""
    return read(document, "rule", rule_at)


def read_channel(document: Mapping[str, Any]) -> dict[str, Any]:
    """`name`, `kind`, `config` and `secret` of a channel; whether its URL can be called is for
    whoever calls it to say."""
    return read(document, "channel", channel_at)


def read(document: Mapping[str, Any], source: str, reader: Any) -> dict[str, Any]:
    faults = Faults(source)
    try:
        given = {key: value for key, value in document.items() if value is not None}
        found: dict[str, Any] = reader(Cursor(node_of(given), "", faults))
    except UnreadableDocument as fault:
        raise InvalidDefinition([f"{source}: {fault}"]) from None
    if faults.found:
        raise InvalidDefinition(faults.lines())
    return found


def rule_at(cursor: Cursor) -> dict[str, Any]:
    section = Section(cursor, RULE)
    return {
        "name": section.need("name", name, ""),
        "event": section.need("event", one_of(*EVENTS), ""),
        "type": section.take("type", type_name, None),
        "count": section.take("count", whole(1, 1_000_000), 1),
        "of_last": section.take("of_last", whole(1, 1000), 10),
        "factor": section.take("factor", positive, 2.0),
        "after": section.take("after", length, timedelta(minutes=5)),
        "quiet": section.take("quiet", length, timedelta(minutes=10)),
        "most_a_day": section.take("most_a_day", whole(1, 100_000), 100),
        "channels": section.need("channels", channels, NOBODY),
    }


def positive(cursor: Cursor) -> float:
    found = decimal(0, 1000)(cursor)
    if not found:
        raise Invalid("a number above 0 is expected")
    return found


def length(cursor: Cursor) -> timedelta:
    value = cursor.value
    if isinstance(value, timedelta):
        found = value
    elif isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Invalid(f"a duration is expected, not {kind_of(cursor.node)}: write 30s or 6h")
    else:
        found = parse_duration(value)
    if not timedelta() <= found <= LONGEST:
        raise Invalid("a duration from 0s to 365d is expected")
    return found


def channels(cursor: Cursor) -> list[str]:
    cursors = cursor.items()
    if not 1 <= len(cursors) <= MOST_CHANNELS:
        raise Invalid(f"1 to {MOST_CHANNELS} channels are expected, not {len(cursors)}")
    return [name(each) for each in cursors]


def channel_at(cursor: Cursor) -> dict[str, Any]:
    section = Section(cursor, CHANNEL)
    given = [kind for kind in KINDS if kind in section]
    if len(given) != 1:
        cursor.fail("exactly one of 'webhook', 'email' and 'run' is needed")
    if "secret" in section and given != ["webhook"]:
        cursor.fail("only webhooks are signed with a secret")
    configs = {
        "webhook": section.take("webhook", webhook, NOTHING),
        "email": section.take("email", email, NOTHING),
        "run": section.take("run", run, NOTHING),
    }
    kind = given[0] if given else KINDS[0]
    return {
        "name": section.need("name", name, ""),
        "kind": kind,
        "config": configs[kind],
        "secret": section.take("secret", secret_name, None),
    }


def webhook(cursor: Cursor) -> dict[str, Any]:
    section = Section(cursor, ("url", "allow_private"))
    return {
        "url": section.need("url", url, ""),
        "allow_private": section.take("allow_private", flag, False),
    }


def url(cursor: Cursor) -> str:
    found = text(cursor).strip()
    if not found.startswith(("https://", "http://")) or len(found) > LONGEST_URL:
        raise Invalid(f"an address with https:// or http:// is expected, of {LONGEST_URL} at most")
    return found


def email(cursor: Cursor) -> dict[str, Any]:
    section = Section(cursor, ("to",))
    return {"to": section.need("to", addresses, NOBODY)}


def addresses(cursor: Cursor) -> list[str]:
    cursors = cursor.items()
    if not 1 <= len(cursors) <= MOST_ADDRESSES:
        raise Invalid(f"1 to {MOST_ADDRESSES} addresses are expected, not {len(cursors)}")
    return [address(each) for each in cursors]


def run(cursor: Cursor) -> dict[str, Any]:
    section = Section(cursor, ("type",))
    return {"type": section.need("type", type_name, "")}
