"""The key that proves who this workstation is, and how another one takes its place.

The successor lies on the disk before the server hears of it, and takes the place of the old key
when the server has said that it counts, or lets it in. Whatever is lost in between, both are at
hand and one of them counts.
"""

import os
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge import identity
from edge.agent.home import Config, Home
from edge.identity import BadProof


class KeyRing:
    def __init__(self, home: Home) -> None:
        self.home = home
        self.key = identity.read_key(home.key)

    @property
    def public(self) -> str:
        return identity.public(self.key)

    def sign(self, audience: str, nonce: str) -> str:
        """With the key that counts now, as long as this ring may be kept."""
        return identity.prove(self.key, audience, nonce)

    def others(self) -> Iterator[Ed25519PrivateKey]:
        """Those that may count if this one does not: somebody else has changed it, or an answer
        was lost."""
        for path in (self.home.key, self.home.next_key):
            try:
                key = identity.read_key(path)
            except (OSError, BadProof):
                continue
            if identity.public(key) != self.public:
                yield key

    def successor(self) -> Ed25519PrivateKey:
        """The one that lies there from an earlier try; made where there is none that is whole."""
        try:
            return identity.read_key(self.home.next_key)
        except (OSError, BadProof):
            self.home.next_key.unlink(missing_ok=True)
            return identity.make_key(self.home.next_key)

    def settle(self, key: Ed25519PrivateKey) -> None:
        """From now on this one counts, on the disk as well. Settled already is settled."""
        self.key = key
        try:
            is_next = identity.public(identity.read_key(self.home.next_key)) == self.public
        except (OSError, BadProof):
            return
        if is_next:
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
        public = identity.public(successor)
        told = {"successor": public, "proof": identity.hand_over(ring.key, public)}
        await web.tell(f"/api/v1/workstations/{config.name}/key", told, token=token)
        ring.settle(successor)
    finally:
        web.close()
    return identity.fingerprint(public)
