"""What is sealed opens at one workstation, in one place, as it was."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge import identity, sealing
from edge.sealing import BadSeal

STATION = X25519PrivateKey.generate()
KNOWN = sealing.public(STATION)


@pytest.mark.parametrize("data", [b"", b"s3cret", "schlüssel ☃".encode(), bytes(range(256)) * 40])
def test_what_was_sealed_is_opened_as_it_was(data: bytes) -> None:
    assert sealing.unseal(STATION, sealing.seal(KNOWN, data, "7.1"), "7.1") == data


def test_nobody_else_opens_it_and_nothing_else_is_it() -> None:
    sealed = sealing.seal(KNOWN, b"s3cret", "7.1")
    for key, about in ((X25519PrivateKey.generate(), "7.1"), (STATION, "7.2"), (STATION, "")):
        with pytest.raises(BadSeal, match="not sealed for here"):
            sealing.unseal(key, sealed, about)


def test_the_same_value_is_never_sealed_alike() -> None:
    assert sealing.seal(KNOWN, b"s3cret", "7.1") != sealing.seal(KNOWN, b"s3cret", "7.1")


def tampered(sealed: str) -> list[str]:
    data = identity.heard(sealed)
    flipped = [
        data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :] for place in range(len(data))
    ]
    cut = [data[:length] for length in range(0, len(data), 7)]
    return [
        *(identity.told(each) for each in (*flipped, *cut, bytes(len(data)), data + b"!")),
        sealed + "=",
        sealed + "\n",
        "é" * 80,
        "A" * (sealing.LARGEST + 1),
    ]


def test_what_was_touched_does_not_open() -> None:
    for touched in tampered(sealing.seal(KNOWN, b"s3cret", "7.1")):
        with pytest.raises(BadSeal):
            sealing.unseal(STATION, touched, "7.1")


@pytest.mark.parametrize(
    "given", ["", "A", "no key", identity.told(bytes(31)), identity.told(bytes(32)), "\0" * 43]
)
def test_nothing_is_sealed_to_what_is_no_key(given: str) -> None:
    with pytest.raises(BadSeal):
        sealing.seal(given, b"s3cret", "7.1")


def test_a_key_is_made_once_and_read_by_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "edge" / "sealing.pem"
    made = sealing.make_key(path)
    assert sealing.public(sealing.read_key(path)) == sealing.public(made)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        sealing.make_key(path)
    os.chmod(path, 0o640)
    with pytest.raises(BadSeal, match="may be read by others"):
        sealing.read_key(path)


def test_a_key_to_sign_with_is_no_key_to_open_with(tmp_path: Path) -> None:
    identity.make_key(tmp_path / "key.pem")
    sealing.make_key(tmp_path / "sealing.pem")
    with pytest.raises(BadSeal, match="another kind"):
        sealing.read_key(tmp_path / "key.pem")
    with pytest.raises(identity.BadProof, match="another kind"):
        identity.read_key(tmp_path / "sealing.pem")
