"""Reading what came from outside: bounded, and refused if a database could not store it."""

from fastapi import Request
from starlette.types import Scope

from scheduler.domain.careful_json import UNSTORABLE, Malformed, parse
from scheduler.domain.errors import Invalid
from scheduler.settings import ServerSettings

__all__ = ["UNSTORABLE", "Malformed", "parse"]

# Operations whose bodies nobody else is to see: nothing of them is told back.
CONFIDENTIAL = frozenset(
    {
        "set_password",
        "change_password",
        "put_secret",
        "enrol_workstation",
        "make_workstation_token",
    }
)


class TooLarge(Invalid):
    """More than this server reads."""


class UnknownMedia(Invalid):
    """A body in a format that is not read here."""


class CarefulRequest(Request):
    """Its body was read within the limit, and its JSON parsed by our rules."""

    async def read(self, limits: ServerSettings, *, parsed: bool = True) -> None:
        refuse_encoded(self.headers.get("content-encoding", "identity"))
        self._body = await self._bounded(limits.body_limit)
        if parsed and self._body and is_json(self.headers.get("content-type", "")):
            self._json = parse(self._body, limits.json_depth)

    async def _bounded(self, limit: int) -> bytes:
        declared = self.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            raise too_large(limit)
        chunks, size = [], 0
        async for chunk in self.stream():
            size += len(chunk)
            if size > limit:
                raise too_large(limit)
            chunks.append(chunk)
        return b"".join(chunks)


def refuse_encoded(encoding: str) -> None:
    """A few bytes may stand for as many as there is memory: none of them are unpacked."""
    if encoding.strip().lower() != "identity":
        raise UnknownMedia(
            f"a body in the encoding {encoding[:40]!r} is not read here",
            field="header.Content-Encoding",
            remedy="send it as it is",
        )


def too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"the body is larger than {limit} bytes", field="body", remedy="send less at once"
    )


def is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def refuse_nul(scope: Scope) -> None:
    query: bytes = scope["query_string"]
    if "\x00" in scope["path"] or b"%00" in query or b"\x00" in query:
        raise Invalid("the address holds a NUL character", field="path")
