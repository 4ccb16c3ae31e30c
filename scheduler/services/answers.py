"""One effect for each idempotency key: what was answered once is answered again.

The key, the effect and the answer are one transaction. A server that is killed in the middle leaves
nothing behind, so the next who asks carries it out; of two who ask at once one waits for the other.
A refusal is not kept: nothing was done, and the same request may be sent again with the same key.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, Rollback, errors

from scheduler.domain.errors import Conflict, Unavailable
from scheduler.store import answers
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Question:
    """Keys are each token's own. The digest is of all that the request says."""

    token: int
    key: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes | None  # None if it was to be seen once alone
    replayed: bool = False


class ShownOnce(Conflict):
    """It was made before, and what it showed then was not kept."""


async def once(conn: Conn, question: Question, find: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer that was given to this question before, or the one that `find` gives now."""
    async with conn.transaction() as transaction:
        if not await reserve(conn, question):
            return replay(question, await answers.get(conn, token=question.token, key=question.key))
        answer = await find()
        if answer.status >= 400:
            raise Rollback(transaction)
        await answers.keep(
            conn,
            token=question.token,
            key=question.key,
            status=answer.status,
            headers=answer.headers,
            body=answer.body,
        )
    return answer


async def reserve(conn: Conn, question: Question) -> bool:
    await answers.patience(conn)
    try:
        free = await answers.reserve(
            conn, token=question.token, key=question.key, digest=question.digest
        )
    except errors.LockNotAvailable as error:
        raise Unavailable(
            f"another request with the idempotency key {question.key!r} is under way",
            remedy="ask again in a moment, with the same key",
        ) from error
    await answers.impatience(conn)
    return free


def replay(question: Question, known: Row | None) -> Answer:
    if known is None or known["digest"] != question.digest:
        raise Conflict(
            f"the idempotency key {question.key!r} was used for another request",
            field="Idempotency-Key",
            remedy="send the same request, or take a new key",
        )
    if known["body"] is None:
        made = known["headers"].get("location", "what was asked for")
        raise ShownOnce(
            f"{made} was made by an earlier request with this key, and shown then alone",
            field="Idempotency-Key",
            remedy="revoke what was made, and ask with a new key",
        )
    return Answer(known["status"], known["headers"], known["body"], replayed=True)
