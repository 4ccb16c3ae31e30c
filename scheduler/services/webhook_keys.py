"""Webhooks whose keys are made here: each is stored as a secret, and told once to whoever asked."""

import base64
import secrets as random
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain import webhooks as rules
from scheduler.domain.errors import Conflict
from scheduler.domain.webhooks import read_webhook
from scheduler.services import secrets, webhooks
from scheduler.services.keyring import Keyring
from scheduler.store import secrets as stored_secrets
from scheduler.store import webhooks as stored

Conn = AsyncConnection[Any]

LENGTH = 32  # bytes


async def make(
    conn: Conn, keys: Keyring, name: str, document: Mapping[str, Any], *, by: str
) -> str:
    """A new webhook with a key of its own, which is the answer."""
    rules.check_name(name)
    secret = f"webhooks/{name}"
    spec = read_webhook({**document, "secret": secret})
    async with conn.transaction():
        if await stored.get(conn, name) is not None:
            raise Conflict(f"there is a webhook {name} already", field="name")
        key = await put(conn, keys, secret, spec.scheme, name, by)
        await webhooks.put(conn, name, spec, by=by)
    return key


async def put(conn: Conn, keys: Keyring, secret: str, scheme: str, name: str, by: str) -> str:
    if await stored_secrets.get(conn, secret) is not None:
        raise Conflict(
            f"there is a secret {secret} already",
            field="secret",
            remedy="choose it as the key, or another name for the webhook",
        )
    key = new_key(scheme)
    await secrets.put(conn, keys, secret, key, note=f"key of the webhook {name}", by=by)
    return key


def new_key(scheme: str) -> str:
    if scheme == "standard":
        return "whsec_" + base64.b64encode(random.token_bytes(LENGTH)).decode()
    return random.token_urlsafe(LENGTH)


async def renew(conn: Conn, keys: Keyring, name: str, *, overlap: timedelta, by: str) -> str:
    """Another key, which is the answer; the one before counts for as long as the overlap."""
    async with conn.transaction():
        row = await webhooks.get(conn, name)
        secret = await free_name(conn, name, row["version"])
        key = await put(conn, keys, secret, row["spec"].get("scheme", "procession"), name, by)
        await webhooks.rotate(conn, name, secret, overlap=overlap)
    return key


async def free_name(conn: Conn, name: str, version: int) -> str:
    found = f"webhooks/{name}-{version + 1}"
    while await stored_secrets.get(conn, found) is not None:
        version += 1
        found = f"webhooks/{name}-{version + 1}"
    return found
