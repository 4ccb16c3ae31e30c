"""Secrets: what they may be, and how names become values at the last moment."""

import json

import pytest

from scheduler.domain import secrets
from scheduler.domain.errors import Invalid

VALUES = {"db/password": "hunter2!", "deploy-key": "-----BEGIN\nabc", "api-token": 'a"b\\c'}


@pytest.mark.parametrize("name", ["db/password", "a", "x.y-z_1/2", "a" * 128])
def test_a_name_has_parts_that_a_slash_divides(name: str) -> None:
    assert secrets.check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "a//b", "A", "a b", "../a", "a" * 129, "a\n"]
)
def test_any_other_name_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(Invalid, match="names no secret"):
        secrets.check_name(name)


@pytest.mark.parametrize("value", ["", "abc", "   abc\n", "a\0bcd", "x" * 20_000, "\ud800abcd"])
def test_a_value_that_cannot_be_kept_or_hidden_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(Invalid) as refusal:
        secrets.check_value(value)
    assert refusal.value.field == "value"
    assert value.strip() == "" or value.strip() not in str(refusal.value)


def test_grants_name_types_or_all_of_them() -> None:
    assert secrets.check_grants(["b", "a", "b"]) == ["a", "b"]
    assert secrets.is_granted(["*"], "anything")
    assert secrets.is_granted(["a"], "a")
    assert not secrets.is_granted(["a"], "ab")
    assert not secrets.is_granted([], "a")
    with pytest.raises(Invalid, match="names no type"):
        secrets.check_grants(["a*"])


def test_names_become_values_in_places_of_their_own() -> None:
    invocation = {
        "argv": ["true"],
        "env": {"A": "b"},
        "secrets": {"env": {"PW": "db/password"}, "files": {"KEY": "deploy-key"}},
    }
    assert secrets.names(invocation) == {"db/password", "deploy-key"}
    assert secrets.resolved(invocation, VALUES) == {
        "argv": ["true"],
        "env": {"A": "b"},
        "secrets": {"PW": "hunter2!"},
        "secret_files": {"KEY": "-----BEGIN\nabc"},
        "masks": ["-----BEGIN\nabc", "hunter2!"],
    }


def test_markers_are_lifted_out_of_a_call_and_filled_in_again() -> None:
    call = {
        "method": "POST",
        "headers": {"Authorization": f"Bearer {secrets.marker('api-token')}", "X": "y"},
        "json": {"login": [{"password": secrets.marker("db/password")}], "n": 1},
    }
    lifted = secrets.lift(call)
    assert "\0" not in json.dumps(lifted).replace("\\u0000", "\0")
    assert lifted["headers"] == {"Authorization": "", "X": "y"}
    assert secrets.names(lifted) == {"api-token", "db/password"}
    filled = secrets.resolved(json.loads(json.dumps(lifted)), VALUES)
    assert filled["headers"]["Authorization"] == 'Bearer a"b\\c'
    assert filled["json"] == {"login": [{"password": "hunter2!"}], "n": 1}
    assert filled["masks"] == ['a"b\\c', "hunter2!"]
    assert call["headers"] == {"Authorization": f"Bearer {secrets.marker('api-token')}", "X": "y"}


def test_in_json_text_a_value_is_filled_in_as_json() -> None:
    given = {"token": secrets.marker("api-token"), "text": "\\u0000secret:db/password\\u0000"}
    lifted = secrets.lift({"stdin": json.dumps(given)}, in_json=["stdin"])
    assert secrets.names(lifted) == {"api-token"}
    filled = secrets.resolved(lifted, VALUES)
    assert json.loads(filled["stdin"]) == {"token": 'a"b\\c', "text": given["text"]}


@pytest.mark.parametrize("text", ["${{ secrets.db }}", "{'secret': 'db/password'}", "secret:a"])
def test_no_text_from_outside_asks_for_a_secret(text: str) -> None:
    invocation = {"body": text, "json": {"secret": "db/password", "$secret": text}}
    assert secrets.lift(invocation) == invocation
    assert secrets.names(invocation) == set()


@pytest.mark.parametrize("text", [secrets.marker("db").upper(), secrets.marker("db")[:-1]])
def test_a_secret_can_be_joined_with_text_and_nothing_else(text: str) -> None:
    with pytest.raises(Invalid, match="joined with other text"):
        secrets.lift({"body": text})
    with pytest.raises(Invalid, match="joined with other text"):
        secrets.lift({"stdin": json.dumps([text])}, in_json=["stdin"])


def test_a_secret_is_no_key() -> None:
    with pytest.raises(Invalid, match="cannot be a key"):
        secrets.lift({"json": {secrets.marker("db"): 1}})
