"""Short tokens for the server: each is given for a proof that we have our key."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from edge import identity
from edge.agent import signing
from edge.agent.keys import KeyRing
from edge.agent.web import Unanswered, Web

Prove: TypeAlias = Callable[[Path, str, str], Awaitable[str]]
EARLY = 60.0  # seconds before its end that a token is used no more
UNPROVEN, FORBIDDEN = 401, 403
UNKNOWN = 300.0  # how long one holds of which the server does not say what time it is there


class Unproven(Unanswered):
    """Nobody was asked: the key cannot be used."""


class Tokens:
    def __init__(
        self,
        web: Web,
        name: str,
        ring: KeyRing,
        server_key: str,
        prove: Prove = signing.here,
    ) -> None:
        self.web, self.name, self.ring, self.prove = web, name, ring, prove
        self.server_key = server_key
        self.shut_out: Callable[[], None] = lambda: None  # for whoever has to know of a revocation
        self.token = ""
        self.until = float("-inf")

    async def get(self) -> str:
        """How long it holds is reckoned by the server's clock: ours may be wrong by days."""
        if time.monotonic() < self.until:
            return self.token
        try:
            await self.fetch(self.ring.home.key)
        except Unanswered as error:
            if error.status == FORBIDDEN and error.code:
                self.shut_out()
            if error.status != UNPROVEN or not await self.succeeded():
                raise
        return self.token

    async def succeeded(self) -> bool:
        """Whether another key that lies here counts by now."""
        successor = self.ring.next()
        if successor is None:
            return False
        try:
            await self.fetch(self.ring.home.next_key)
        except Unproven:
            return False
        except Unanswered as error:
            if error.status != UNPROVEN:
                raise
            return False
        self.ring.settle(successor)
        return True

    async def fetch(self, key: Path) -> None:
        path = f"/api/v1/workstations/{self.name}"
        try:
            nonce = (await self.web.tell(f"{path}/nonce", {})).json()["nonce"]
            audience = identity.at_server(self.server_key)
            proof = await self.proof(key, audience, nonce)
            answer = await self.web.tell(f"{path}/token", {"nonce": nonce, "proof": proof})
            told = answer.json()
            self.token, self.until = str(told["token"]), lasts(answer.clock, told["expires_at"])
        except (LookupError, TypeError) as error:
            raise Unanswered(f"the answer lacks {error}: is this a server of ours?") from None

    async def proof(self, key: Path, audience: str, nonce: str) -> str:
        try:
            return await self.prove(key, audience, nonce)
        except (OSError, identity.BadProof) as error:
            remedy = "join again, with an invitation that replaces this workstation"
            raise Unproven(f"the key cannot be used: {error}", remedy=remedy) from None

    def forget(self) -> None:
        self.until = float("-inf")


def lasts(clock: float | None, expires_at: str) -> float:
    from datetime import datetime

    try:
        until = datetime.fromisoformat(expires_at).timestamp()
    except ValueError:
        clock = None
        until = 0.0
    left = UNKNOWN if clock is None else until - clock
    return time.monotonic() + left - EARLY
