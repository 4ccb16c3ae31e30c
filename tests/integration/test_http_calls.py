"""Calls over HTTP, with real servers on this machine."""

import asyncio
import gzip
import json
import socket
import ssl
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from executor import http, http_invocation
from executor.base import Ending, Outcome
from executor.http import Policy
from executor.http_invocation import Malformed
from tests.support.listeners import Asked, as_json, listening, reply

pytestmark = pytest.mark.anyio

HERE = (ip_network("127.0.0.0/8"),)
OPEN = Policy(allow_private=HERE)


async def called(url: str, policy: Policy = OPEN, **more: Any) -> Outcome:
    given = {"method": "GET", "url": url, "allow_private": True, **more}
    return await http.call(http_invocation.read(given), policy)


def output(outcome: Outcome) -> Any:
    assert outcome.output is not None, outcome.error
    return json.loads(outcome.output)


async def test_the_output_is_status_headers_and_body() -> None:
    def answer(_: Asked) -> bytes:
        return as_json({"parts": 3}, ETag='"x"', Set_Cookie="secret=1", Location="/next")

    async with listening(answer) as server:
        outcome = await called(server.url("/jobs?day=1"))
        assert outcome.ending is Ending.SUCCEEDED
        told = output(outcome)
        assert (told["status"], told["body"]) == (200, {"parts": 3})
        assert told["headers"] == {
            "content-type": "application/json",
            "etag": '"x"',
            "location": "/next",
        }
        [asked] = server.asked
        assert asked.target == "/jobs?day=1"
        assert asked.headers["host"] == f"127.0.0.1:{server.port}"


async def test_json_and_text_are_sent_as_what_they_are() -> None:
    async with listening() as server:
        await called(server.url(), method="POST", json={"a": [1, None]}, headers={"X-A": "b"})
        await called(server.url(), method="PUT", body="é")
        await called(server.url(), method="POST", json=None)
        await called(server.url(), method="POST", body="<a/>", headers={"Content-Type": "text/xml"})
        first, second, third, fourth = server.asked
        assert (first.method, first.body) == ("POST", b'{"a":[1,null]}')
        assert first.headers["content-type"] == "application/json"
        assert first.headers["x-a"] == "b"
        assert second.body == "é".encode()
        assert second.headers["content-type"] == "text/plain; charset=utf-8"
        assert third.body == b"null"
        assert fourth.headers["content-type"] == "text/xml"


@pytest.mark.parametrize(
    ("status", "more", "ending", "retryable"),
    [
        ("204 No Content", {}, Ending.SUCCEEDED, True),
        ("404 Not Found", {}, Ending.FAILED, False),
        ("404 Not Found", {"expect": [200, 404]}, Ending.SUCCEEDED, True),
        ("201 Created", {"expect": [200]}, Ending.FAILED, False),
        ("302 Found", {}, Ending.FAILED, False),
        ("503 Service Unavailable", {}, Ending.FAILED, True),
        ("503 Service Unavailable", {"retry_on": []}, Ending.FAILED, False),
        ("418 Teapot", {"retry_on": [418]}, Ending.FAILED, True),
        ("250 Odd", {"expect": [[240, 260]]}, Ending.SUCCEEDED, True),
    ],
)
async def test_the_status_decides(
    status: str, more: dict[str, Any], ending: Ending, retryable: bool
) -> None:
    async with listening(lambda _: reply(b"", status)) as server:
        outcome = await called(server.url("/secret/path?token=1"), **more)
        assert (outcome.ending, outcome.retryable) == (ending, retryable)
        assert output(outcome)["status"] == int(status[:3])
        if ending is Ending.FAILED:
            assert outcome.error is not None
            assert outcome.error.startswith(f"GET http://127.0.0.1:{server.port} answered ")
            assert "secret" not in outcome.error


async def asked_to_wait(text: str) -> float | None:
    async with listening(lambda _: reply(b"", "429 Slow", Retry_After=text)) as server:
        return (await called(server.url())).retry_after


async def test_retry_after_is_seconds_or_a_date() -> None:
    assert await asked_to_wait("7") == 7
    later = datetime.now(UTC) + timedelta(seconds=90)
    assert 80 < (await asked_to_wait(format_datetime(later, usegmt=True)) or 0) <= 91
    for odd in ("-1", "9e9", "soon", "99999999999"):
        assert await asked_to_wait(odd) is None


