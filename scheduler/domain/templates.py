"""Texts with `${{ … }}` in them. `$${{` stands for the characters themselves."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

from scheduler.domain.errors import Invalid
from scheduler.domain.expression_syntax import SyntaxFault, scan
from scheduler.domain.expression_text import in_words
from scheduler.domain.expressions import Expression, parse
from scheduler.domain.sealed import Reference

OPENING, CLOSING, ESCAPED = "${{", "}}", "$${{"
_OPENING = re.compile(r"\$\$\{\{|\$\{\{")


@dataclass(frozen=True, slots=True)
class Placed:
    """An expression and where it begins in the text around it."""

    expression: Expression
    at: int


@dataclass(frozen=True, slots=True)
class Template:
    parts: tuple[str | Placed, ...]

    @property
    def placed(self) -> tuple[Placed, ...]:
        return tuple(part for part in self.parts if isinstance(part, Placed))

    @property
    def is_static(self) -> bool:
        return not self.placed

    @property
    def whole(self) -> Expression | None:
        """The expression that is all there is; its value keeps its type."""
        match self.parts:
            case (Placed(expression),):
                return expression
        return None

    @property
    def secrets(self) -> tuple[str, ...]:
        names = (placed.expression.secret for placed in self.placed)
        return tuple(name for name in names if name is not None)

    def value(self, scope: Mapping[str, Any]) -> Any:
        return self.whole.evaluate(scope) if self.whole else self.fill(scope)

    def fill(self, scope: Mapping[str, Any]) -> str:
        return "".join(
            part if isinstance(part, str) else worded(part.expression, scope) for part in self.parts
        )

    def pieces(self, scope: Mapping[str, Any]) -> Iterator[str | Reference]:
        """The parts filled, except for secrets."""
        for part in self.parts:
            if isinstance(part, str):
                yield part
            elif (name := part.expression.secret) is not None:
                yield Reference(name)
            else:
                yield worded(part.expression, scope)


class NoText(Invalid):
    """A value that cannot become part of a text."""


@lru_cache(maxsize=4096)
def read(text: str) -> Template:
    """Raises SyntaxFault, whose `at` is an offset in the text."""
    parts: list[str | Placed] = []
    at = 0
    while opening := _OPENING.search(text, at):
        parts.append(text[at : opening.start()])
        if opening[0] == ESCAPED:
            parts.append(OPENING)
            at = opening.end()
        else:
            placed, at = place(text, opening.start())
            parts.append(placed)
    return Template(joined([*parts, text[at:]]))


def place(text: str, start: int) -> tuple[Placed, int]:
    """The expression whose `${{` stands at `start`, and where it is over."""
    begin = start + len(OPENING)
    end = scan(text, begin, within_braces=True)[-1].at
    if not text.startswith(CLOSING, end):
        raise SyntaxFault("'${{' is never closed by '}}'; write '$${{' for the characters", start)
    try:
        return Placed(parse(text[begin:end]), begin), end + len(CLOSING)
    except SyntaxFault as fault:
        raise SyntaxFault(str(fault), begin + fault.at) from None


def has_expressions(text: str) -> bool:
    return OPENING in text and not read(text).is_static


def joined(parts: Iterable[str | Placed]) -> tuple[str | Placed, ...]:
    """Neighbouring texts become one, empty ones none."""
    found: list[str | Placed] = []
    for is_text, group in groupby(parts, lambda part: isinstance(part, str)):
        if not is_text:
            found += group
        elif text := "".join(map(str, group)):
            found.append(text)
    return tuple(found)


def worded(expression: Expression, scope: Mapping[str, Any]) -> str:
    value = expression.evaluate(scope)
    if value is None:
        raise NoText(f"{expression} is null, which has no text: choose one with '? :'")
    return in_words(value)
