"""Machines of a test that join as workstations, with keys of their own."""

from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from psycopg import AsyncConnection

from edge import identity, sealing
from edge.identity import at_server
from scheduler.services import enrolment, station_tokens
from scheduler.services.enrolment import Enrolled, Machine
from scheduler.services.keyring import Keys
from scheduler.services.station_tokens import Given
from scheduler.settings import SignInSettings
from scheduler.store.station_access import Invitation

Conn = AsyncConnection[Any]

KEYS = Keys(text="a2V5IG9mIHRlc3RzOiAzMiBieXRlcywgbm90IG1vcmU=")
HOME = "192.0.2.7"
SETTINGS = SignInSettings()


@dataclass
class AMachine:
    """A machine that keeps its keys, as an agent does."""

    hostname: str = "saw-1"
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    sealing: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    server_key: str = ""

    @property
    def public_key(self) -> str:
        return identity.public(self.key)

    def body(self, token: str, **more: Any) -> dict[str, Any]:
        """What it sends to join."""
        return {
            "token": token,
            "public_key": self.public_key,
            "sealing_key": sealing.public(self.sealing),
            "hostname": self.hostname,
            "machine_id": "0123456789abcdef",
            "facts": {"os": "Linux"},
            **more,
        }

    async def join(self, conn: Conn, token: str, *, source: str = HOME, **more: Any) -> Enrolled:
        machine = Machine(**self.body(token, **more))
        answer = await enrolment.enrol(conn, KEYS, machine, source=source, settings=SETTINGS)
        self.server_key = answer.server_key
        return answer

    async def prove(self, conn: Conn, name: str) -> tuple[str, str]:
        """A nonce and what it makes of it."""
        nonce, _ = await station_tokens.nonce(conn, KEYS, name, source=HOME, settings=SETTINGS)
        return nonce, identity.prove(self.key, at_server(self.server_key), nonce)

    async def token(self, conn: Conn, name: str) -> Given:
        nonce, proof = await self.prove(conn, name)
        return await station_tokens.token(
            conn, KEYS, name, nonce, proof, source=HOME, settings=SETTINGS
        )


async def invited(conn: Conn, **wish: Any) -> str:
    made = await enrolment.invite(conn, KEYS, Invitation(**wish), by="anna")
    return made.token


async def a_workstation(conn: Conn, name: str = "saw-1", **wish: Any) -> AMachine:
    """One that has joined."""
    machine = AMachine(hostname=name)
    await machine.join(conn, await invited(conn, name=name, **wish))
    return machine
