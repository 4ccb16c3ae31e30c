"""Expressions: parsed, checked against what they may speak of, evaluated.

The language is the part of CEL that speaks of JSON values. It is evaluated here, and not by a
library, because nothing that users write may take unbounded time or memory, and an expression of
a hundred characters that doubles a list thirty times does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scheduler.domain.expression_functions import FUNCTIONS
from scheduler.domain.expression_parser import parse as parse_tree
from scheduler.domain.expression_syntax import (
    Call,
    Index,
    Literal,
    Macro,
    Member,
    Name,
    SyntaxFault,
    Tree,
    children,
)
from scheduler.domain.expression_values import evaluate as evaluate_tree
from scheduler.domain.names import suggestion

SCOPES = frozenset({"input", "vars", "tasks", "run"})
OF_A_TASK = frozenset({"output", "exit_code", "status", "error", "started_at", "finished_at"})
FIELDS: Mapping[str, frozenset[str]] = {
    "run": frozenset({"id", "type", "record", "round", "labels", "started_at"}),
    "item": frozenset({"value", "index", "key"}),
    "event": frozenset({"type", "key", "data", "source", "id", "time"}),
}
# What some places may speak of beside that, and where those places are.
ELSEWHERE: Mapping[str, str] = {
    "item": "only a task with 'for_each' has one, in what each of its items does",
    "output": "only 'repeat' and 'undo' speak of a task's own: write tasks.NAME.output",
    "exit_code": "only 'repeat' and 'undo' speak of a task's own: write tasks.NAME.exit_code",
    "iteration": "only the 'until' of a 'repeat' has one",
    "event": "only the 'when' of a 'wait_for' has one: what came is tasks.NAME.output later",
    "error": "only hooks have one: write tasks.NAME.error",
    "failed": "only hooks have it: ask whether tasks.NAME.status is 'FAILED'",
    "secrets": "they stand alone, ${{ secrets.NAME }}, in the url, headers, json and body of "
    "'http' and the args of 'python'; a command gets them under 'secrets:'",
}
METHODS = frozenset(
    {"size", "contains", "startsWith", "endsWith", "matches", "split", "join", "replace", "trim"}
    | {"lowerAscii", "upperAscii"}
)


@dataclass(frozen=True, slots=True)
class Expression:
    text: str

    @property
    def tree(self) -> Tree:
        return parse_tree(self.text)

    @property
    def secret(self) -> str | None:
        """The secret's name, if it is all that this speaks of."""
        match self.tree:
            case Member(Name("secrets"), name) | Index(Name("secrets"), Literal(str() as name)):
                return name
        return None

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        return evaluate_tree(self.tree, scope)

    def __str__(self) -> str:
        return f"${{{{ {self.text.strip()} }}}}"


@dataclass(frozen=True, slots=True)
class TaskMention:
    """An expression speaks of a task; whoever knows the graph checks that it may."""

    name: str
    at: int


def parse(text: str) -> Expression:
    parse_tree(text)
    return Expression(text)


def faults(
    expression: Expression, scopes: frozenset[str] = SCOPES, *, secrets: bool = False
) -> Iterator[SyntaxFault]:
    """What is wrong with it whatever the tasks are called."""
    if expression.secret is None or not secrets:
        yield from _faults(expression.tree, scopes, frozenset())


def mentions(expression: Expression) -> Iterator[TaskMention]:
    yield from _mentions(expression.tree)


def _faults(tree: Tree, scopes: frozenset[str], bound: frozenset[str]) -> Iterator[SyntaxFault]:
    match tree:
        case Name(name, at) if name not in bound | scopes:
            meant = ELSEWHERE.get(name) or suggestion(name, bound | scopes)
            yield SyntaxFault(f"there is no {name!r} to speak of here: {meant}", at)
        case Name("tasks", at):
            yield SyntaxFault("name a task: tasks.NAME.output", at)
        case Call(function, args, method, at):
            yield from _call_faults(function, len(args), method, at)
        case Macro(_, of, variable, bodies, at):
            if variable in scopes | {"secrets"}:
                yield SyntaxFault(f"{variable!r} already has a meaning: take another name", at)
            yield from _faults(of, scopes, bound)
            for body in bodies:
                yield from _faults(body, scopes, bound | {variable})
            return
    if _mention(tree) is not None:
        return
    yield from _member_faults(tree, bound)
    for child in children(tree):
        yield from _faults(child, scopes, bound)


def _member_faults(tree: Tree, bound: frozenset[str]) -> Iterator[SyntaxFault]:
    match tree:
        case Member(Name(of), name, at) if of in FIELDS and of not in bound:
            if name not in FIELDS[of]:
                article = "an" if of[0] in "aeiou" else "a"
                yield SyntaxFault(f"{article} {of} has no {name!r}: {meant(name, of)}", at)
        case Member(of, name, at) if _mention(of) and name not in OF_A_TASK:
            yield SyntaxFault(f"a task has no {name!r}: {suggestion(name, OF_A_TASK)}", at)


def meant(name: str, of: str) -> str:
    return suggestion(name, FIELDS[of])


def _call_faults(name: str, count: int, method: bool, at: int) -> Iterator[SyntaxFault]:
    known = {function for function, _ in FUNCTIONS}
    if name not in known:
        yield SyntaxFault(f"there is no function {name!r}: {suggestion(name, known)}", at)
    elif (name, count) not in FUNCTIONS:
        yield SyntaxFault(f"{name}() does not take {count - method} arguments", at)
    elif method != (name in METHODS) and name != "size":
        how = f"text.{name}(…)" if name in METHODS else f"{name}(…)"
        yield SyntaxFault(f"write {how}", at)


def _mentions(tree: Tree) -> Iterator[TaskMention]:
    if (mention := _mention(tree)) is not None:
        yield mention
        return
    for child in children(tree):
        yield from _mentions(child)


def _mention(tree: Tree) -> TaskMention | None:
    match tree:
        case Member(Name("tasks"), name, at):
            return TaskMention(name, at)
        case Index(Name("tasks"), Literal(str() as name), at):
            return TaskMention(name, at)
    return None
