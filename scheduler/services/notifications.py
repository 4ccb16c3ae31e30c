"""Telling people and programs what happened: rules find it, channels carry it.

Each thing is found once for each rule, whoever looks and however often. It is written down even if
nobody is told: because the rule sleeps, has just spoken of the same, or has spoken too often today.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from executor.http_invocation import Malformed, read_url
from scheduler.domain.errors import Conflict, Invalid, NotFound
from scheduler.domain.ids import new_id
from scheduler.domain.notifications import TITLES, read_channel, read_rule
from scheduler.services import chores
from scheduler.services.keyring import Cell, Keys
from scheduler.store import notifications as stored
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]
Document = Mapping[str, Any]

DELIVER = "deliver_notifications"
# What was committed late is still found: it may have ended before the last look.
AGAIN = timedelta(minutes=2)
TRIES = 12
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)


class Outdated(Conflict):
    """It was changed since the caller read it."""


async def create_channel(conn: Conn, document: Document, *, by: str) -> Row:
    """Of `name`, one of `webhook`, `email` and `run`, and perhaps the name of a `secret`."""
    made = await stored.create_channel(conn, **channel_of(document), by=by)
    if made is None:
        raise Conflict(f"there is a channel {document['name']} already", field="name")
    return made


def channel_of(document: Document) -> dict[str, Any]:
    channel = read_channel(document)
    if channel["kind"] == "webhook":
        try:
            read_url(channel["config"]["url"])
        except Malformed as fault:
            raise Invalid(str(fault), field="url") from None
    return channel


async def get_channel(conn: Conn, name: str) -> Row:
    found = await stored.channels(conn, name)
    if not found:
        raise NotFound(f"there is no channel {name}")
    return found[0]


async def change_channel(
    conn: Conn, name: str, document: Document, *, expected: int | None = None
) -> Row:
    """What is on its way goes to where it points now, and is tried at once."""
    channel = channel_of({**document, "name": name})
    async with conn.transaction():
        is_changed = await stored.change_channel(conn, **channel, expected=expected)
        found = await get_channel(conn, name)
        if not is_changed:
            raise outdated("channel", found, expected)
        return found


def outdated(what: str, row: Row, expected: int | None) -> Outdated:
    return Outdated(
        f"the {what} {row['name']} is at version {row['version']}, not {expected}",
        remedy="read it again and repeat the change",
    )


async def create_rule(conn: Conn, document: Document, *, by: str) -> Row:
    rule = read_rule(document)
    async with conn.transaction():
        await require_channels(conn, rule["channels"])
        if await stored.create_rule(conn, rule, by=by) is None:
            raise Conflict(f"there is a rule {rule['name']} already", field="name")
        return await get_rule(conn, rule["name"])


async def require_channels(conn: Conn, names: Sequence[str]) -> None:
    known = {row["name"] for row in await stored.channels(conn)}
    if missing := sorted(set(names) - known):
        raise Invalid(
            f"there is no channel {missing[0]}",
            field="channels",
            remedy="make it first: `procession notifications create-channel`",
        )


async def change_rule(
    conn: Conn, name: str, document: Document, *, expected: int | None = None
) -> Row:
    """For what is found from now on; whether it sleeps is left as it is."""
    rule = read_rule({**document, "name": name})
    async with conn.transaction():
        await require_channels(conn, rule["channels"])
        is_changed = await stored.change_rule(conn, rule, expected=expected)
        found = await get_rule(conn, name)
        if not is_changed:
            raise outdated("rule", found, expected)
        return found


async def get_rule(conn: Conn, name: str) -> Row:
    found = await stored.rules(conn, name)
    if not found:
        raise NotFound(f"there is no notification rule {name}")
    return found[0]


async def delete_rule(conn: Conn, name: str) -> None:
    if not await stored.delete_rule(conn, name):
        raise NotFound(f"there is no notification rule {name}")


async def delete_channel(conn: Conn, name: str) -> None:
    for rule in await stored.rules(conn):
        if name in rule["channels"]:
            raise Conflict(
                f"the rule {rule['name']} uses channel {name}", remedy="delete the rule first"
            )
    if not await stored.delete_channel(conn, name):
        raise NotFound(f"there is no channel {name}")


async def snooze(conn: Conn, name: str, until: datetime | None) -> Row:
    if not await stored.snooze(conn, name, until):
        raise NotFound(f"there is no notification rule {name}")
    return await get_rule(conn, name)


async def acknowledge(conn: Conn, notification: int, *, by: str) -> None:
    if not await stored.acknowledge(conn, notification, by=by):
        raise Conflict(f"notification {notification} is not there, or was acknowledged before")


async def redeliver(conn: Conn, delivery: int) -> None:
    async with conn.transaction():
        if not await stored.redeliver(conn, delivery):
            raise Conflict(f"delivery {delivery} is not there, or is under way")
        await chores.defer(conn, DELIVER, lock=DELIVER)


async def test(conn: Conn, name: str, *, by: str) -> None:
    """Through all channels of a rule, whether or not it sleeps."""
    rule = await get_rule(conn, name)
    async with conn.transaction():
        await send_test(conn, rule["id"], rule["channels"], by)


async def test_channel(conn: Conn, name: str, *, by: str) -> None:
    """Through this one alone, whichever rules use it."""
    channel = await get_channel(conn, name)
    async with conn.transaction():
        await send_test(conn, await stored.rule_of_tests(conn), [channel["name"]], by)


async def send_test(conn: Conn, rule: int, channels: Sequence[str], by: str) -> None:
    made = await stored.add(
        conn,
        rule,
        key=f"test {new_id()}",
        subject=f"test by {by}",
        data={"test": True},
        snoozed=False,
        quiet=timedelta(0),
        most=2**31 - 1,
    )
    assert made is not None
    await stored.address(conn, made["id"], channels)
    await chores.defer(conn, DELIVER, lock=DELIVER)


async def get(conn: Conn, notification: int) -> Row:
    found = await stored.get(conn, notification)
    if found is None:
        raise NotFound(f"there is no notification {notification}")
    return found


async def look(conn: Conn) -> int:
    """Look for what each rule speaks of; how many notifications are to be delivered."""
    return sum([await look_for(conn, row["id"]) for row in await stored.rules(conn)])


async def look_for(conn: Conn, rule_id: int) -> int:
    async with conn.transaction():
        rule = await stored.lock_rule(conn, rule_id)
        if rule is None or rule["event"] == "test":
            return 0
        told = 0
        for each in await stored.found(conn, rule, rule["since"] - AGAIN):
            told += await tell(conn, rule, each)
        await stored.looked(conn, rule_id, rule["now"])
        if told:
            await chores.defer(conn, DELIVER, lock=DELIVER)
    return told


async def tell(conn: Conn, rule: Row, each: Row) -> bool:
    made = await stored.add(
        conn,
        rule["id"],
        key=each["key"],
        subject=each["subject"],
        data=each["data"],
        snoozed=bool(rule["snoozed"]),
        quiet=rule["quiet"],
        most=rule["most_a_day"],
    )
    if made is None or made["silent"]:
        return False
    return bool(await stored.address(conn, made["id"], rule["channels"]))


def again_after(attempts: int) -> datetime | None:
    if attempts >= TRIES:
        return None
    doubled: int = 2 ** min(attempts, 20)
    return datetime.now(UTC) + min(FIRST_PAUSE * doubled, LONGEST_PAUSE)


def title_of(delivery: Row) -> str:
    event = "test" if delivery["data"].get("test") else delivery["event"]
    return f"{TITLES[event]}: {delivery['subject']}"


def message_of(delivery: Row) -> dict[str, Any]:
    return {
        "delivery": delivery["id"],
        "notification": delivery["notification"],
        "rule": delivery["rule"],
        "event": delivery["event"],
        "title": title_of(delivery),
        "at": delivery["at"].isoformat(),
        "data": delivery["data"],
    }


def body_of(delivery: Row) -> bytes:
    return json.dumps(message_of(delivery), ensure_ascii=False, sort_keys=True).encode()


async def key_of(conn: Conn, keys: Keys, name: str) -> bytes:
    row = await stored.secret(conn, name)
    if row is None:
        raise NotFound(f"there is no secret {name}", remedy="put it, or give the channel another")
    cell = Cell(row["id"], row["name"], row["version"])
    return keys.load().open(cell, row["key_id"], row["sealed"]).encode()