# What may not be reached


FORMS = [
    "http://127.0.0.1", "http://127.1", "http://127.0.1", "http://2130706433", "http://0x7f000001",
    "http://0x7f.0.0.1", "http://0177.0.0.1", "http://017700000001", "http://127.0.0.1.",
    "http://0", "http://0.0.0.0", "http://0x0", "http://127.127.127.127", "http://localhost",
    "http://LOCALHOST", "http://localhost.", "http://[::1]", "http://[0:0:0:0:0:0:0:1]",
    "http://[::]", "http://[::ffff:127.0.0.1]", "http://[::ffff:7f00:1]", "http://[::127.0.0.1]",
    "http://[64:ff9b::7f00:1]", "http://[2002:7f00:1::]", "http://①②⑦.⓪.⓪.①",
    "http://127。0。0。1", "http://127.0.0.1%2f@example.com", "http://example.com@127.0.0.1",
    "http://user:pass@127.0.0.1", "http://127.0.0.1#@example.com", "http://127.0.0.1\\@example.com",
    "http://127.0.0.1:80\\@example.com", "http:\\\\127.0.0.1", "http:///127.0.0.1",
    "http:127.0.0.1", "//127.0.0.1", "127.0.0.1", "http://[::1%25lo]", "http://[fe80::1%25lo]",
    "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://10.0.0.1",
    "http://192.168.0.1", "http://172.16.0.1", "http://100.64.0.1", "http://224.0.0.1",
    "http://255.255.255.255", "file:///etc/passwd", "gopher://127.0.0.1:70/_x", "ftp://127.0.0.1",
    "unix:///run/docker.sock", "http+unix://%2Frun%2Fdocker.sock/x", "dict://127.0.0.1:11211/",
    "ldap://127.0.0.1", "jar:http://127.0.0.1!/", "data:text/plain,x", "javascript:alert(1)",
    "http://127.0.0.1\r\nHost: x", "http://127.0.0.1 x", "http://\x00127.0.0.1", "http://",
    "http://127.0.0.1:99999", "http://127.0.0.1:-1", "http://[::1", "", "http://" + "a" * 9000,
]  # fmt: skip


async def without_asking(host: str, port: int) -> Sequence[str]:
    """As the system reads addresses, but no server of names is asked."""
    flags = 0 if "localhost" in host.lower() else socket.AI_NUMERICHOST
    found = await asyncio.get_running_loop().getaddrinfo(host, port, flags=flags)
    return [str(address[0]) for *_, address in found]


@pytest.mark.parametrize("form", FORMS, ids=ascii)
async def test_no_spelling_of_an_address_reaches_this_machine(form: str) -> None:
    async with listening(host="127.0.0.1") as canary:
        named = form.replace("127.0.0.1", f"127.0.0.1:{canary.port}", 1)
        for each in (form, named, f"{form}:{canary.port}/", f"{form}:{canary.port}"):
            with suppress(Malformed):
                given = http_invocation.read({"url": each, "allow_private": True, "timeout": 5})
                outcome = await http.call(given, Policy(resolve=without_asking))
                assert outcome.ending is Ending.FAILED
                assert not outcome.retryable or "not a public" not in str(outcome.error)
        assert canary.connections == 0


async def test_both_the_task_and_the_setting_must_allow_it() -> None:
    async with listening() as server:
        assert (await called(server.url(), OPEN)).ending is Ending.SUCCEEDED
        refused = await called(server.url(), OPEN, allow_private=False)
        assert (refused.ending, refused.retryable) == (Ending.FAILED, False)
        assert "must say 'allow_private: true'" in str(refused.error)
        assert (await called(server.url(), Policy())).ending is Ending.FAILED
        assert server.connections == 1


async def test_a_name_is_looked_up_once_and_called_where_it_was_looked_at() -> None:
    looked_up: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        looked_up.append(host)
        return ["127.0.0.1"] if len(looked_up) == 1 else ["127.0.0.2"]

    async with listening() as server, listening(host="127.0.0.2") as other:
        policy = Policy(allow_private=HERE, resolve=rebinding)
        outcome = await called(server.url("/x", host="shop.example"), policy)
        assert outcome.ending is Ending.SUCCEEDED
        assert looked_up == ["shop.example"]
        assert server.asked[0].headers["host"] == f"shop.example:{server.port}"
        assert other.connections == 0


