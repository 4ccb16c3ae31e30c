"""Keys that encrypt secrets, and where they come from. The first one is current.

A key file has a line for each key: 32 random bytes in base64. From each, three keys are made, each
for one purpose; its id is made of it as well, so that nobody can mistake one for another.
"""

import contextlib
import hmac
import os
import stat
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from scheduler.domain.errors import Conflict, Invalid, Unavailable

FILE = "secret.keys"
VARIABLE = "PROCESSION_SECRET_KEYS"
NONCE = 12
MAKE_ONE = "make a line of it with `openssl rand -base64 32`"


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a value stands: it can be read in no other place."""

    secret: int
    name: str
    version: int

    def bound(self, key: str) -> bytes:
        return "\0".join(
            ["procession", key, str(self.secret), self.name, str(self.version)]
        ).encode()


@dataclass(frozen=True, slots=True)
class Key:
    id: str
    sealing: AESGCM = field(repr=False)
    marking: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: bytes) -> "Key":
        return cls(
            derived(secret, "name")[:8].hex(),
            AESGCM(derived(secret, "seal")),
            derived(secret, "fingerprint"),
        )

    def seal(self, cell: Cell, value: str) -> bytes:
        nonce = os.urandom(NONCE)
        return nonce + self.sealing.encrypt(nonce, value.encode(), cell.bound(self.id))

    def open(self, cell: Cell, sealed: bytes) -> str:
        try:
            opened = self.sealing.decrypt(sealed[:NONCE], sealed[NONCE:], cell.bound(self.id))
        except (InvalidTag, ValueError) as error:
            raise Conflict(
                f"secret {cell.name!r}: what is stored was not put there as it is: "
                "put its value again"
            ) from error
        return opened.decode()

    def fingerprint(self, secret: int, value: str) -> str:
        """Tells whether the value of one secret is what it was; nothing about others."""
        return hmac.digest(self.marking, f"{secret}\0{value}".encode(), "sha256")[:6].hex()


def derived(secret: bytes, purpose: str) -> bytes:
    return hmac.digest(secret, f"procession secrets: {purpose}".encode(), "sha256")


@dataclass(frozen=True, slots=True)
class Keyring:
    keys: Sequence[Key]
    place: str  # for people

    @property
    def current(self) -> Key:
        if not self.keys:
            raise Unavailable(
                f"there is no key for secrets in {self.place}",
                remedy="copy it from another server of this database, or " + MAKE_ONE,
            )
        return self.keys[0]

    def open(self, cell: Cell, key: str, sealed: bytes) -> str:
        found = next((each for each in self.keys if each.id == key), None)
        if found is None:
            raise Unavailable(
                f"secret {cell.name!r} is encrypted with the key {key}, "
                f"which is not in {self.place}",
                remedy="add the line of this key there",
            )
        return found.open(cell, sealed)


@dataclass(frozen=True, slots=True)
class Keys:
    """Where a process finds its keys. Read each time, so that a new one needs no new start."""

    text: str | None = field(default=None, repr=False)
    file: Path | None = None
    data_dir: Path | None = None

    def load(self) -> Keyring:
        if self.text is not None:
            keys = read(self.text.replace(",", "\n"), VARIABLE)
            return Keyring(keys, VARIABLE)
        path = self.file or self.own_file
        if path is None or (self.file is None and not path.exists()):
            return Keyring((), str(path or "any place that this process knows"))
        return Keyring(read(read_file(path, is_own=self.file is None), str(path)), str(path))

    @property
    def own_file(self) -> Path | None:
        return self.data_dir / FILE if self.data_dir else None

    def may_make(self) -> bool:
        return self.text is None and self.file is None and self.own_file is not None

    def make(self) -> Keyring:
        """The first key, in the data folder. Whole or not there, and never over another."""
        assert self.data_dir is not None
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.data_dir, prefix=FILE) as made:
            made.write(b64encode(os.urandom(32)).decode() + "\n")
            made.flush()
            os.fsync(made.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(made.name, self.data_dir / FILE)
        return self.load()


def read(text: str, place: str) -> list[Key]:
    lines = [line.strip() for line in text.splitlines()]
    return [key_of(line, place, number) for number, line in enumerate(lines, 1) if is_key(line)]


def is_key(line: str) -> bool:
    return bool(line) and not line.startswith("#")


def key_of(line: str, place: str, number: int) -> Key:
    try:
        secret = b64decode(line, validate=True)
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise Invalid(f"{place}, line {number} is no key of 32 bytes in base64", remedy=MAKE_ONE)
    return Key.of(secret)


def read_file(path: Path, *, is_own: bool) -> str:
    """Nobody else may have written it; our own, nobody else may have read either."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC)) as opened:
            facts, text = os.fstat(opened.fileno()), opened.read(64 << 10)
    except OSError as error:
        raise Unavailable(
            f"the keys of secrets cannot be read: {path}: {error.strerror}",
            remedy="make the file readable for this process, and for nobody else",
        ) from error
    except UnicodeDecodeError as error:
        raise Invalid(f"{path} holds no keys", remedy=MAKE_ONE) from error
    forbidden = 0o077 if is_own else 0o022
    if stat.S_IMODE(facts.st_mode) & forbidden:
        raise Unavailable(f"{path} is open to others", remedy=f"chmod 600 {path}")
    return text
