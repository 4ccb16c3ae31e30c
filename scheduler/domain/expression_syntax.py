"""The grammar of `${{ … }}`: the part of CEL that speaks of JSON values, as a tree with columns."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from scheduler.domain.errors import Invalid

LONGEST = 2_000  # characters
MOST_PARTS = 200  # also bounds the height of the tree, hence every recursion over it
DEEPEST = 32
MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})


class SyntaxFault(Invalid):
    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.at = at  # offset in the expression's text


@dataclass(frozen=True, slots=True)
class Literal:
    value: bool | int | float | str | None
    at: int


@dataclass(frozen=True, slots=True)
class Name:
    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Member:
    of: "Tree"
    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Index:
    of: "Tree"
    key: "Tree"
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    args: "tuple[Tree, ...]"  # of a method: the receiver first
    is_method: bool
    at: int


@dataclass(frozen=True, slots=True)
class Macro:
    kind: str
    of: "Tree"
    variable: str
    bodies: "tuple[Tree, ...]"
    at: int


@dataclass(frozen=True, slots=True)
class Has:
    member: Member
    at: int


@dataclass(frozen=True, slots=True)
class Otherwise:
    """A field's value, or another where it is absent or null."""

    of: "Tree"
    other: "Tree"
    at: int


@dataclass(frozen=True, slots=True)
class Unary:
    sign: str
    of: "Tree"
    at: int


@dataclass(frozen=True, slots=True)
class Binary:
    sign: str
    left: "Tree"
    right: "Tree"
    at: int


@dataclass(frozen=True, slots=True)
class Choice:
    test: "Tree"
    then: "Tree"
    other: "Tree"
    at: int


@dataclass(frozen=True, slots=True)
class ListOf:
    items: "tuple[Tree, ...]"
    at: int


@dataclass(frozen=True, slots=True)
class MapOf:
    items: "tuple[tuple[Tree, Tree], ...]"
    at: int


Tree = (
    Literal
    | Name
    | Member
    | Index
    | Call
    | Macro
    | Has
    | Otherwise
    | Unary
    | Binary
    | Choice
    | ListOf
    | MapOf
)


def children(tree: Tree) -> Iterator[Tree]:
    match tree:
        case Member(of) | Unary(_, of) | Has(of):
            yield of
        case Index(left, right) | Binary(_, left, right) | Otherwise(left, right):
            yield from (left, right)
        case Call(_, items) | ListOf(items):
            yield from items
        case Macro(_, of, _, bodies):
            yield from (of, *bodies)
        case Choice(test, then, other):
            yield from (test, then, other)
        case MapOf(pairs):
            yield from (part for pair in pairs for part in pair)


@dataclass(frozen=True, slots=True)
class Token:
    kind: str  # number, string, name, task, sign, end
    text: str
    at: int


_BLANKS = " \t\r\n"
_TOKEN = re.compile(
    r"""(?:
      (?P<number>(?:\d+\.\d+|\d+)(?:[eE][+-]?\d+)?|0x[0-9a-fA-F]+)(?![A-Za-z0-9_])
    | (?P<string>r?'(?:[^'\\\n]|\\.)*'|r?"(?:[^"\\\n]|\\.)*")
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]{}])
    )""",
    re.VERBOSE | re.ASCII,
)
# After `tasks.` a hyphen belongs to the name: taking something away from a task has no meaning.
_TASK = re.compile(r"[a-z0-9][a-z0-9_-]*", re.ASCII)


def scan(text: str, start: int = 0, *, within_braces: bool = False) -> list[Token]:
    """All tokens up to the end, or up to the `}}` that belongs to the `${{` before `start`."""
    tokens: list[Token] = []
    at, depth = start, 0
    while True:
        at = _after_blanks(text, at)
        if at == len(text) or (within_braces and not depth and text.startswith("}}", at)):
            return [*tokens, Token("end", "", at)]
        token = _task(tokens, text, at) or _token(text, at)
        tokens.append(token)
        at += len(token.text)
        depth += (token.text == "{") - (token.text == "}") if token.kind == "sign" else 0
        if at - start > LONGEST:
            raise SyntaxFault(f"an expression has at most {LONGEST} characters", start)


def _after_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


def _task(tokens: list[Token], text: str, at: int) -> Token | None:
    names_a_task = [token.text for token in tokens[-2:]] == ["tasks", "."] and (
        len(tokens) == 2 or tokens[-3].text != "."
    )
    match = _TASK.match(text, at) if names_a_task else None
    return Token("name", match[0], at) if match else None


def _token(text: str, at: int) -> Token:
    match = _TOKEN.match(text, at)
    if match is None or match.lastgroup is None:
        raise SyntaxFault(f"{text[at : at + 12]!r} is not understood", at)
    return Token(match.lastgroup, match[match.lastgroup], at)
