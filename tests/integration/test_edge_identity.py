"""Keys, proofs and tokens of workstations: each is good for what it was made for alone."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge import identity
from edge.agent import signing
from edge.identity import BadProof, Grant

SERVER = Ed25519PrivateKey.generate()
KNOWN = identity.public(SERVER)
GRANT = Grant("ws-1", "https://server", 1000.0, 7, ("press",))


def test_a_key_is_made_once_and_read_by_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "edge" / "key"
    made = identity.make_key(path)
    assert identity.public(identity.read_key(path)) == identity.public(made)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        identity.make_key(path)
    os.chmod(path, 0o640)
    with pytest.raises(BadProof, match="may be read by others"):
        identity.read_key(path)


@pytest.mark.parametrize("data", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAA==\n"])
def test_what_is_no_key_is_told(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(data)
    os.chmod(path, 0o600)
    with pytest.raises(BadProof, match="holds no key"):
        identity.read_key(path)


def test_a_proof_is_good_for_one_server_one_nonce_and_one_key() -> None:
    proof = identity.prove(SERVER, "https://server", "nonce")
    identity.check_proof(KNOWN, "https://server", "nonce", proof)
    other = identity.public(Ed25519PrivateKey.generate())
    for known, audience, nonce in (
        (KNOWN, "https://other", "nonce"),
        (KNOWN, "https://server", "another"),
        (KNOWN, 'https://server", "', "nonce"),
        (other, "https://server", "nonce"),
    ):
        with pytest.raises(BadProof):
            identity.check_proof(known, audience, nonce, proof)


def test_what_was_signed_for_one_purpose_passes_for_no_other() -> None:
    successor = identity.public(Ed25519PrivateKey.generate())
    handed = identity.hand_over(SERVER, successor)
    identity.check_successor(KNOWN, successor, handed)
    with pytest.raises(BadProof):
        identity.check_proof(KNOWN, "https://server", successor, handed)
    proof = identity.prove(SERVER, "https://server", successor)
    with pytest.raises(BadProof):
        identity.check_successor(KNOWN, successor, proof)
    said = identity.issue(SERVER, GRANT).removeprefix(identity.PREFIX).partition(".")[0]
    with pytest.raises(BadProof):
        identity.accept(KNOWN, f"{identity.PREFIX}{said}.{proof}", GRANT.audience, 0.0)


def test_a_token_grants_what_it_says_to_whom_it_says_until_it_says() -> None:
    token = identity.issue(SERVER, GRANT)
    assert identity.accept(KNOWN, token, "https://server", 999.0) == GRANT
    assert identity.accept(KNOWN, token, "https://server", 1029.0) == GRANT
    with pytest.raises(BadProof, match="expired"):
        identity.accept(KNOWN, token, "https://server", 1031.0)
    with pytest.raises(BadProof, match="somebody else"):
        identity.accept(KNOWN, token, "https://other", 0.0)


def tampered(token: str) -> list[str]:
    said, _, proof = token.removeprefix(identity.PREFIX).partition(".")
    other = identity.issue(Ed25519PrivateKey.generate(), GRANT)
    wider = identity.issue(SERVER, replace(GRANT, station="ws-2"))
    wider_said = wider.removeprefix(identity.PREFIX).partition(".")[0]
    return [
        "",
        token[:-1],
        token + "A",
        token + "=",
        token.replace("pn_station_", "pn_session_"),
        token.removeprefix(identity.PREFIX),
        f"{identity.PREFIX}{said}",
        f"{identity.PREFIX}{said}.",
        f"{identity.PREFIX}.{proof}",
        f"{identity.PREFIX}{wider_said}.{proof}",
        f"{identity.PREFIX}{said}.{proof}.{proof}",
        f"{identity.PREFIX}{said} .{proof}",
        f"{identity.PREFIX}{'é' * 20}.{proof}",
        identity.PREFIX + "A" * 5000,
        other,
    ]


@pytest.mark.parametrize("number", range(15))
def test_a_token_that_was_touched_grants_nothing(number: int) -> None:
    touched = tampered(identity.issue(SERVER, GRANT))[number]
    with pytest.raises(BadProof):
        identity.accept(KNOWN, touched, GRANT.audience, 0.0)


def test_a_fingerprint_is_short_enough_to_compare() -> None:
    assert len(identity.fingerprint(KNOWN)) == 39
    assert identity.fingerprint(KNOWN) == identity.fingerprint(KNOWN)


@pytest.mark.anyio
async def test_a_process_of_its_own_signs_as_we_would_and_says_why_it_cannot(
    tmp_path: Path,
) -> None:
    path = tmp_path / "key"
    key = identity.make_key(path)
    proof = await signing.apart(path, "server:x", "a nonce")
    assert proof == await signing.here(path, "server:x", "a nonce")
    identity.check_proof(identity.public(key), "server:x", "a nonce", proof)
    path.write_text("no key")
    with pytest.raises(BadProof, match="holds no key"):
        await signing.apart(path, "server:x", "a nonce")
    path.unlink()
    with pytest.raises(BadProof, match="No such file"):
        await signing.apart(path, "server:x", "a nonce")