async def test_a_name_that_turns_private_is_refused_at_every_step() -> None:
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])

    async def turning(host: str, port: int) -> Sequence[str]:
        return next(answers)

    async with listening(host="127.0.0.2") as canary:

        def leading(_: Asked) -> bytes:
            return reply(b"", "302 Found", Location=canary.url(host="shop.example"))

        async with listening(leading) as server:
            policy = Policy(allow_private=(ip_network("127.0.0.1/32"),), resolve=turning)
            url = server.url(host="shop.example")
            outcome = await called(url, policy, follow_redirects=True)
            assert (outcome.ending, outcome.retryable) == (Ending.FAILED, False)
            assert canary.connections == 0


async def test_the_next_address_is_tried_when_one_takes_no_connection() -> None:
    async def two(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.9", "127.0.0.1"]

    async with listening(host="127.0.0.1") as server:
        policy = Policy(allow_private=HERE, resolve=two)
        assert (await called(server.url(host="a.example"), policy)).ending is Ending.SUCCEEDED


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as proxy, listening() as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        assert (await called(server.url())).ending is Ending.SUCCEEDED
        assert (proxy.connections, server.connections) == (0, 1)


# What is refused before anything is sent


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"method": "CONNECT"}, "method"),
        ({"method": "GET /x HTTP/1.1\r\nHost: y\r\n\r\n"}, "method"),
        ({"headers": {"X": "a\r\nY: b"}}, "headers.X"),
        ({"headers": {"X": "a\nb"}}, "headers.X"),
        ({"headers": {"X": "a\0b"}}, "headers.X"),
        ({"headers": {"X": "\u2713"}}, "headers.X"),
        ({"headers": {"X\r\nY": "b"}}, "headers"),
        ({"headers": {"X Y": "b"}}, "headers"),
        ({"headers": {"": "b"}}, "headers"),
        ({"headers": {"Host": "b"}}, "headers.Host"),
        ({"headers": {"Content-Length": "3"}}, "headers.Content-Length"),
        ({"headers": {"transfer-encoding": "chunked"}}, "headers.transfer-encoding"),
        ({"headers": ["a"]}, "headers"),
        ({"body": {"a": 1}}, "body"),
        ({"timeout": "soon"}, "timeout"),
        ({"max_response": "x"}, "max_response"),
        ({"url": "http://user:secret@example.com/"}, "url"),
    ],
)
def test_what_would_bend_a_message_is_refused(given: dict[str, Any], field: str) -> None:
    with pytest.raises(Malformed, match=f"^{field}: ") as refused:
        http_invocation.read({"url": "https://example.com/", **given})
    assert "secret" not in str(refused.value)


# What comes back


async def test_an_answer_that_is_too_long_fails_for_good() -> None:
    async with listening(lambda _: reply(b"x" * 2000)) as server:
        outcome = await called(server.url(), max_response=1000)
        assert (outcome.ending, outcome.retryable) == (Ending.FAILED, False)
        assert "more than 1000 bytes" in str(outcome.error)
        assert (await called(server.url(), max_response=2000)).ending is Ending.SUCCEEDED


async def test_a_packed_answer_is_unpacked_and_a_bomb_is_not() -> None:
    bomb = gzip.compress(bytes(200 << 20), 9)
    packed = {
        "/good": gzip.compress(b'{"a": 1}'),
        "/zlib": zlib.compress(b'{"a": 1}'),
        "/cut": gzip.compress(b"x" * 5000)[:-9],
        "/bomb": bomb,
        "/bad": b"nonsense",
    }

    def answer(asked: Asked) -> bytes:
        packing = "deflate" if asked.target == "/zlib" else "gzip"
        return reply(packed[asked.target], kind="application/json", Content_Encoding=packing)

    async with listening(answer) as server:
        for good in ("/good", "/zlib"):
            assert output(await called(server.url(good)))["body"] == {"a": 1}
        for bad, why in (("/bomb", "more than"), ("/cut", "cut short"), ("/bad", "not packed")):
            outcome = await called(server.url(bad))
            assert outcome.ending is Ending.FAILED
            assert why in str(outcome.error)


