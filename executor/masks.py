"""Hides secrets in what a command prints: as they are, and as programs commonly write them.

Each way of writing a secret is a needle; a long one is cut into pieces of its own, so that a mask
never holds back more than a piece. To find thousands of needles at the price of one, a stream is
looked at in steps of 2, 4 or 8 bytes: a needle of 3, 7 or 15 bytes holds one such step wholly,
wherever it begins. What is hidden does not depend on how a stream was cut on its way.
"""

import json
import re
from base64 import b64encode
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from html import escape
from itertools import chain, compress, count
from typing import Any, Literal
from urllib.parse import quote
from weakref import WeakValueDictionary

from executor import plain
from executor.base import Outcome
from executor.output import Bare, Masker

STARS = b"***"
SHORTEST = 4  # bytes: a shorter one would hide what has nothing to do with it
PIECE = 64
WRAPPED = 76  # columns of base64, where it is wrapped
PERCENT = re.compile("%[0-9A-F]{2}")
SAFE_IN_PAGES = re.compile("[<>&\u2028\u2029]")  # as Go and others escape them in JSON

Span = tuple[int, int]


def forms(secret: str) -> set[bytes]:
    """All that gives a secret away: the whole, without the space around it, and each line."""
    texts = {secret, secret.strip(), *map(str.strip, secret.splitlines())}
    found = {form for text in texts if is_long_enough(text) for form in written(text)}
    return {form for form in found if len(form) >= SHORTEST}


def is_long_enough(text: str) -> bool:
    return len(text.encode()) >= SHORTEST


def written(text: str) -> Iterator[bytes]:
    data = text.encode()
    yield data
    yield from (data.hex().encode(), data.hex().upper().encode())
    yield from in_base64(data)
    quoted = chain(in_json(text), in_urls(text), in_source(text))
    yield from (each.encode() for each in quoted)


