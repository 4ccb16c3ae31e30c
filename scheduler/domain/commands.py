"""Commands: a text split into words as POSIX splits them, before anything is filled in."""

from dataclasses import dataclass
from functools import lru_cache

from scheduler.domain import templates
from scheduler.domain.expression_syntax import SyntaxFault
from scheduler.domain.templates import Template

_OPERATORS = frozenset("|&;<>()\n`")
_REMEDY = "is for a shell, and there is none here: quote it, or write the command under 'shell:'"


@dataclass(frozen=True, slots=True)
class Split:
    text: str


@dataclass(frozen=True, slots=True)
class Argv:
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Script:
    text: str


Command = Split | Argv | Script


def words(command: Split | Argv) -> tuple[Template, ...]:
    if isinstance(command, Argv):
        return tuple(templates.read(item) for item in command.items)
    return tuple(templates.read(word) for word, _ in split(command.text))


@lru_cache(maxsize=4096)
def split(text: str) -> tuple[tuple[str, int], ...]:
    """The words and where each begins. Expressions stay whole, quotes and all."""
    return tuple(_Splitter(text).words())


class _Splitter:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def words(self) -> list[tuple[str, int]]:
        found = []
        while self.skip_blanks():
            start = self.at
            found.append((self.word(), start))
        return found

    def skip_blanks(self) -> bool:
        while self.at < len(self.text) and self._is_blank():
            self.at += 1
        return self.at < len(self.text)

    def word(self) -> str:
        parts = []
        while self.at < len(self.text) and not self._is_blank():
            parts.append(self.piece())
        return "".join(parts)

    def piece(self) -> str:
        sign = self.text[self.at]
        if self.text.startswith(("${{", "$${{"), self.at):
            return self.expression()
        if sign == "'":
            return self.single()
        if sign == '"':
            return self.double()
        if sign == "\\":
            return self.escaped()
        if sign in _OPERATORS:
            raise SyntaxFault(f"{sign!r} {_REMEDY}", self.at)
        return self.take(1)

    def expression(self) -> str:
        if self.text.startswith("$${{", self.at):
            return self.take(4)
        return self.take(templates.end_of(self.text, self.at) - self.at)

    def single(self) -> str:
        start = self.at
        self.at += 1
        parts = []
        while not self.text.startswith("'", self.at):
            parts.append(self.inside(start))
        self.at += 1
        return "".join(parts)

    def double(self) -> str:
        start = self.at
        self.at += 1
        parts = []
        while not self.text.startswith('"', self.at):
            if self.text.startswith("\\", self.at) and self.text[self.at + 1 : self.at + 2] in (
                '"',
                "\\",
                "$",
                "`",
            ):
                self.at += 1
                parts.append(self.literal())
            else:
                parts.append(self.inside(start))
        self.at += 1
        return "".join(parts)

    def inside(self, start: int) -> str:
        if self.at >= len(self.text):
            raise SyntaxFault("this quote is never closed", start)
        if self.text.startswith(("${{", "$${{"), self.at):
            return self.expression()
        return self.take(1)

    def escaped(self) -> str:
        self.at += 1
        if self.at == len(self.text):
            raise SyntaxFault("a backslash at the end escapes nothing", self.at - 1)
        return "" if self.text.startswith("\n", self.at) and self.take(1) else self.literal()

    def literal(self) -> str:
        """A character that was escaped; a `$` must not begin an expression after all."""
        opens = self.text.startswith("${{", self.at)
        return "$" + self.take(3) if opens else self.take(1)

    def take(self, count: int) -> str:
        taken = self.text[self.at : self.at + count]
        self.at += count
        return taken

    def _is_blank(self) -> bool:
        return self.text[self.at] in " \t\r\n"
