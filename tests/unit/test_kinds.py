import json
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain import rendering, sealed
from scheduler.domain.definitions import Branch, Case, TaskDefinition
from scheduler.domain.rendering import RenderFault, render
from tests.unit.test_rendering import a_type

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def rendered(task: str, **values: Any) -> dict[str, Any]:
    return render(a_type(task).tasks[0], {"input": values})


def address(url: str, **values: Any) -> Any:
    return rendered(f"http: {{url: '{url}'}}", **values)["url"]


@pytest.mark.parametrize(
    ("task", "invocation"),
    [
        (
            "http: https://example.org/",
            {"method": "GET", "url": "https://example.org/", "headers": {}, "timeout": None,
             "retry_on": [408, 425, 429, 500, 502, 503, 504], "follow_redirects": False,
             "allow_private": False, "max_response": 256 << 10, "verify": True,
             "on_lost": "retry"},
        ),
        (
            "http: {url: 'https://example.org/', method: POST, json: null, expect: [201], "
            "poll: {every: 2s, until: 10m}}, timeout: 1m",
            {"method": "POST", "url": "https://example.org/", "headers": {}, "timeout": 60.0,
             "retry_on": [408, 425, 429, 500, 502, 503, 504], "follow_redirects": False,
             "allow_private": False, "max_response": 256 << 10, "verify": True,
             "on_lost": "retry", "json": None, "expect": [201],
             "poll": {"url_from": "location", "every": 2.0, "until": 600.0}},
        ),
        (
            "action: {name: press, payload: {n: '${{ input.n }}', t: 'no ${{ input.n }}'}}",
            {"action": "press", "payload": {"n": 7, "t": "no 7"}, "timeout": None,
             "grace": 10.0, "on_lost": "retry"},
        ),
        (
            "process: {type: other, input: {n: '${{ input.n }}', l: '${{ input.l }}'}, "
            "wait: false}",
            {"type": "other", "version": None, "input": {"n": 7, "l": [1, {"a": None}]},
             "wait": False, "labels": {}, "timeout": None},
        ),
        ("sleep: '${{ input.n }}'", {"seconds": 7.0, "timeout": None}),
        ("sleep: '${{ input.n }}m'", {"seconds": 420.0, "timeout": None}),
        ("at: '${{ input.at }}'", {"until": "2026-12-01T06:00:00+00:00", "timeout": None}),
        (
            "wait_for: {event: paid, key: 'no ${{ input.n }}', when: '${{ event.data.n == 1 }}'}",
            {"event": "paid", "key": "no 7", "when": "${{ event.data.n == 1 }}", "timeout": None},
        ),
        (
            "approval: {message: 'all ${{ input.n }}?', who: [role:author, '${{ input.who }}']}",
            {"message": "all 7?", "who": ["role:author", "eva"], "form": None, "timeout": None},
        ),
        (
            "emit: {event: done, data: '${{ input.l }}'}",
            {"event": "done", "key": None, "data": [1, {"a": None}], "timeout": None},
        ),
    ],
)  # fmt: skip
def test_a_kind_is_rendered_to_what_is_asked(task: str, invocation: dict[str, Any]) -> None:
    values = {"n": 7, "l": [1, {"a": None}], "at": "2026-12-01T06:00:00z", "who": "eva"}
    assert rendered(task, **values) == invocation


@pytest.mark.parametrize(("n", "to"), [(9, ["a"]), (5, ["b"]), (1, ["c"])])
def test_the_first_case_of_a_branch_that_holds_decides(n: int, to: list[str]) -> None:
    cases = (Case(when="${{ input.n > 8 }}", to=("a",)), Case(when="${{ input.n > 4 }}", to=("b",)))
    task = TaskDefinition(name="x", kind="branch", work=Branch(cases=cases, default=("c",)))
    assert render(task, {"input": {"n": n}})["to"] == to


@pytest.mark.parametrize(
    ("task", "value", "why"),
    [
        ("http: '${{ input.v }}'", "file:///etc/passwd", "https://"),
        ("http: '${{ input.v }}'", "https://a b/", "blanks"),
        ("http: 'https://${{ input.v }}/x'", "evil.example/y?", "host's name"),
        ("http: 'https://${{ input.v }}/x'", "user@evil.example", "host's name"),
        ("http: 'https://a.example/${{ input.v }}/x'", "..", "another place"),
        ("http: {url: 'https://a.example/', headers: {X: '${{ input.v }}'}}", "a\r\nB: c", "line"),
        ("http: {url: 'https://a.example/', json: '${{ input.v }}'}", "\0", "NUL"),
        ("approval: {message: x, who: ['${{ input.v }}']}", "role:admin", "only plain text"),
        ("approval: {message: x, who: ['${{ input.v }}']}", "a b", "no user"),
        ("sleep: '${{ input.v }}'", "soon", "1h30m"),
        ("sleep: '${{ input.v }}'", [1], "duration"),
        ("at: '${{ input.v }}'", "2026-12-01T06:00:00", "with its zone"),
        ("wait_for: {event: x, key: '${{ input.v }}'}", "x" * 501, "longer than"),
        ("python: {call: 'a:b', args: {x: '${{ input.v }}'}}", "\0", "NUL"),
    ],
)
def test_a_value_that_a_kind_cannot_be_given_is_refused(task: str, value: Any, why: str) -> None:
    with pytest.raises(RenderFault, match=why):
        rendered(task, v=value)


