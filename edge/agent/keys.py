"""The key that proves who this workstation is, and how another one takes its place.

The successor lies on the disk before the server hears of it, and takes the place of the old key
when the server has said that it counts, or lets it in. Whatever is lost in between, both are at
hand and one of them counts.
"""

import os
from typing import TYPE_CHECKING

from edge import identity
from edge.agent.home import Config, Home
from edge.identity import BadProof

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class KeyRing:
    def __init__(self, home: Home) -> None:
        self.home = home
        identity.check_kept(home.key)
        self.look: tuple[int, ...] = ()
        self.loaded: Ed25519PrivateKey | None = None

    @property
    def key(self) -> "Ed25519PrivateKey":
        """The one that counts now, which somebody may have changed; loaded when it is asked for."""
        facts = self.home.key.stat()
        look = (facts.st_ino, facts.st_mtime_ns)
        if self.loaded is None or look != self.look:
            self.loaded, self.look = identity.read_key(self.home.key), look
        return self.loaded

    @property
    def public(self) -> str:
        return identity.public(self.key)

    def sign(self, audience: str, nonce: str) -> str:
        """With the key that counts now, as long as this ring may be kept."""
        return identity.prove(self.key, audience, nonce)

    def next(self) -> bytes | None:
        """What lies there to take the place of the key, and may count already: an answer was
        lost."""
        try:
            return self.home.next_key.read_bytes()
        except OSError:
            return None

    def successor(self) -> "Ed25519PrivateKey":
        """The one that lies there from an earlier try; made where there is none that is whole."""
        try:
            return identity.read_key(self.home.next_key)
        except (OSError, BadProof):
            self.home.next_key.unlink(missing_ok=True)
            return identity.make_key(self.home.next_key)

    def settle(self, successor: bytes | None) -> None:
        """From now on this one counts. Settled already is settled."""
        if successor is not None and self.next() == successor:
            os.replace(self.home.next_key, self.home.key)
            identity.keep_names(self.home.path)


async def rotate(home: Home, config: Config) -> str:
    """Give this workstation another key; the fingerprint of the one that counts then. If no answer
    comes, ask again: nothing is lost."""
    from edge.agent.tokens import Tokens
    from edge.agent.web import Web

    ring, web = KeyRing(home), Web(config.server, config.authorities)
    try:
        token = await Tokens(web, config.name, ring, config.server_key).get()
        successor = ring.successor()
        public, written = identity.public(successor), ring.next()
        told = {"successor": public, "proof": identity.hand_over(ring.key, public)}
        await web.tell(f"/api/v1/workstations/{config.name}/key", told, token=token)
        ring.settle(written)
    finally:
        web.close()
    return identity.fingerprint(public)
