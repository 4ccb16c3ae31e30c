"""From the text of an expression to its tree."""

import re
from functools import lru_cache
from math import isfinite

from scheduler.domain.expression_syntax import (
    DEEPEST,
    LONGEST,
    MACROS,
    MOST_PARTS,
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
    Token,
    Tree,
    Unary,
    scan,
)

_LEVELS = (
    ("||",),
    ("&&",),
    ("==", "!=", "<", "<=", ">", ">=", "in"),
    ("+", "-"),
    ("*", "/", "%"),
)
_CONSTANTS = {"true": True, "false": False, "null": None}
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"`?])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))"
)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@lru_cache(maxsize=4096)
def parse(text: str) -> Tree:
    """Raises SyntaxFault, whose `at` is an offset in the text."""
    if len(text) > LONGEST:
        raise SyntaxFault(f"an expression has at most {LONGEST} characters", 0)
    return _Parser(scan(text)).whole()


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self.parts = 0
        self.depth = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.position]

    def whole(self) -> Tree:
        if self.next.kind == "end":
            raise SyntaxFault("the expression is empty", self.next.at)
        tree = self.expression()
        if self.next.kind != "end":
            raise self.unexpected("an operator or the end")
        return tree

    def expression(self) -> Tree:
        self.depth += 1
        if self.depth > DEEPEST:
            raise SyntaxFault(f"an expression nests at most {DEEPEST} deep", self.next.at)
        tree = self.choice(self.level(0))
        self.depth -= 1
        return tree

    def choice(self, test: Tree) -> Tree:
        at = self.next.at
        if not self.skip("?"):
            return test
        then = self.expression()
        self.expect(":")
        return self.part(Choice(test, then, self.expression(), at))

    def level(self, number: int) -> Tree:
        if number == len(_LEVELS):
            return self.unary()
        tree = self.level(number + 1)
        while self.next.text in _LEVELS[number] and self.next.kind != "string":
            sign = self.take()
            tree = self.part(Binary(sign.text, tree, self.level(number + 1), sign.at))
        return tree

    def unary(self) -> Tree:
        signs = []
        while self.is_sign("!") or self.is_sign("-"):
            signs.append(self.take())
        if signs and signs[-1].text == "-" and self.next.kind == "number":
            minus = signs.pop()
            tree = self.postfix(self.number(self.take(), negative=minus))
        else:
            tree = self.postfix(self.primary())
        for sign in reversed(signs):
            tree = self.part(Unary(sign.text, tree, sign.at))
        return tree

    def postfix(self, tree: Tree) -> Tree:
        while True:
            if self.skip("."):
                tree = self.member(tree)
            elif self.is_sign("["):
                at = self.take().at
                tree = self.part(Index(tree, self.expression(), at))
                self.expect("]")
            else:
                return tree

    def member(self, of: Tree) -> Tree:
        name = self.take()
        if name.kind != "name":
            raise SyntaxFault(f"a name is expected after '.', not {name.text!r}", name.at)
        if not self.skip("("):
            return self.part(Member(of, name.text, name.at))
        if name.text in MACROS:
            return self.macro(of, name)
        return self.part(Call(name.text, (of, *self.arguments(")")), True, name.at))

    def macro(self, of: Tree, name: Token) -> Tree:
        match self.arguments(")"):
            case [Name(variable), body]:
                return self.part(Macro(name.text, of, variable, (body,), name.at))
            case [Name(variable), test, body] if name.text == "map":
                return self.part(Macro(name.text, of, variable, (test, body), name.at))
        raise SyntaxFault(f"write {name.text}(variable, expression)", name.at)

    def arguments(self, closing: str) -> list[Tree]:
        items: list[Tree] = []
        while not self.skip(closing):
            if items:
                self.expect(",")
                if closing != ")" and self.skip(closing):
                    break
            items.append(self.expression())
        return items

    def primary(self) -> Tree:
        token = self.take()
        match token.kind:
            case "number":
                return self.number(token)
            case "string":
                return self.part(Literal(_string(token), token.at))
            case "name":
                return self.named(token)
        if token.text == "(":
            tree = self.expression()
            self.expect(")")
            return tree
        if token.text == "[":
            return self.part(ListOf(tuple(self.arguments("]")), token.at))
        if token.text == "{":
            return self.part(MapOf(tuple(self.pairs()), token.at))
        self.position -= 1
        raise self.unexpected("a value")

    def named(self, token: Token) -> Tree:
        if token.text in _CONSTANTS:
            return self.part(Literal(_CONSTANTS[token.text], token.at))
        if token.text == "in":
            raise SyntaxFault("a value is expected before 'in'", token.at)
        if not self.skip("("):
            return self.part(Name(token.text, token.at))
        args = self.arguments(")")
        if token.text == "default":
            return self.otherwise(args, token)
        if token.text != "has":
            return self.part(Call(token.text, tuple(args), False, token.at))
        if len(args) != 1 or not isinstance(args[0], Member):
            raise SyntaxFault("has() asks for one field: has(input.day)", token.at)
        return self.part(Has(args[0], token.at))

    def otherwise(self, args: list[Tree], token: Token) -> Tree:
        if len(args) != 2 or not isinstance(args[0], Member | Index):
            raise SyntaxFault(
                "default() takes a field and what stands for it where it is absent or null: "
                "default(input.day, 'today')",
                token.at,
            )
        return self.part(Otherwise(args[0], args[1], token.at))

    def pairs(self) -> list[tuple[Tree, Tree]]:
        pairs: list[tuple[Tree, Tree]] = []
        while not self.skip("}"):
            if pairs:
                self.expect(",")
                if self.skip("}"):
                    break
            key = self.expression()
            self.expect(":")
            pairs.append((key, self.expression()))
        return pairs

    def number(self, token: Token, negative: Token | None = None) -> Tree:
        value = _number("-" * (negative is not None) + token.text)
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise SyntaxFault(f"{token.text} does not fit in 64 bits", token.at)
        if isinstance(value, float) and not isfinite(value):
            raise SyntaxFault(f"{token.text} is too large", token.at)
        return self.part(Literal(value, negative.at if negative else token.at))

    def part(self, tree: Tree) -> Tree:
        self.parts += 1
        if self.parts > MOST_PARTS:
            raise SyntaxFault(f"an expression has at most {MOST_PARTS} parts", self.next.at)
        return tree

    def is_sign(self, text: str) -> bool:
        return self.next.kind == "sign" and self.next.text == text

    def skip(self, text: str) -> bool:
        found = self.is_sign(text)
        self.position += found
        return found

    def expect(self, text: str) -> None:
        if not self.skip(text):
            raise self.unexpected(repr(text))

    def take(self) -> Token:
        token = self.next
        if token.kind == "end":
            raise self.unexpected("a value")
        self.position += 1
        return token

    def unexpected(self, wanted: str) -> SyntaxFault:
        found = repr(self.next.text) if self.next.kind != "end" else "the end of the expression"
        return SyntaxFault(f"{wanted} is expected here, not {found}", self.next.at)


def _number(text: str) -> int | float:
    if "x" in text:
        return int(text, 16)
    return float(text) if re.search(r"[.eE]", text) else int(text)


def _string(token: Token) -> str:
    if token.text.startswith("r"):
        return token.text[2:-1]

    def plain(match: re.Match[str]) -> str:
        simple, *codes, octal, other = match.groups()
        if simple:
            return _SIMPLE.get(simple, simple)
        if other is not None:
            raise SyntaxFault(
                f"\\{other} is no escape of a string; write \\\\ for a backslash", token.at
            )
        code = int(octal, 8) if octal else int(next(c for c in codes if c), 16)
        if not 0 < code < 0x110000 or 0xD800 <= code < 0xE000:
            raise SyntaxFault(f"{match[0]} is no character", token.at)
        return chr(code)

    return _ESCAPE.sub(plain, token.text[1:-1])