@settings(max_examples=500, deadline=None)
@given(TEXTS.filter(lambda text: text not in (".", "..")))
def test_a_value_is_one_part_of_an_address_whatever_it_holds(text: str) -> None:
    found = urlsplit(address("https://a.example/x/${{ input.v }}/y?q=${{ input.v }}#z", v=text))
    assert (found.scheme, found.netloc, found.fragment) == ("https", "a.example", "z")
    [_, x, middle, y] = found.path.split("/")
    assert (x, unquote(middle), y) == ("x", text, "y")
    assert unquote(found.query.removeprefix("q=")) == text
    assert "&" not in found.query


def test_an_address_may_begin_with_a_value() -> None:
    found = address("${{ input.base }}/orders/${{ input.id }}", base="https://a.example", id="1/2")
    assert found == "https://a.example/orders/1%2F2"


SEALED = """http: {
  url: 'https://a.example/${{ input.v }}?key=${{ secrets.k }}',
  headers: {Authorization: "Bearer ${{ secrets['api/token'] }}"},
  json: {a: [1, '${{ secrets.k }}', '${{ input.v }}']}
}"""


def test_secrets_are_named_beside_what_is_asked_and_put_in_at_last() -> None:
    found = rendered(SEALED, v="x")
    assert (found["url"], found["headers"], found["json"]) == (
        None,
        {"Authorization": None},
        {"a": [1, None, "x"]},
    )
    assert sealed.names(found) == {"k", "api/token"}
    opened = sealed.opened(json.loads(json.dumps(found)), {"k": "a&b", "api/token": "t"})
    assert opened["url"] == "https://a.example/x?key=a%26b"
    assert opened["headers"] == {"Authorization": "Bearer t"}
    assert opened["json"] == {"a": [1, "a&b", "x"]}
    assert "secrets" not in opened


@pytest.mark.parametrize(
    "value",
    [
        "${{ secrets.k }}", {"secret": "k"}, {"$secret": "k"}, "\ue000k\ue001",
        {"secrets": {"places": [{"path": ["url"], "parts": [{"secret": "k"}]}]}},
    ],
)  # fmt: skip
def test_no_value_can_pose_as_the_place_of_a_secret(value: Any) -> None:
    found = rendered("http: {url: 'https://a.example/', json: {a: '${{ input.v }}'}}", v=value)
    assert sealed.names(found) == frozenset()
    assert sealed.opened(found, {"k": "hidden"})["json"] == {"a": value}


def test_a_commands_secrets_are_named_by_their_variables() -> None:
    found = rendered("run: x, secrets: {A: db/a}, secret_files: {B: b}")
    assert found["secrets"] == {"env": {"A": "db/a"}, "files": {"B": "b"}}
    assert sealed.names(found) == {"db/a", "b"}
    assert sealed.opened(found, {})["secrets"] == found["secrets"]


def test_only_what_has_expressions_has_to_wait_for_values() -> None:
    for task in ("http: https://a.example/", "python: 'a:b'", "action: press", "noop: true"):
        assert not rendering.has_expressions(a_type(task).tasks[0])
    for task in (
        "http: 'https://a.example/${{ input.v }}'",
        "python: {call: 'a:b', args: {x: [1, {y: '${{ input.v }}'}]}}",
        "noop: true, share: '${{ input.v }}'",
        "noop: true, rate: {key: '${{ input.v }}', max: 1, per: 1s}",
    ):
        assert rendering.has_expressions(a_type(task).tasks[0])


def test_keys_of_rates_and_shares_come_from_values() -> None:
    task = a_type(
        "run: x, rate: {key: 'r-${{ input.c }}', max: 3, per: 1m}, share: '${{ input.c }}'"
    )
    [found], scope = task.tasks, {"input": {"c": 7}}
    key = rendering.rate_key(found, scope)
    assert key is not None
    assert (key[0], key[1], key[2].total_seconds()) == ("r-7", 3, 60)
    assert rendering.share(found, scope) == "7"
