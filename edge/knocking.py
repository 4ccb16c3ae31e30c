"""How one that calls and one that is called prove who they are, before anything else is said.

The caller shows a token that the server has signed for it, and each signs what the other made up.
What they sign names the certificate of the one that is called, so nobody between them can pass
their words on, and a certificate needs no signature but this. Everything is checked without the
server, by its public key. No clock and no socket in here.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from edge import identity
from edge.identity import SLACK, BadProof, Grant
from edge.wire import BadFrame
from edge.words import Words

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

OLDEST, NEWEST = 1, 1
SHORTEST, LONGEST = 22, 128  # characters of what is made up

M = TypeVar("M")


class Reason(StrEnum):
    """Why a caller is sent away."""

    FORM = "form"
    VERSION = "version"
    TOKEN = "token"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    KEY = "key"
    SERVER = "server"


class Refused(Exception):
    """Sent away, or what answered is not who was called."""

    def __init__(self, reason: Reason, why: str) -> None:
        self.reason, self.why = reason, why
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Knock:
    oldest: int
    newest: int
    token: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Opened:
    version: int
    name: str
    lineage: str  # of the book of whoever answers: with another one, it has forgotten
    nonce: str
    proof: str


@dataclass(frozen=True, slots=True)
class Proof:
    proof: str


@dataclass(frozen=True, slots=True)
class Away:
    reason: Reason
    why: str


Said: TypeAlias = Knock | Opened | Proof | Away
WORDS = Words((Knock, Opened, Proof, Away))


class Signs(Protocol):
    """Whoever can sign as somebody: with a key at hand, or with one that is kept elsewhere."""

    def __call__(self, audience: str, nonce: str) -> str: ...


def signer(key: "Ed25519PrivateKey") -> Signs:
    return lambda audience, nonce: identity.prove(key, audience, nonce)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who has called, and has proved it."""

    grant: Grant
    is_expired: bool


# What one signs as caller passes for nobody's answer, and the other way round.
def calling(name: str) -> str:
    return f"calling:{name}"


def answering(name: str) -> str:
    return f"answering:{name}"


def bound(nonce: str, binding: str) -> str:
    return json.dumps([nonce, binding])


@dataclass(frozen=True, slots=True)
class Self:
    """Who calls and is called here."""

    name: str
    lineage: str
    sign: Signs
    server_key: Callable[[], str]


class Door:
    """The end that is called."""

    def __init__(
        self, name: str, lineage: str, sign: Signs, server_key: str, *, nonce: str, binding: str
    ) -> None:
        self.name, self.lineage, self.sign, self.server_key = name, lineage, sign, server_key
        self.nonce, self.binding = nonce, binding
        self.visitor: Visitor | None = None

    def knock(self, text: str | bytes, clock: float) -> str:
        """The answer to the first word; what follows it has to be a proof."""
        said = read(text, Knock)
        version = agreed(said)
        check_nonce(said.nonce)
        self.visitor = self.admit(said.token, clock)
        proof = self.sign(answering(self.visitor.grant.station), bound(said.nonce, self.binding))
        return WORDS.write(Opened(version, self.name, self.lineage, self.nonce, proof))

    def admit(self, token: str, clock: float) -> Visitor:
        grant = read_token(self.server_key, token)
        if grant.audience != self.name:
            raise Refused(
                Reason.AUDIENCE,
                f"the token is for {grant.audience!r}, and this is {self.name!r}: "
                "check the address in the directory",
            )
        if not grant.key:
            raise Refused(Reason.KEY, "the token names no key: fetch a new one from the server")
        return Visitor(grant, clock > grant.until + SLACK)

    def proven(self, text: str | bytes) -> Visitor:
        said = read(text, Proof)
        if self.visitor is None:
            raise Refused(Reason.FORM, "a proof comes after a knock")
        grant = self.visitor.grant
        try:
            known, nonce = grant.key, bound(self.nonce, self.binding)
            identity.check_proof(known, calling(self.name), nonce, said.proof)
        except BadProof:
            raise Refused(
                Reason.KEY,
                f"whoever calls does not have the key of {grant.station!r} that the token names",
            ) from None
        return self.visitor


def is_server(grant: Grant) -> bool:
    """What the server signs for itself is signed by the key that it names as its bearer's."""
    return grant.station == identity.at_server(grant.key)


def read_token(server_key: str, token: str) -> Grant:
    """Whose it is and for whom, whether or not it still holds."""
    try:
        return identity.read_signed(server_key, token)
    except BadProof as error:
        raise Refused(
            Reason.TOKEN,
            f"{error}: the server that this workstation belongs to has not signed it",
        ) from None


class Caller:
    """The end that calls. `key` is what it knows the other one by."""

    def __init__(
        self, sign: Signs, me: str, token: str, *, name: str, key: str, nonce: str, binding: str
    ) -> None:
        self.sign, self.me, self.token = sign, me, token
        self.name, self.key, self.nonce, self.binding = name, key, nonce, binding
        self.lineage = ""

    def knock(self) -> str:
        return WORDS.write(Knock(OLDEST, NEWEST, self.token, self.nonce))

    def opened(self, text: str | bytes) -> str:
        """What is answered to whoever has opened, once it has proved who it is."""
        said = read(text, Opened)
        if not OLDEST <= said.version <= NEWEST:
            raise Refused(Reason.VERSION, f"{said.name!r} speaks version {said.version}")
        check_nonce(said.nonce)
        try:
            nonce = bound(self.nonce, self.binding)
            identity.check_proof(self.key, answering(self.me), nonce, said.proof)
        except BadProof:
            raise Refused(
                Reason.KEY,
                f"what answers does not have the key of {self.name!r}: "
                "another machine may have its address",
            ) from None
        self.lineage = said.lineage
        return WORDS.write(Proof(self.sign(calling(self.name), bound(said.nonce, self.binding))))


def agreed(said: Knock) -> int:
    version = min(said.newest, NEWEST)
    if version < max(said.oldest, OLDEST):
        why = f"this workstation speaks versions {OLDEST} to {NEWEST}"
        raise Refused(Reason.VERSION, f"{why}, the caller {said.oldest} to {said.newest}")
    return version


def check_nonce(nonce: str) -> None:
    if not SHORTEST <= len(nonce) <= LONGEST:
        raise Refused(Reason.FORM, f"a nonce has {SHORTEST} to {LONGEST} characters")


def read(text: str | bytes, kind: type[M]) -> M:
    """The message that is due here, and no other."""
    try:
        said = WORDS.read(text)
    except BadFrame as error:
        raise Refused(Reason.FORM, str(error)) from None
    if isinstance(said, Away):
        raise Refused(said.reason, said.why)
    if not isinstance(said, kind):
        raise Refused(Reason.FORM, f"a message of another kind is due: {kind.__name__.lower()}")
    return said


def away(refused: Refused) -> str:
    return WORDS.write(Away(refused.reason, refused.why))
