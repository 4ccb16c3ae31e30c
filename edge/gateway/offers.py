"""Offers as they go over the wire: with their secrets sealed to the workstation they are for."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from edge import invocations, sealing, wire
from edge.gateway import handing
from edge.messages import Frame, Offer
from edge.wire import BadFrame
from scheduler.domain import sealed
from scheduler.domain.errors import Invalid, Refusal
from scheduler.services import secrets
from scheduler.services.keyring import Keys
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]
LARGEST = 640 << 10  # bytes of an offer: there has to be room for something beside it

Values = dict[tuple[UUID, str], str | Refusal]


@dataclass(frozen=True, slots=True)
class Refused:
    """Claimed, and not offered: why it cannot be."""

    task: Row
    why: str


async def make(
    conn: Conn, keys: Keys, claimed: Sequence[Row], sealing_key: str | None
) -> tuple[list[Offer], list[Refused]]:
    """After the claim is committed: secrets are looked up while nothing is locked."""
    asked = {(task["run_id"], name) for task in claimed for name in names_of(task)}
    values: Values = await values_for(conn, keys, asked) if asked else {}
    offers, refused = [], []
    for task in claimed:
        try:
            if task["kind"] == handing.PROCESS:
                offers.append(sayable(await handing.offer(conn, task)))
            else:
                offers.append(sayable(offer_of(task, values, sealing_key)))
        except (Refusal, sealing.BadSeal) as error:
            refused.append(Refused(task, words_of(error)))
    return offers, refused


def sayable(offer: Offer) -> Offer:
    """What no frame could carry would never be heard, and come back for ever."""
    text = wire.encode(Frame(1, (offer,)))
    if len(text.encode()) > LARGEST:
        raise Invalid(
            f"what is to be carried out has {len(text)} characters as JSON, more than {LARGEST} "
            "cannot be sent to a workstation",
            remedy="give it a name or a place to fetch what is large from",
        )
    try:
        wire.decode(text)
    except BadFrame as error:
        raise Invalid(f"it cannot be said to a workstation: {error}") from None
    return offer


async def values_for(conn: Conn, keys: Keys, asked: set[tuple[UUID, str]]) -> Values:
    try:
        return await secrets.values_for(conn, keys.load(), asked)
    except Refusal as refusal:
        return dict.fromkeys(asked, refusal)


def names_of(task: Row) -> list[str]:
    return sorted(sealed.names(task["invocation"] or {}))


def offer_of(task: Row, values: Values, sealing_key: str | None) -> Offer:
    attempt, placement = key_of(task), task["placement"] or {}
    own = {name: given(values[task["run_id"], name]) for name in names_of(task)}
    env = {"PROCESSION_RUN": str(task["run_id"]), "PROCESSION_TASK": task["name"]}
    shown, hidden = invocations.closed(task["kind"], task["invocation"], own, env)
    if hidden:
        shown[invocations.SEALED] = seal(sealing_key, hidden, attempt)
    about = {
        "run": str(task["run_id"]),
        "type": task["type"],
        "task": task["name"],
        "record": task["record_id"],
        "text": task["text"],
    }
    return Offer(
        attempt,
        {**shown, invocations.ABOUT: about},
        start_before=seconds(placement.get("start_before")),
        on_lost="stop" if placement.get("on_disconnect") == "stop" else "wait",
    )


def key_of(task: Row) -> str:
    return f"{task['id']}.{task['attempt']}"


def given(value: str | Refusal) -> str:
    if isinstance(value, Refusal):
        raise value
    return value


def seal(key: str | None, hidden: dict[str, Any], attempt: str) -> str:
    if key is None:
        raise Invalid(
            "the workstation has no key to seal secrets to", remedy="let it join once more"
        )
    return sealing.seal(key, json.dumps(hidden).encode(), attempt)


def seconds(moment: str | None) -> float | None:
    return datetime.fromisoformat(moment).timestamp() if moment else None


def words_of(error: Exception) -> str:
    remedy = getattr(error, "remedy", None)
    return f"{error}: {remedy}" if remedy else str(error)
