"""What is known of an expression's value before there is one: enough to tell a mistake.

Only what can never work is a fault. Where a value may be of several kinds, one that fits is enough.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scheduler.domain.expression_meter import kind_of
from scheduler.domain.expression_syntax import (
    Binary,
    Call,
    Choice,
    Has,
    Index,
    ListOf,
    Literal,
    Macro,
    MapOf,
    Member,
    Name,
    Otherwise,
    SyntaxFault,
    Tree,
    Unary,
)

TEXT, NUMBER, BOOLEAN, NULL, LIST, MAP = "text", "a number", "a boolean", "null", "a list", "a map"
EVERY = frozenset({TEXT, NUMBER, BOOLEAN, NULL, LIST, MAP})
Kinds = frozenset[str]


@dataclass(frozen=True, slots=True)
class Shape:
    """The kinds that a value may be of; what is in it, as far as that is known."""

    kinds: Kinds = EVERY
    fields: "Mapping[str, Shape]" = field(default_factory=dict)
    items: "Shape | None" = None

    def __or__(self, other: "Shape") -> "Shape":
        same = self.fields == other.fields and self.items == other.items
        kinds = self.kinds | other.kinds
        return Shape(kinds, self.fields, self.items) if same else Shape(kinds)

    def within(self, name: str) -> "Shape":
        return self.fields.get(name, ANY)

    @property
    def element(self) -> "Shape":
        return self.items or ANY


def of(*kinds: str) -> Shape:
    return Shape(frozenset(kinds))


def map_of(**fields: Shape) -> Shape:
    return Shape(frozenset({MAP}), fields)


def list_of(items: Shape) -> Shape:
    return Shape(frozenset({LIST}), items=items)


ANY = Shape()
Scope = Mapping[str, Shape]

_OF_SCHEMAS = {
    "string": TEXT,
    "integer": NUMBER,
    "number": NUMBER,
    "boolean": BOOLEAN,
    "null": NULL,
    "array": LIST,
    "object": MAP,
}
_TEXTS = (frozenset({TEXT}),)
_SEQUENCES = frozenset({TEXT, LIST, MAP})
_SINGLE = frozenset({TEXT, NUMBER, BOOLEAN})
# What functions take, and what they come to.
_CALLS: Mapping[str, tuple[Sequence[Kinds], Shape]] = {
    "size": ((_SEQUENCES,), of(NUMBER)),
    "string": ((_SINGLE,), of(TEXT)),
    "int": ((frozenset({TEXT, NUMBER}),), of(NUMBER)),
    "double": ((frozenset({TEXT, NUMBER}),), of(NUMBER)),
    "bool": ((frozenset({TEXT, BOOLEAN}),), of(BOOLEAN)),
    "split": (_TEXTS * 2, list_of(of(TEXT))),
    "join": ((frozenset({LIST}), *_TEXTS), of(TEXT)),
    "replace": (_TEXTS * 3, of(TEXT)),
    **dict.fromkeys(("contains", "startsWith", "endsWith", "matches"), (_TEXTS * 2, of(BOOLEAN))),
    **dict.fromkeys(("trim", "lowerAscii", "upperAscii"), (_TEXTS, of(TEXT))),
}
_ADDABLE = (frozenset({NUMBER}), frozenset({TEXT}), frozenset({LIST}))
_ORDERED = (frozenset({NUMBER}), frozenset({TEXT}), frozenset({BOOLEAN}))


def of_schema(schema: Any) -> Shape:
    """What a JSON Schema lets a value be."""
    if not isinstance(schema, Mapping):
        return ANY
    if "const" in schema or isinstance(schema.get("enum"), list):
        values = [schema["const"]] if "const" in schema else schema["enum"]
        return Shape(frozenset(map(kind_of, values)))
    names = schema.get("type", [])
    names = names if isinstance(names, list) else [names]
    kinds = frozenset(_OF_SCHEMAS[name] for name in names if name in _OF_SCHEMAS)
    rules = schema.get("properties", {})
    fields = {name: of_schema(rule) for name, rule in rules.items()} if rules else {}
    items = of_schema(schema["items"]) if "items" in schema else None
    return Shape(kinds or EVERY, fields, items)


def infer(tree: Tree, scope: Scope) -> tuple[Shape, list[SyntaxFault]]:
    """The shape of its value, and what in it can never have one."""
    typing = _Typing()
    return typing.shape(tree, scope), typing.faults


class _Typing:
    def __init__(self) -> None:
        self.faults: list[SyntaxFault] = []

    def shape(self, tree: Tree, scope: Scope) -> Shape:
        match tree:
            case Literal(value):
                return of(kind_of(value))
            case Name(name):
                return scope.get(name, ANY)
            case Member(within, name, at):
                return self.member(self.shape(within, scope), name, at)
            case Index():
                return self.index(tree, scope)
            case Call(function, args, _, _):
                return self.call(function, [(arg, self.shape(arg, scope)) for arg in args])
            case Has(member):
                self.shape(member.of, scope)
                return of(BOOLEAN)
            case Otherwise(wished, other):
                found = self.shape(wished, scope)
                return Shape(found.kinds - {NULL}, found.fields, found.items) | self.shape(
                    other, scope
                )
            case Unary(sign, operand):
                kind = BOOLEAN if sign == "!" else NUMBER
                return self.needs(operand, self.shape(operand, scope), frozenset({kind}), of(kind))
            case Binary():
                return self.binary(tree, scope)
            case Choice(test, then, other):
                self.needs(test, self.shape(test, scope), frozenset({BOOLEAN}))
                return self.shape(then, scope) | self.shape(other, scope)
            case ListOf(items):
                shapes = [self.shape(item, scope) for item in items]
                same = shapes and all(shape == shapes[0] for shape in shapes)
                return list_of(shapes[0] if same else ANY)
            case MapOf(pairs):
                return self.map(pairs, scope)
        return self.macro(tree, scope)

    def member(self, within: Shape, name: str, at: int) -> Shape:
        if MAP not in within.kinds:
            self.fault(f"{in_words(within.kinds)} has no fields, so no {name!r}", at)
        return within.within(name)

    def index(self, tree: Index, scope: Scope) -> Shape:
        within, key = self.shape(tree.of, scope), self.shape(tree.key, scope)
        if not within.kinds & {LIST, MAP}:
            self.fault(f"{in_words(within.kinds)} has nothing to look up in it", tree.at)
        elif within.kinds <= {LIST, NULL}:
            self.needs(tree.key, key, frozenset({NUMBER}))
            return within.element
        if isinstance(tree.key, Literal) and isinstance(tree.key.value, str):
            return within.within(tree.key.value)
        return ANY

    def call(self, function: str, args: Sequence[tuple[Tree, Shape]]) -> Shape:
        wanted, result = _CALLS.get(function, ((), ANY))
        for (arg, shape), kinds in zip(args, wanted, strict=False):
            self.needs(arg, shape, kinds)
        return result

    def binary(self, tree: Binary, scope: Scope) -> Shape:
        left, right = self.shape(tree.left, scope), self.shape(tree.right, scope)
        match tree.sign:
            case "&&" | "||":
                self.needs(tree.left, left, frozenset({BOOLEAN}))
                return self.needs(tree.right, right, frozenset({BOOLEAN}), of(BOOLEAN))
            case "+":
                return self.pair(tree, left, right, _ADDABLE)
            case "<" | "<=" | ">" | ">=":
                self.pair(tree, left, right, _ORDERED)
            case "-" | "*" | "/" | "%":
                self.needs(tree.left, left, frozenset({NUMBER}))
                return self.needs(tree.right, right, frozenset({NUMBER}), of(NUMBER))
            case "in":
                self.needs(tree.right, right, frozenset({LIST, MAP}))
        return of(BOOLEAN)

    def pair(self, tree: Binary, left: Shape, right: Shape, takes: Sequence[Kinds]) -> Shape:
        """Both sides are of one kind, of those that the sign takes."""
        fitting = [kinds for kinds in takes if kinds & left.kinds and kinds & right.kinds]
        if not fitting:
            said = f"{in_words(left.kinds)} {tree.sign} {in_words(right.kinds)} has no meaning"
            both = left.kinds | right.kinds
            remedy = "string(…) makes text of a number, int(…) a number of text"
            self.fault(f"{said}: {remedy}" if both >= {TEXT, NUMBER} else said, tree.at)
            return ANY
        return Shape(frozenset().union(*fitting))

    def map(self, pairs: Sequence[tuple[Tree, Tree]], scope: Scope) -> Shape:
        fields = {}
        for key, value in pairs:
            self.needs(key, self.shape(key, scope), frozenset({TEXT}))
            shape = self.shape(value, scope)
            if isinstance(key, Literal) and isinstance(key.value, str):
                fields[key.value] = shape
        return Shape(frozenset({MAP}), fields)

    def macro(self, tree: Macro, scope: Scope) -> Shape:
        within = self.shape(tree.of, scope)
        self.needs(tree.of, within, frozenset({LIST, MAP}))
        one = within.element if within.kinds <= {LIST, NULL} else ANY
        shapes = [self.shape(body, {**scope, tree.variable: one}) for body in tree.bodies]
        tests = tree.bodies[:-1] if tree.kind == "map" else tree.bodies
        for body, shape in zip(tests, shapes, strict=False):
            self.needs(body, shape, frozenset({BOOLEAN}))
        if tree.kind == "map":
            return list_of(shapes[-1])
        return list_of(one) if tree.kind == "filter" else of(BOOLEAN)

    def needs(self, tree: Tree, shape: Shape, kinds: Kinds, result: Shape = ANY) -> Shape:
        if not shape.kinds & kinds:
            self.fault(f"{in_words(kinds)} is needed here, not {in_words(shape.kinds)}", tree.at)
        return result

    def fault(self, what: str, at: int) -> None:
        self.faults.append(SyntaxFault(what, at))


def in_words(kinds: Kinds) -> str:
    return " or ".join(sorted(kinds))