async def test_a_packing_that_was_not_asked_for_is_refused() -> None:
    async with listening(lambda _: reply(b"x", Content_Encoding="br")) as server:
        assert "not asked for" in str((await called(server.url())).error)


@pytest.mark.parametrize(
    ("body", "kind", "value"),
    [
        (b'{"a": 1}', "application/problem+json", {"a": 1}),
        (b'{"a": NaN}', "application/json", '{"a": NaN}'),
        (b'{"a": "\\u0000"}', "application/json", '{"a": "\\u0000"}'),
        (b"\xff\x00", "application/octet-stream", "\ufffd\ufffd"),
        (b"\xe9", "text/plain; charset=ISO-8859-1", "é"),
        (b'{"a": 1}', "text/plain", '{"a": 1}'),
        (b"", "application/json", None),
    ],
)
async def test_whatever_comes_back_can_be_stored(body: bytes, kind: str, value: Any) -> None:
    async with listening(lambda _: reply(body, kind=kind)) as server:
        assert output(await called(server.url()))["body"] == value


@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
     b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n", b"\x00" * 50],
    ids=["nothing", "nonsense", "cut", "headers", "zeros"],
)  # fmt: skip
async def test_a_server_that_talks_nonsense_is_a_failure_worth_another_try(answer: bytes) -> None:
    async with listening(lambda _: answer) as server:
        outcome = await called(server.url())
        assert (outcome.ending, outcome.retryable) == (Ending.FAILED, True)


async def test_nobody_there_is_a_failure_worth_another_try() -> None:
    async with listening() as server:
        port = server.port
    outcome = await called(f"http://127.0.0.1:{port}/")
    assert (outcome.ending, outcome.retryable) == (Ending.FAILED, True)


async def test_a_server_that_does_not_answer_costs_the_timeout() -> None:
    async with listening(holds_back=True) as server:
        outcome = await called(server.url(), timeout=0.3)
        assert outcome.ending is Ending.TIMED_OUT
        assert outcome.error == "timed out after 0.3 s"


async def test_what_is_secret_is_hidden_in_what_comes_back() -> None:
    async with listening(lambda _: as_json({"you sent": "hunter2"}, ETag="hunter2")) as server:
        given = http_invocation.read({"url": server.url(), "allow_private": True})
        outcome = await http.call(given, OPEN, lambda data: data.replace(b"hunter2", b"***"))
        assert "hunter2" not in repr(outcome)
        assert output(outcome)["body"] == {"you sent": "***"}


# Redirects


def leading(status: str, where: str) -> Any:
    def answer(asked: Asked) -> bytes:
        return reply(b"", status, Location=where) if asked.target == "/" else reply("there")

    return answer


@pytest.mark.parametrize(
    ("status", "method", "body"),
    [("301 M", "GET", b""), ("302 F", "GET", b""), ("303 S", "GET", b""), ("307 T", "POST", b"x"),
     ("308 P", "POST", b"x")],
)  # fmt: skip
async def test_a_redirect_is_followed_as_its_status_says(
    status: str, method: str, body: bytes
) -> None:
    async with listening(leading(status, "/next?a=b")) as server:
        outcome = await called(server.url(), method="POST", body="x", follow_redirects=True)
        assert output(outcome)["body"] == "there"
        second = server.asked[1]
        assert (second.method, second.body, second.target) == (method, body, "/next?a=b")
        assert ("content-type" in second.headers) == bool(body)


async def test_to_another_origin_nothing_goes_along_that_says_who_asks() -> None:
    async with listening() as other:
        async with listening(leading("302 F", other.url("/next"))) as server:
            headers = {
                "Authorization": "Bearer x",
                "X-Api-Key": "x",
                "Cookie": "x",
                "Accept": "a/b",
            }
            await called(server.url(), headers=headers, follow_redirects=True)
        told = other.asked[0].headers
        assert told["accept"] == "a/b"
        assert not {"authorization", "x-api-key", "cookie"} & told.keys()


async def test_content_is_not_sent_on_to_another_origin() -> None:
    async with listening() as other, listening(leading("307 T", other.url("/next"))) as server:
        outcome = await called(server.url(), method="POST", json={}, follow_redirects=True)
        assert (outcome.ending, outcome.retryable) == (Ending.FAILED, False)
        assert other.connections == 0


