"""What only one workstation can open: sealed to its X25519 key, which never leaves it.

Each text is sealed with a key of its own: an X25519 key that is made for it and thrown away meets
the workstation's, and what the two agree on encrypts once, with AES-256-GCM. What the text is
*about* is bound to it, so that it opens in no other place than the one it was sealed for.
"""

from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.identity import BadProof, heard, keep_key, kept_key, told

SEAL = b"procession seal 1\0"
SHORT = 32  # bytes of a public key
ONCE = bytes(12)  # the nonce: no key ever encrypts twice
LARGEST = 1 << 20


class BadSeal(ValueError):
    """It cannot be opened here. Why is for the log."""


def make_key(path: Path) -> X25519PrivateKey:
    """On the device, for good: an existing one is never written over."""
    key = X25519PrivateKey.generate()
    keep_key(path, key)
    return key


def read_key(path: Path) -> X25519PrivateKey:
    try:
        key = kept_key(path)
    except BadProof as error:
        raise BadSeal(str(error)) from None
    if not isinstance(key, X25519PrivateKey):
        raise BadSeal(f"{path} holds a key of another kind")
    return key


def public(key: X25519PrivateKey) -> str:
    return told(key.public_key().public_bytes_raw())


def read_public(text: str) -> X25519PublicKey:
    try:
        return X25519PublicKey.from_public_bytes(heard(text))
    except ValueError:
        raise BadSeal("this is no public key to seal to") from None


def seal(public: str, data: bytes, about: str) -> str:
    """A text that the workstation of this public key alone can open, and only as `about` it."""
    known, fresh = read_public(public), X25519PrivateKey.generate()
    first = fresh.public_key().public_bytes_raw()
    sealing = agreed(fresh, known, first + known.public_bytes_raw())
    return told(first + sealing.encrypt(ONCE, data, bound(about)))


def unseal(key: X25519PrivateKey, text: str, about: str) -> bytes:
    if len(text) > LARGEST:
        raise BadSeal(f"what is sealed has {LARGEST} characters at most")
    try:
        said = heard(text)
        known = X25519PublicKey.from_public_bytes(said[:SHORT])
        sealing = agreed(key, known, said[:SHORT] + key.public_key().public_bytes_raw())
        return sealing.decrypt(ONCE, said[SHORT:], bound(about))
    except (ValueError, InvalidTag):
        raise BadSeal("this was not sealed for here") from None


def agreed(key: X25519PrivateKey, other: X25519PublicKey, both: bytes) -> AESGCM:
    """What the two keys agree on, and nobody else can know."""
    try:
        shared = key.exchange(other)
    except ValueError:
        raise BadSeal("this public key agrees with everybody") from None
    return AESGCM(HKDF(SHA256(), 32, salt=both, info=SEAL).derive(shared))


def bound(about: str) -> bytes:
    return SEAL + about.encode()
