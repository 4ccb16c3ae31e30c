"""Secrets from the command line, as people put them."""

import base64
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import Databases
from tests.support.system import PROCESSION, System, a_system, facts

VALUE = "correct horse / battery"


@pytest.fixture(scope="module")
def system(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with a_system(databases, tmp_path_factory.mktemp("secrets")) as system:
        yield system


def put(
    system: System, *arguments: str, given: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [*PROCESSION, "secrets", "set", *arguments],
        input=given,
        env=system.asker,
        capture_output=True,
        timeout=60,
        check=False,
    )


def shown(system: System, name: str) -> dict[str, object]:
    return dict(facts(system.cli("secrets", "show", name, "--json")))


def test_a_value_comes_by_the_standard_input_without_its_last_newline(system: System) -> None:
    done = put(system, "by/input", "--grant", "nightly", given=VALUE.encode())
    assert done.stdout == b"secret by/input has version 1, granted to nightly\n"
    first = shown(system, "by/input")
    again = put(system, "by/input", given=VALUE.encode() + b"\n")
    assert b"version 2" in again.stdout
    assert shown(system, "by/input")["fingerprint"] == first["fingerprint"]


def test_a_file_is_taken_as_it_is(system: System, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(VALUE + "\n")
    assert put(system, "by/file", "--file", str(tmp_path / "key")).returncode == 0
    before = shown(system, "by/file")["fingerprint"]
    (tmp_path / "key").write_text(VALUE)
    assert put(system, "by/file", "--file", str(tmp_path / "key")).returncode == 0
    assert shown(system, "by/file")["fingerprint"] != before


def test_a_prompt_asks_twice_and_echoes_nothing(system: System) -> None:
    master, slave = pty.openpty()
    asking = subprocess.Popen(
        [*PROCESSION, "secrets", "set", "by/prompt"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=system.asker,
        start_new_session=True,
    )
    os.close(slave)
    said = b""
    for prompt in (b"Value: ", b"confirmation: "):
        while prompt not in said:
            said += os.read(master, 1000)
        os.write(master, VALUE.encode() + b"\n")
    while b"version 1" not in said:
        said += os.read(master, 1000)
    assert asking.wait(timeout=30) == 0
    os.close(master)
    assert VALUE.encode() not in said


@pytest.mark.parametrize(
    ("given", "says"),
    [(b"abc\n", b"at least 4"), (b"\xff\xfe\xff\xfe\xff", b"base64"), (b"x" * 20_000, b"16384")],
)
def test_what_cannot_be_kept_is_refused_in_a_line_that_does_not_show_it(
    system: System, given: bytes, says: bytes
) -> None:
    done = put(system, "refused", given=given)
    assert done.returncode == 2
    assert says in done.stderr
    assert given.strip() not in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_grants_are_added_and_taken_one_by_one(system: System) -> None:
    put(system, "granted", given=VALUE.encode())
    system.cli("secrets", "grant", "granted", "b", "a")
    assert shown(system, "granted")["grants"] == ["a", "b"]
    done = system.cli("secrets", "revoke", "granted", "b")
    assert done.stdout == b"secret granted is granted to a\n"


def test_a_new_key_is_added_and_everything_is_encrypted_with_it(system: System) -> None:
    put(system, "kept", given=VALUE.encode())
    file = system.folder / "data" / "secret.keys"
    file.write_text(base64.b64encode(os.urandom(32)).decode() + "\n" + file.read_text())
    before = facts(system.cli("secrets", "keys", "--json"))
    assert [key["is_current"] for key in before] == [True, False]
    done = system.cli("secrets", "rotate-key")
    assert done.stdout.startswith(str(before[1]["secrets"]).encode() + b" secrets are encrypted")
    after = facts(system.cli("secrets", "keys", "--json"))
    assert [key["secrets"] for key in after] == [before[1]["secrets"], 0]


def test_the_list_shows_names_and_no_values_and_what_is_deleted_is_gone(system: System) -> None:
    put(system, "gone", given=VALUE.encode())
    listed = system.cli("secrets")
    assert b"gone" in listed.stdout
    assert VALUE.encode() not in listed.stdout
    assert system.cli("secrets", "delete", "gone").stdout == b"secret gone is deleted\n"
    done = system.cli("secrets", "show", "gone")
    assert done.returncode == 2
    assert b"there is no secret 'gone'" in done.stderr
