"""The parts of a task that may hold expressions: where they stand, and what each must come to.

One walk over them serves all who ask: whether a task waits for values at all, whether its
expressions make sense, and what they come to in a run.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from scheduler.domain import templates
from scheduler.domain.errors import Invalid
from scheduler.domain.expression_meter import kind_of
from scheduler.domain.sealed import Reference, Sealed
from scheduler.domain.templates import Placed, Template
from scheduler.domain.values import refuse_unstorable

LONGEST_ARGUMENT = (128 << 10) - 1  # what Linux passes in one string
LONGEST_TEXT = 1 << 20
LONGEST_KEY = 200

Scope = Mapping[str, Any]
Path = tuple[str | int, ...]
Fill = Callable[[Template, Scope], Any]
NOTHING: frozenset[str] = frozenset()


class RenderFault(Invalid):
    """A task can't be carried out with the values that its run has."""


@dataclass(frozen=True, slots=True)
class Field:
    """`value` is a text, a text already read, or data with texts in it."""

    path: Path  # where it stands in the task's document
    value: Any
    fill: Fill
    called: str = ""  # what complaints call it
    wants: str = ""  # the kinds that it takes when it is known beforehand: see expression_types
    also: frozenset[str] = NOTHING  # what it may speak of beside what every part may
    secrets: bool = False  # whether `secrets.NAME` may stand in it

    @property
    def name(self) -> str:
        return self.called or dotted(self.path)

    def templates(self) -> Iterator[tuple[Path, Template]]:
        yield from _templates(self.path, self.value)

    def placed(self) -> Iterator[tuple[Path, Placed]]:
        for path, template in self.templates():
            yield from ((path, placed) for placed in template.placed)

    @property
    def is_static(self) -> bool:
        return all(template.is_static for _, template in self.templates())

    def come_to(self, scope: Scope) -> Any:
        with naming(self.name):
            return _filled(self.value, scope, self.fill)

    def beneath(self, *path: str | int) -> "Field":
        """The same, of a task that is itself a part of another."""
        return replace(self, path=(*path, *self.path))

    def speaking_of(self, also: frozenset[str]) -> "Field":
        return replace(self, also=self.also | also)


@contextmanager
def naming(field: str) -> Iterator[None]:
    try:
        yield
    except RenderFault:
        raise
    except Invalid as fault:
        raise RenderFault(f"{field}: {fault}", field=field) from None


def dotted(path: Path) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def as_text(most: int = LONGEST_ARGUMENT) -> Fill:
    def fill(template: Template, scope: Scope) -> str:
        return passable(template.fill(scope), most)

    return fill


def as_data(template: Template, scope: Scope) -> Any:
    """What the expression comes to; a text with secrets in it is left in parts."""
    if template.secrets:
        return sealed(template, scope, LONGEST_TEXT)
    value = template.value(scope)
    refuse_unstorable(value, "the value")
    return value


def as_secret_text(most: int = LONGEST_TEXT) -> Fill:
    def fill(template: Template, scope: Scope) -> Any:
        return sealed(template, scope, most) if template.secrets else as_text(most)(template, scope)

    return fill


def sealed(template: Template, scope: Scope, most: int) -> Sealed:
    parts: list[str | Reference] = []
    for piece in template.pieces(scope):
        parts.append(passable(piece, most) if isinstance(piece, str) else piece)
    return Sealed(tuple(parts))


def as_boolean(template: Template, scope: Scope) -> bool:
    value = template.value(scope)
    if not isinstance(value, bool):
        raise Invalid(f"{template.whole} is {kind_of(value)}, and true or false is needed")
    return value


def passable(text: str, most: int) -> str:
    if "\0" in text:
        raise Invalid("the value holds the character NUL, which no command can be given")
    if len(text.encode(errors="surrogatepass")) > most:
        raise Invalid(f"the value is longer than {most} bytes: pass it by file, or with stdin")
    return text


def _templates(path: Path, value: Any) -> Iterator[tuple[Path, Template]]:
    match value:
        case Template():
            yield path, value
        case str():
            yield path, templates.read(value)
        case Mapping():
            for key, each in value.items():
                yield from _templates((*path, key), each)
        case list():
            for number, each in enumerate(value):
                yield from _templates((*path, number), each)


def _filled(value: Any, scope: Scope, fill: Fill) -> Any:
    match value:
        case Template():
            return fill(value, scope)
        case str():
            return fill(templates.read(value), scope)
        case Mapping():
            return {key: _filled(each, scope, fill) for key, each in value.items()}
        case list():
            return [_filled(each, scope, fill) for each in value]
    return value
