"""One connection of a WebSocket, from its acceptance to its end: the same for all who come."""

import asyncio
import logging
from abc import ABC, abstractmethod
from contextlib import suppress

from fastapi import Response, WebSocket
from psycopg import DataError, Error
from psycopg_pool import PoolTimeout
from starlette.websockets import WebSocketDisconnect, WebSocketState

from edge.lines import Line
from edge.rates import Rate
from edge.reading import BadFrame
from scheduler.domain.errors import (
    Forbidden,
    Refusal,
    TooMany,
    Unauthenticated,
    Unavailable,
)

log = logging.getLogger(__name__)

HELLO_WITHIN = 15.0  # seconds: who has nothing to say is not kept
SENT_WITHIN = 30.0
LONGEST_REASON = 120  # bytes: a frame that closes has room for three more
BAD, REVOKED, BYE, SLOW, FENCED, FAST, AWAY = 4400, 4401, 4406, 4408, 4409, 4429, 1013
STATUS = {Unauthenticated: 401, Unavailable: 503}


class Shut(Forbidden):
    """Whoever speaks there is spoken with no more."""


async def deny(websocket: WebSocket, refusal: Refusal) -> None:
    """Before the connection is one: with a status, and words."""
    status = next((code for kind, code in STATUS.items() if isinstance(refusal, kind)), 403)
    where = websocket.client.host if websocket.client else ""
    said = {"path": websocket.url.path, "from": where, "status": status, "why": str(refusal)}
    log.info("stream refused", extra=said)
    await websocket.send_denial_response(Response(str(refusal), status, media_type="text/plain"))


class Talk(ABC):
    """What comes in is taken one frame after the other; what waits in the line goes out."""

    def __init__(self, websocket: WebSocket, line: Line, *, who: str, per_second: float) -> None:
        self.websocket, self.line, self.who = websocket, line, who
        self.rate = Rate(per_second)
        self.why = "the connection was lost"

    @abstractmethod
    async def take(self, text: str) -> None:
        """What is to become of a frame."""

    @abstractmethod
    def say_bye(self, why: str) -> None: ...

    @abstractmethod
    def left(self, why: str) -> None: ...

    async def go_on(self) -> None:
        hearing = asyncio.create_task(self.hear(), name="hear")
        try:
            await self.speak()
        finally:
            hearing.cancel()
            with suppress(asyncio.CancelledError):
                await hearing
            self.left(self.why)

    async def speak(self) -> None:
        """Until it is to be closed. Who takes nothing for so long is not there any more."""
        try:
            while (text := await self.line.next()) is not None:
                async with asyncio.timeout(SENT_WITHIN):
                    await self.websocket.send_text(text)
            code, self.why = self.line.why or (1000, "")
            async with asyncio.timeout(SENT_WITHIN):
                await self.end(code)
        except TimeoutError:
            self.why = "it takes nothing of what it is sent"
        except (WebSocketDisconnect, RuntimeError):
            pass  # it is gone

    async def end(self, code: int) -> None:
        if self.websocket.application_state is not WebSocketState.CONNECTED:
            return
        reason = self.why.encode()[:LONGEST_REASON].decode(errors="ignore")
        await self.websocket.close(code, reason)

    async def hear(self) -> None:
        """One frame after the other: what comes meanwhile waits in its connection."""
        try:
            async with asyncio.timeout(HELLO_WITHIN):
                text = await self.next()
            while True:
                await self.take_paced(text)
                if self.line.why is not None:
                    return
                text = await self.next()
        except WebSocketDisconnect:
            self.line.close(1000, "the connection was lost")
        except TimeoutError:
            self.refuse(SLOW, f"no hello came within {HELLO_WITHIN:.0f} s")
        except (BadFrame, DataError) as error:
            self.refuse(BAD, str(error))
        except Shut as refusal:
            self.refuse(REVOKED, str(refusal))
        except TooMany as refusal:
            self.refuse(FAST, str(refusal))
        except Unavailable as refusal:
            self.refuse(AWAY, str(refusal))
        except Refusal as refusal:
            self.refuse(BAD, str(refusal))
        except (Error, PoolTimeout) as error:
            log.warning("frame not heard", extra={"who": self.who}, exc_info=error)
            self.refuse(AWAY, "the database does not answer")
        except Exception:  # the rim: whatever one of them does harms no other
            log.exception("frame failed", extra={"who": self.who})
            self.refuse(1011, "the server has failed to understand this")

    async def next(self) -> str:
        message = await self.websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1006)
        text: str | None = message.get("text")
        if text is None:
            raise BadFrame("a frame is text")
        return text

    async def take_paced(self, text: str) -> None:
        if not self.rate.is_kept():
            self.refuse(FAST, f"{self.rate.per_second:.0f} frames a second are the most")
            return
        await self.take(text)

    def refuse(self, code: int, why: str) -> None:
        """Says why, then ends."""
        self.say_bye(why[:1000])
        self.line.close(code, why)
