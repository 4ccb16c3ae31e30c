"""Who a workstation is: an Ed25519 key that never leaves it.

The server knows its public half. Whoever can sign a fresh nonce with it gets a token, which the
server has signed: for the server itself, or for one other workstation, which checks it without the
server, by the server's public key. What is signed says what it is for, so that nothing that was
signed for one purpose passes for another. What computes signatures is loaded with the first key.
"""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

PROOF, TOKEN, ROTATION = b"procession proof 1\0", b"procession token 1\0", b"procession key 1\0"
PREFIX = "pn_station_"
LONGEST = 4096
SLACK = 30.0  # seconds that two clocks may differ


class BadProof(ValueError):
    """What was shown proves nothing. Why is for the log, not for whoever showed it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token says: its bearer is `station`, towards `audience`, until `until`."""

    station: str
    audience: str
    until: float
    session: int = 0
    types: tuple[str, ...] = ()  # what may be started at another workstation
    key: str = ""  # the bearer's: whoever shows the token has to prove that it has it
    since: float = 0.0  # when it was signed


# Keys.


def make_key(path: Path) -> "Ed25519PrivateKey":
    """On the device, for good: an existing one is never written over."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    keep_key(path, key)
    return key


def keep_key(path: Path, key: "PrivateKeyTypes") -> None:
    from cryptography.hazmat.primitives import serialization

    data = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(place, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    keep_names(path.parent)


def keep_names(folder: Path) -> None:
    """What was made or moved in it is there after the power has failed, too."""
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def read_key(path: Path) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = kept_key(path)
    if not isinstance(key, Ed25519PrivateKey):
        raise BadProof(f"{path} holds a key of another kind")
    return key


def check_kept(path: Path) -> None:
    """It is there, and nobody else's to read."""
    if path.stat().st_mode & 0o077:
        raise BadProof(f"{path} may be read by others: chmod 600 it")


def kept_key(path: Path) -> "PrivateKeyTypes":
    from cryptography.hazmat.primitives import serialization

    check_kept(path)
    try:
        return serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise BadProof(f"{path} holds no key: {error}") from None


def public(key: "Ed25519PrivateKey") -> str:
    return told(key.public_key().public_bytes_raw())


def read_public(text: str) -> "Ed25519PublicKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        return Ed25519PublicKey.from_public_bytes(heard(text))
    except ValueError:
        raise BadProof("this is no public key") from None


def fingerprint(text: str) -> str:
    """What people compare on two screens."""
    digest = sha256(heard(text)).hexdigest()[:32]
    return ":".join(digest[place : place + 4] for place in range(0, 32, 4))


# Proofs: of the key, and of its successor.


def prove(key: "Ed25519PrivateKey", audience: str, nonce: str) -> str:
    return told(key.sign(proof_of(audience, nonce)))


def check_proof(known: str, audience: str, nonce: str, proof: str) -> None:
    verify(known, proof, proof_of(audience, nonce))


def hand_over(key: "Ed25519PrivateKey", successor: str) -> str:
    """The old key says which one comes after it."""
    return told(key.sign(ROTATION + successor.encode()))


def check_successor(known: str, successor: str, proof: str) -> None:
    read_public(successor)
    verify(known, proof, ROTATION + successor.encode())


def at_server(server_key: str) -> str:
    """The audience of what a workstation proves to its server: that installation, and no other."""
    return f"server:{server_key}"


def proof_of(audience: str, nonce: str) -> bytes:
    return PROOF + json.dumps([audience, nonce]).encode()


def verify(known: str, proof: str, said: bytes) -> None:
    from cryptography.exceptions import InvalidSignature

    try:
        read_public(known).verify(heard(proof), said)
    except InvalidSignature:
        raise BadProof("the signature is not of this key") from None


# Tokens.


def issue(key: "Ed25519PrivateKey", grant: Grant) -> str:
    said = json.dumps(asdict(grant), separators=(",", ":")).encode()
    return f"{PREFIX}{told(said)}.{told(key.sign(TOKEN + said))}"


def accept(known: str, token: str, audience: str, clock: float) -> Grant:
    """What a token grants here and now."""
    grant = read_signed(known, token)
    if grant.audience != audience:
        raise BadProof("the token is for somebody else")
    if clock > grant.until + SLACK:
        raise BadProof("the token has expired")
    return grant


def read_signed(known: str, token: str) -> Grant:
    """What a token says, for whomever and until whenever it is."""
    if len(token) > LONGEST or not token.startswith(PREFIX):
        raise BadProof("this is no token of a workstation")
    first, _, second = token.removeprefix(PREFIX).partition(".")
    said = heard(first)
    verify(known, second, TOKEN + said)
    return read_grant(json.loads(said))


def read_grant(said: Mapping[str, Any]) -> Grant:
    return Grant(
        station=str(said["station"]),
        audience=str(said["audience"]),
        until=float(said["until"]),
        session=int(said["session"]),
        types=tuple(str(each) for each in said["types"]),
        key=str(said.get("key", "")),
        since=float(said.get("since", 0.0)),
    )


def told(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def heard(text: str) -> bytes:
    """Only as `told` writes it: one text for each value, so that none passes for another."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadProof("this is not Base64") from None
    if told(data) != text:
        raise BadProof("this is not how it is written")
    return data
