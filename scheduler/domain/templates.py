"""Texts with `${{ … }}` in them. `$${{` stands for the characters themselves."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from scheduler.domain.errors import Invalid
from scheduler.domain.expression_syntax import SyntaxFault, scan
from scheduler.domain.expression_text import in_words
from scheduler.domain.expressions import Expression, parse

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

    def value(self, scope: Mapping[str, Any]) -> Any:
        return self.whole.evaluate(scope) if self.whole else self.fill(scope)

    def fill(self, scope: Mapping[str, Any]) -> str:
        return "".join(
            part if isinstance(part, str) else _worded(part.expression, scope)
            for part in self.parts
        )


class NoText(Invalid):
    """A value that cannot become part of a text."""


@lru_cache(maxsize=4096)
def read(text: str) -> Template:
    """Raises SyntaxFault, whose `at` is an offset in the text."""
    parts: list[str | Placed] = []
    at = 0
    while opening := _OPENING.search(text, at):
        literal = text[at : opening.start()]
        if opening[0] == "$${{":
            parts.append(literal + "${{")
            at = opening.end()
            continue
        end = _end(text, opening.end())
        parts += [literal, Placed(_parsed(text, opening.end(), end), opening.end())]
        at = end + 2
    parts.append(text[at:])
    return Template(_joined(parts))


def has_expressions(text: str) -> bool:
    return "${{" in text and not read(text).is_static


def end_of(text: str, start: int) -> int:
    """Where the expression that opens at `start` (its `${{` included) is over."""
    return _end(text, start + 3) + 2


def _end(text: str, start: int) -> int:
    end = scan(text, start, within_braces=True)[-1].at
    if not text.startswith("}}", end):
        raise SyntaxFault("'${{' is never closed by '}}'; write '$${{' for the characters", start)
    return end


def _parsed(text: str, start: int, end: int) -> Expression:
    try:
        return parse(text[start:end])
    except SyntaxFault as fault:
        raise SyntaxFault(str(fault), start + fault.at) from None


def _joined(parts: list[str | Placed]) -> tuple[str | Placed, ...]:
    joined: list[str | Placed] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part:
            joined.append(part)
    return tuple(joined)


def _worded(expression: Expression, scope: Mapping[str, Any]) -> str:
    value = expression.evaluate(scope)
    if value is None:
        raise NoText(f"{expression} is null, which has no text: choose one with '? :'")
    return in_words(value)
