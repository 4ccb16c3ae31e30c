"""Commands: a text split into words as POSIX splits them, before anything is filled in."""

from dataclasses import dataclass
from functools import lru_cache

from scheduler.domain import templates
from scheduler.domain.expression_syntax import SyntaxFault
from scheduler.domain.templates import ESCAPED, OPENING, Placed, Template

_BLANKS = " \t\r\n"
_OPERATORS = "|&;<>()`"
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
    return split(command.text)


@lru_cache(maxsize=4096)
def split(text: str) -> tuple[Template, ...]:
    """Quotes group, a backslash escapes, expressions stay whole; nothing is expanded.

    Raises SyntaxFault, whose `at` is an offset in the text.
    """
    return tuple(_Splitter(text).words())


class _Splitter:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def words(self) -> list[Template]:
        found = []
        while self._skip_blanks():
            found.append(self._word())
        return found

    def _skip_blanks(self) -> bool:
        while self._next in _BLANKS and self._next:
            self.at += 1
        return bool(self._next)

    def _word(self) -> Template:
        parts: list[str | Placed] = []
        while self._next and self._next not in _BLANKS:
            parts += self._piece()
        return Template(templates.joined(parts))

    def _piece(self) -> list[str | Placed]:
        match self._next:
            case "'":
                return self._quoted("'", escapes="")
            case '"':
                return self._quoted('"', escapes='"\\$`')
            case "\\":
                return [self._escaped()]
            case sign if sign in _OPERATORS:
                raise SyntaxFault(f"{sign!r} {_REMEDY}", self.at)
        return [self._one()]

    def _quoted(self, mark: str, *, escapes: str) -> list[str | Placed]:
        start = self.at
        self.at += 1
        parts: list[str | Placed] = []
        while self._next != mark:
            if not self._next:
                raise SyntaxFault("this quote is never closed", start)
            follows = self.text[self.at + 1 : self.at + 2]
            escaped = self._next == "\\" and follows and follows in escapes
            parts.append(self._escaped() if escaped else self._one())
        self.at += 1
        return parts

    def _escaped(self) -> str:
        self.at += 1
        if not self._next:
            raise SyntaxFault("a backslash at the end escapes nothing", self.at - 1)
        self.at += 1
        taken = self.text[self.at - 1]
        return "" if taken == "\n" else taken

    def _one(self) -> str | Placed:
        if self.text.startswith(ESCAPED, self.at):
            self.at += len(ESCAPED)
            return OPENING
        if self.text.startswith(OPENING, self.at):
            placed, self.at = templates.place(self.text, self.at)
            return placed
        self.at += 1
        return self.text[self.at - 1]

    @property
    def _next(self) -> str:
        return self.text[self.at : self.at + 1]