@pytest.mark.parametrize("where", ["file:///etc/passwd", "http://u:p@127.0.0.1/", "http://[::1"])
async def test_a_redirect_to_what_can_not_be_called_fails_for_good(where: str) -> None:
    async with listening(leading("302 F", where)) as server:
        outcome = await called(server.url(), follow_redirects=True)
        assert (outcome.ending, outcome.retryable) == (Ending.FAILED, False)


async def test_redirects_come_to_an_end() -> None:
    async with listening(lambda _: reply(b"", "302 F", Location="/")) as server:
        outcome = await called(server.url(), follow_redirects=True)
        assert "more than 5 redirects" in str(outcome.error)
        assert server.connections == 6


# Asking again after 202


def becoming(*answers: bytes) -> Any:
    left = list(answers)
    return lambda _: left.pop(0)


async def test_after_202_it_is_asked_until_it_is_done() -> None:
    answers = becoming(
        reply(b"", "202 A", Location="/jobs/7"), as_json({}, "202 A"), reply(b"", "503 S"),
        as_json({"done": True}),
    )  # fmt: skip
    async with listening(answers) as server:
        outcome = await called(
            server.url("/jobs"), method="POST", json={"a": 1}, headers={"X-Api-Key": "k"},
            poll={"every": 0.01, "until": 5},
        )  # fmt: skip
        assert output(outcome)["body"] == {"done": True}
        assert [(a.method, a.target) for a in server.asked[1:]] == [("GET", "/jobs/7")] * 3
        assert {a.headers["x-api-key"] for a in server.asked} == {"k"}
        assert "content-type" not in server.asked[1].headers


async def test_the_address_may_stand_in_the_answer() -> None:
    answers = becoming(as_json({"links": {"self": "/jobs/9"}}, "202 A"), as_json({}, "404 N"))
    async with listening(answers) as server:
        poll = {"every": 0.01, "until": 5, "url_from": "links.self"}
        outcome = await called(server.url(), poll=poll)
        assert (outcome.ending, outcome.retryable) == (Ending.FAILED, False)
        assert server.asked[1].target == "/jobs/9"


async def test_asking_comes_to_an_end() -> None:
    async with listening(lambda _: reply(b"", "202 A", Location="/jobs/7")) as server:
        outcome = await called(server.url(), poll={"every": 0.05, "until": 0.2})
        assert outcome.ending is Ending.TIMED_OUT
        assert "still not done after 0.2 s" in str(outcome.error)
    async with listening(lambda _: reply(b"", "202 A")) as server:
        nowhere = await called(server.url(), poll={"every": 0.05, "until": 0.2})
        assert "has no address at location" in str(nowhere.error)


# TLS


def certificate(folder: Path, name: str) -> Path:
    """A certificate that is its own authority, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    moment = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(days=1))
        .not_valid_after(moment + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.fixture
def pem(tmp_path: Path) -> Iterator[Path]:
    yield certificate(tmp_path, "shop.example")
    http.tls.cache_clear()


async def test_the_certificate_must_be_of_the_name_that_was_asked_for(pem: Path) -> None:
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.sni_callback = lambda _sock, name, _context: names.append(name)

    async def here(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    trusting = Policy(allow_private=HERE, ca_file=str(pem), resolve=here)
    async with listening(tls=context) as server:

        def url(host: str) -> str:
            return server.url("/", host=host, scheme="https")

        good = await called(url("shop.example"), trusting)
        assert good.ending is Ending.SUCCEEDED
        assert names == ["shop.example"]
        assert server.asked[0].headers["host"] == f"shop.example:{server.port}"
        other = await called(url("other.example"), trusting)
        assert other.ending is Ending.FAILED
        assert "certificate" in str(other.error)
        stranger = await called(url("shop.example"), Policy(allow_private=HERE, resolve=here))
        assert stranger.ending is Ending.FAILED
        assert (await called(url("other.example"), trusting, verify=False)).ending is (
            Ending.SUCCEEDED
        )


async def test_a_call_that_is_cancelled_closes_its_connection() -> None:
    async with listening(holds_back=True) as server:
        calling = asyncio.create_task(called(server.url()))
        await server.begun.wait()
        calling.cancel()
        with suppress(asyncio.CancelledError):
            await calling
        assert calling.cancelled()