def in_base64(data: bytes) -> Iterator[bytes]:
    """Within other data it may begin at each of three places; what its neighbours have a part in
    is left out."""
    for before, unclear in enumerate((0, 2, 3)):
        clear = b64encode(bytes(before) + data)[unclear : 8 * (before + len(data)) // 6]
        lines = (clear[at : at + WRAPPED] for at in range(0, len(clear), WRAPPED))
        for form in (clear, *lines) if not before else (clear,):
            yield form
            yield form.translate(bytes.maketrans(b"+/", b"-_"))


def in_json(text: str) -> Iterator[str]:
    for is_ascii in (True, False):
        once = json.dumps(text, ensure_ascii=is_ascii)[1:-1]
        yield from (once, once.replace("/", "\\/"), json.dumps(once)[1:-1])
        yield SAFE_IN_PAGES.sub(lambda found: f"\\u{ord(found[0]):04x}", once)


def in_urls(text: str) -> Iterator[str]:
    """What is left as it is differs from language to language."""
    for safe in ("", "/", "*", "!'()*", "!'()*;,/?:@&=+$#"):
        form = quote(text, safe=safe)
        for each in (form, PERCENT.sub(lambda code: code[0].lower(), form)):
            yield from (each, each.replace("%20", "+"), each.replace("~", "%7E"))
            yield each.replace("%20", "+").replace("~", "%7E")


def in_source(text: str) -> Iterator[str]:
    """As shells trace it, as Python shows it, as pages hold it."""
    yield text.replace("'", "'\\''")
    yield repr(text)[1:-1]
    yield from (escape(text), escape(text, quote=False))


def pieces(form: bytes) -> Iterator[bytes]:
    """Together they cover the whole; none is short."""
    if len(form) <= PIECE:
        yield form
        return
    for at in range(0, len(form) - PIECE, PIECE):
        yield form[at : at + PIECE]
    yield form[-PIECE:]


Code = Literal["H", "I", "Q"]


class Step:
    """Finds needles by the numbers that a few of their bytes read as, wherever they begin."""

    def __init__(self, width: int, code: Code, needles: Iterable[bytes]):
        self.width = width
        self.code = code
        self.places: dict[int, list[tuple[int, bytes]]] = {}
        for needle in needles:
            for at in range(width):
                (number,) = memoryview(needle[at : at + width]).cast(code)
                self.places.setdefault(number, []).append((at, needle))

    def find(self, data: bytes) -> Iterator[Span]:
        view = memoryview(data)[: len(data) - len(data) % self.width].cast(self.code)
        for place in compress(count(), map(self.places.__contains__, view)):
            for at, needle in self.places[view[place]]:
                start = place * self.width - at
                if start >= 0 and data.startswith(needle, start):
                    yield start, start + len(needle)


def steps(needles: Collection[bytes]) -> list[Step]:
    """Wide ones look at a stream fast; the few needles that are too short have their own."""
    short = [needle for needle in needles if len(needle) < 7]
    long = [needle for needle in needles if len(needle) >= 7]
    wide = all(len(needle) >= 15 for needle in long)
    found = [Step(8, "Q", long) if wide else Step(4, "I", long), Step(2, "H", short)]
    return [step for step in found if step.places]


class Needles:
    """All forms of some secrets. Costs memory and time to make: share it."""

    def __init__(self, secrets: Iterable[str]):
        found = {piece for secret in secrets for form in forms(secret) for piece in pieces(form)}
        self.ordered = sorted(found)
        self.firsts = frozenset(needle[0] for needle in found)
        self.longest = max(map(len, found), default=1)
        self.steps = steps(found)

    def find(self, data: bytes) -> Iterator[Span]:
        """Every occurrence, also where they overlap."""
        return chain.from_iterable(step.find(data) for step in self.steps)

    def unfinished(self, data: bytes) -> int:
        """How many bytes at the end may be the beginning of a needle."""
        tail = data[-self.longest + 1 :] if self.longest > 1 else b""
        for at, first in enumerate(tail):
            if first in self.firsts and self.is_beginning(tail[at:]):
                return len(tail) - at
        return 0

    def is_beginning(self, data: bytes) -> bool:
        """Whether a needle goes on after this: the next one in order does, if any does."""
        place = bisect_right(self.ordered, data)
        return place < len(self.ordered) and self.ordered[place].startswith(data)

    def hide(self, data: bytes) -> bytes:
        """For what is there as a whole."""
        mask = Mask(self)
        return mask.feed(data) + mask.flush()

    def hide_in(self, value: Any) -> Any:
        """In every text of a JSON value: there, no way of escaping can have kept it from being
        found."""
        match value:
            case str():
                return self.hide_text(value)
            case list() | tuple():
                return [self.hide_in(each) for each in value]
            case dict():
                return {self.hide_text(key): self.hide_in(each) for key, each in value.items()}
        return value

    def hide_text(self, text: str) -> str:
        return self.hide(text.encode(errors="backslashreplace")).decode(errors="replace")


class Shared:
    """Needles of the same secrets are made once, for as long as anybody has them."""

    def __init__(self) -> None:
        self.known: WeakValueDictionary[frozenset[str], Needles] = WeakValueDictionary()

    def of(self, secrets: frozenset[str]) -> Needles | None:
        """None where there is nothing to hide."""
        if not secrets:
            return None
        needles = self.known.get(secrets)
        if needles is None:
            needles = self.known[secrets] = Needles(secrets)
        return needles


def hide_outcome(outcome: Outcome, needles: Needles | None) -> Outcome:
    """What was read once more: an escape of JSON may have kept a secret from being found."""
    if needles is None:
        return outcome
    output = outcome.output and plain.write(needles.hide_in(plain.read(outcome.output)))
    error = outcome.error and needles.hide_text(outcome.error)
    return replace(outcome, output=output, error=error, detail=needles.hide_in(outcome.detail))


def merged(spans: Iterable[Span]) -> list[Span]:
    """One for each stretch: what touches is one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def mask_of(needles: Needles | None) -> Masker:
    return Bare() if needles is None else Mask(needles)


class Mask:
    """Hides needles in one stream."""

    def __init__(self, needles: Needles):
        self.needles = needles
        self.held = b""
        # How much of what is held belongs to the stars that were put out last; None where what
        # was put out last is no stars.
        self.covered: int | None = None

    def feed(self, data: bytes) -> bytes:
        data = self.held + data
        cut = len(data) - self.needles.unfinished(data)
        self.held = data[cut:]
        return self.put_out(data, cut)

    def flush(self) -> bytes:
        data, self.held = self.held, b""
        return self.put_out(data, len(data))

    def put_out(self, data: bytes, cut: int) -> bytes:
        """What stands before the cut. Needles that go on behind it are hidden from both sides."""
        spans = self.spans(data)
        is_out = self.covered is not None  # the stars of the first span
        parts: list[bytes] = []
        at, self.covered = 0, None
        for start, end in spans:
            if start >= cut and not is_out:
                break
            parts += (data[at:start], b"" if is_out else STARS)
            is_out = False
            at = min(end, cut)
            self.covered = end - cut if end >= cut else None
        parts.append(data[at:cut])
        return b"".join(parts)

    def spans(self, data: bytes) -> Sequence[Span]:
        before = [] if self.covered is None else [(0, self.covered)]
        return merged([*before, *self.needles.find(data)])
