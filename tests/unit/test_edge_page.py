"""What a workstation's own page reads of a request, and whose it hears."""

import pytest

from edge.agent.page import http
from edge.agent.page.guard import Address, Guard, read_address
from edge.agent.page.http import Bad

HEAD = b"GET /?said=hold HTTP/1.1\r\nHost: 127.0.0.1:8790\r\nX-Live: \r\nAccept: a\r\nAccept: b"
POST = b"POST /do/hold HTTP/1.1\r\nHost: 127.0.0.1:8790"


def test_a_request_is_read_as_it_was_sent() -> None:
    request = http.parse(HEAD)
    assert (request.method, request.path, dict(request.query)) == ("GET", "/", {"said": "hold"})
    assert request.headers["accept"] == "a, b"
    assert request.headers["x-live"] == ""
    assert http.length_of(request) == 0


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", 400),
        (b"GET / HTTP/1.1", 400),  # for whom?
        (b"GET / HTTP/2\r\nHost: a", 400),
        (b"get / HTTP/1.1\r\nHost: a", 400),
        (b"GET http://a/ HTTP/1.1\r\nHost: a", 400),
        (b"GET  / HTTP/1.1\r\nHost: a", 400),
        (b"GET /\x00 HTTP/1.1\r\nHost: a", 400),
        (b"GET /%00 HTTP/1.1\r\nHost: a", 400),
        (b"GET /%0d%0aSet-Cookie:x HTTP/1.1\r\nHost: a", 400),
        (b"GET /%ff HTTP/1.1\r\nHost: a", 400),
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: a", 400),
        (b"GET /?" + b"a=b&" * 60 + b" HTTP/1.1\r\nHost: a", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b", 400),
        (b"GET / HTTP/1.1\r\nHost : a", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n continued: b", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\nY: c", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00", 400),
        (b"GET / HTTP/1.1\nHost: a", 400),
        (b"GET / HTTP/1.1\r\nHost: a" + b"\r\nX: y" * 100, 431),
        (POST + b"\r\nContent-Length: 1\r\nContent-Length: 2", 400),
        (POST + b"\r\nContent-Length: +1", 400),
        (POST + b"\r\nContent-Length: 1, 1", 400),
        (POST + b"\r\nContent-Length: 0x10", 400),
        (POST + b"\r\nContent-Length: -1", 400),
        (POST + b"\r\nContent-Length: 99999999", 413),
        (POST + b"\r\nTransfer-Encoding: chunked", 501),
        (POST + b"\r\nTransfer-Encoding: chunked\r\nContent-Length: 4", 501),
        (POST + b"\r\nExpect: 100-continue", 417),
    ],
)
def test_what_is_unusual_is_refused_and_not_guessed_at(head: bytes, status: int) -> None:
    with pytest.raises(Bad) as refused:
        http.length_of(http.parse(head))
    assert refused.value.status == status


def a_request(**headers: str) -> http.Request:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.Request("POST", "/do/hold", {}, {"host": "127.0.0.1:8790", **told})


HERE = Guard(Address("127.0.0.1", 8790), ["presse-1.werk"])


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8790", "localhost:8790", "LOCALHOST:8790", "presse-1.werk:8790"],
)
def test_a_page_is_asked_for_by_its_address_and_the_names_that_its_owner_gave_it(host: str) -> None:
    HERE.require_host(a_request(host=host), "127.0.0.1")


@pytest.mark.parametrize(
    "host", ["evil.example:8790", "127.0.0.1", "127.0.0.1:80", "localhost", "10.0.0.7:8790", ""]
)
def test_a_name_that_only_leads_here_is_not_ours(host: str) -> None:
    with pytest.raises(Bad) as refused:
        HERE.require_host(a_request(host=host), "127.0.0.1")
    assert refused.value.status == 421


def test_whoever_listens_everywhere_answers_to_the_address_that_was_reached() -> None:
    everywhere = Guard(Address("0.0.0.0", 8790))
    everywhere.require_host(a_request(host="10.0.0.7:8790"), "10.0.0.7")
    with pytest.raises(Bad):
        everywhere.require_host(a_request(host="localhost:8790"), "10.0.0.7")


OWN = {"origin": "http://127.0.0.1:8790", "sec_fetch_site": "same-origin"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1:8790"},
        {"origin": "http://127.0.0.1:8791"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "none"},
        {**OWN, "sec_fetch_site": "same-site"},
        {**OWN, "origin": "http://evil.example"},
    ],
)
def test_a_form_of_somebody_else_is_refused_even_with_the_right_token(
    headers: dict[str, str],
) -> None:
    with pytest.raises(Bad) as refused:
        HERE.require_own(a_request(**headers), HERE.token)
    assert refused.value.status == 403


def test_a_form_of_ours_has_the_token_of_this_start_of_the_agent() -> None:
    HERE.require_own(a_request(**OWN), HERE.token)
    another = Guard(HERE.address)
    for sent in ("", "x", another.token, "ä"):
        with pytest.raises(Bad):
            HERE.require_own(a_request(**OWN), sent)


@pytest.mark.parametrize(
    ("text", "told"), [("127.0.0.1:8790", "127.0.0.1:8790"), ("[::1]:1", "[::1]:1")]
)
def test_an_address_is_read(text: str, told: str) -> None:
    assert str(read_address(text)) == told


@pytest.mark.parametrize(
    "text", ["", "8790", "127.0.0.1", "localhost:1", "127.0.0.1:70000", "::1:x"]
)
def test_an_address_that_cannot_be_listened_at_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|IP"):
        read_address(text)
