"""Secrets: what they may be, and how names become values at the last moment."""

import pytest

from scheduler.domain import secrets
from scheduler.domain.errors import Invalid

VALUES = {"db/password": "hunter2!", "deploy-key": "-----BEGIN\nabc", "api-token": 'a"b\\c'}


@pytest.mark.parametrize("name", ["db/password", "a", "x.y-z_1/2", "a" * 128])
def test_a_name_has_parts_that_a_slash_divides(name: str) -> None:
    assert secrets.check_name(name) == name


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "A", "a b", "../a", "a" * 129, "a\n"])
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
    assert secrets.wants(invocation)
    assert secrets.resolved(invocation, VALUES) == {
        "argv": ["true"],
        "env": {"A": "b"},
        "secrets": {"PW": "hunter2!"},
        "secret_files": {"KEY": "-----BEGIN\nabc"},
        "masks": ["-----BEGIN\nabc", "hunter2!"],
    }


def test_what_stands_in_the_midst_of_a_call_is_hidden_in_its_answer_too() -> None:
    call = {
        "headers": {"Authorization": None},
        "json": {"$secret": "db/password", "secret": "db/password"},
        "secrets": {
            "places": [
                {
                    "path": ["headers", "Authorization"],
                    "parts": ["Bearer ", {"secret": "api-token"}],
                }
            ]
        },
    }
    filled = secrets.resolved(call, VALUES)
    assert filled["headers"] == {"Authorization": 'Bearer a"b\\c'}
    assert filled["json"] == call["json"]
    assert filled["masks"] == ['a"b\\c']


def test_an_invocation_without_names_is_made_ready_as_well() -> None:
    assert not secrets.wants({"argv": ["true"]})
    assert not secrets.wants(None)
    empty = secrets.resolved({"argv": ["true"], "secrets": {"env": {}}}, {})
    assert empty == {"argv": ["true"], "secrets": {}, "secret_files": {}, "masks": []}
