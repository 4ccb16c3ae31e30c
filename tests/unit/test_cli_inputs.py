import json
import os
from pathlib import Path
from typing import Any

import pytest

from scheduler import address
from scheduler.address import Address
from scheduler.cli_exec import where
from scheduler.cli_inputs import collect
from scheduler.client import Refused

SCHEMA: dict[str, Any] = {
    "properties": {
        "n": {"type": "integer"},
        "on": {"type": "boolean"},
        "either": {"type": ["string", "number"]},
        "list": {"type": "array"},
    }
}


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("n=3", 3),
        ("n=three", "three"),  # for the server to refuse, which knows the whole schema
        ("on=True", True),
        ("either=3", "3"),
        ("list=[1, 2]", [1, 2]),
        ("other=3", "3"),
        ("other:=3", 3),
        ("other:=null", None),
        ("other=a=b", "a=b"),
        ("other=", ""),
    ],
)
def test_a_value_is_text_unless_something_else_is_asked_for(pair: str, value: object) -> None:
    given = collect([pair], None, None, lambda: SCHEMA)
    assert given is not None
    assert list(given.values()) == [value]


def test_what_is_more_particular_wins(tmp_path: Path) -> None:
    file = tmp_path / "input.yaml"
    file.write_text("a: file\nb: file\nc: file\n")
    given = collect(["a=pair"], '{"a": "json", "b": "json"}', str(file), dict)
    assert given == {"a": "pair", "b": "json", "c": "file"}


def test_nothing_given_is_not_an_empty_input() -> None:
    assert collect([], None, None, dict) is None
    assert collect([], "{}", None, dict) == {}


@pytest.mark.parametrize("pair", ["novalue", "=x", "a:=nope"])
def test_a_pair_that_makes_no_sense_is_refused(pair: str) -> None:
    with pytest.raises(Refused, match="--input"):
        collect([pair], None, None, dict)


def left(folder: Path, url: str = "http://127.0.0.1:8080", token: str = "pn_x") -> Path:
    folder.mkdir(exist_ok=True)
    address.leave(folder, url)
    (folder / "admin.token").write_text(token + "\n")
    return folder


def test_what_up_left_is_found_by_the_data_folder(tmp_path: Path) -> None:
    here = left(tmp_path / "data")
    found = address.find(None, {"PROCESSION_DATA_DIR": str(here)})
    assert found == Address("http://127.0.0.1:8080", "pn_x")


def test_the_current_folder_comes_before_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    left(tmp_path / "home" / ".procession", "http://127.0.0.1:2")
    assert address.find(None, {}) == Address("http://127.0.0.1:2", "pn_x")
    left(tmp_path / ".procession", "http://127.0.0.1:1")
    assert address.find(None, {}) == Address("http://127.0.0.1:1", "pn_x")


def test_a_token_goes_only_where_it_belongs(tmp_path: Path) -> None:
    given = {
        "PROCESSION_DATA_DIR": str(left(tmp_path / "data")),
        "PROCESSION_TOKEN": "pn_mine",
    }
    same, other = "http://127.0.0.1:8080/", "https://elsewhere"
    without = {**given, "PROCESSION_TOKEN": ""}
    assert address.find(None, given) == Address("http://127.0.0.1:8080", "pn_x")
    assert address.find(other, given) == Address(other, "pn_mine")
    assert address.find(other, without) == Address(other, None)
    assert address.find(same, without) == Address("http://127.0.0.1:8080", "pn_x")


def test_a_file_that_somebody_else_wrote_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = left(tmp_path / "data")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    if (here / "server.json").stat().st_uid == 0:
        os.chown(here / "server.json", 54321, -1)
    assert address.find(None, {"PROCESSION_DATA_DIR": str(here)}) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense", '{"url": null}'])
def test_a_broken_file_is_no_address(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.json").write_text(text)
    assert address.left_in(tmp_path) is None


def test_a_server_that_listens_everywhere_is_found_on_loopback(tmp_path: Path) -> None:
    address.leave(tmp_path, "http://0.0.0.0:80")
    assert json.loads((tmp_path / "server.json").read_text()) == {"url": "http://127.0.0.1:80"}


def test_a_token_does_not_show_where_an_address_is_printed() -> None:
    assert "pn_secret" not in repr(Address("http://x", "pn_secret"))


def test_where_a_command_runs_is_said_by_name_or_by_labels() -> None:
    assert where("press-2") == "press-2"
    assert where("line=2,kind=press") == {"labels": {"line": "2", "kind": "press"}}
    with pytest.raises(Refused, match="LABEL=VALUE"):
        where("line=2,press")
