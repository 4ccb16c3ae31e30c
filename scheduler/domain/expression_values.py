"""What an expression comes to. Every step is paid for, so time and memory have a bound."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from scheduler.domain.errors import Invalid
from scheduler.domain.expression_functions import FUNCTIONS
from scheduler.domain.expression_meter import Meter, ValueFault, kind_of, refuse_too_large, size_of
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
    Tree,
    Unary,
)
from scheduler.domain.names import suggestion

Scope = Mapping[str, Any]


class EvaluationFault(Invalid):
    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.at = at


def evaluate(tree: Tree, scope: Scope) -> Any:
    """The value; raises EvaluationFault with the offset of the part that has none."""
    value = _Evaluation(Meter()).value(tree, scope)
    refuse_too_large(value)
    return value


class _Evaluation:
    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def value(self, tree: Tree, scope: Scope) -> Any:
        try:
            self.meter.spend(1)
            return _STEPS[type(tree)](self, tree, scope)
        except ValueFault as fault:
            raise EvaluationFault(str(fault), tree.at) from None

    def literal(self, tree: Literal, scope: Scope) -> Any:
        return tree.value

    def name(self, tree: Name, scope: Scope) -> Any:
        if tree.name not in scope:
            raise ValueFault(f"there is no {tree.name!r}: {suggestion(tree.name, scope)}")
        return scope[tree.name]

    def member(self, tree: Member, scope: Scope) -> Any:
        return field(self.value(tree.of, scope), tree.name)

    def index(self, tree: Index, scope: Scope) -> Any:
        return element(self.value(tree.of, scope), self.value(tree.key, scope))

    def call(self, tree: Call, scope: Scope) -> Any:
        function = FUNCTIONS[tree.function, len(tree.args)]
        return function(self.meter, *(self.value(arg, scope) for arg in tree.args))

    def has(self, tree: Has, scope: Scope) -> bool:
        of = self.value(tree.member.of, scope)
        return isinstance(of, Mapping) and tree.member.name in of

    def otherwise(self, tree: Otherwise, scope: Scope) -> Any:
        found = self.perhaps(tree.of, scope)
        return self.value(tree.other, scope) if found is None else found

    def perhaps(self, tree: Tree, scope: Scope) -> Any:
        """The value of a path of fields; null where a step of it is absent."""
        if not isinstance(tree, Member | Index):
            return self.value(tree, scope)
        self.meter.spend(1)
        of = self.perhaps(tree.of, scope)
        name = tree.name if isinstance(tree, Member) else self.value(tree.key, scope)
        if of is None or (isinstance(of, Mapping) and isinstance(name, str) and name not in of):
            return None
        if isinstance(of, list) and isinstance(name, int) and name >= len(of):
            return None
        return element(of, name)

    def unary(self, tree: Unary, scope: Scope) -> Any:
        value = self.value(tree.of, scope)
        if tree.sign == "!":
            return not boolean(value)
        return fitting(-number(value))

    def binary(self, tree: Binary, scope: Scope) -> Any:
        if tree.sign in ("&&", "||"):
            return self.logic(tree, scope)
        left, right = self.value(tree.left, scope), self.value(tree.right, scope)
        return _OPERATORS[tree.sign](self.meter, left, right)

    def logic(self, tree: Binary, scope: Scope) -> bool:
        """As in CEL, a side that decides does so even if the other side has no value."""
        decides = tree.sign == "||"
        try:
            if boolean(self.value(tree.left, scope)) is decides:
                return decides
        except (EvaluationFault, ValueFault):
            if boolean(self.value(tree.right, scope)) is decides:
                return decides
            raise
        return boolean(self.value(tree.right, scope))

    def choice(self, tree: Choice, scope: Scope) -> Any:
        test = boolean(self.value(tree.test, scope))
        return self.value(tree.then if test else tree.other, scope)

    def list_of(self, tree: ListOf, scope: Scope) -> list[Any]:
        return [self.value(item, scope) for item in tree.items]

    def map_of(self, tree: MapOf, scope: Scope) -> dict[str, Any]:
        found = {}
        for key, value in tree.items:
            name = self.value(key, scope)
            if not isinstance(name, str):
                raise ValueFault(f"the keys of a map are text, not {kind_of(name)}")
            found[name] = self.value(value, scope)
        return found

    def macro(self, tree: Macro, scope: Scope) -> Any:
        of = self.value(tree.of, scope)
        if not isinstance(of, list | Mapping):
            raise ValueFault(f"{tree.kind}() goes through a list or a map, not {kind_of(of)}")
        rounds = ({**scope, tree.variable: item} for item in of)
        *tests, body = tree.bodies
        if tree.kind == "map":
            chosen = (s for s in rounds if all(boolean(self.value(t, s)) for t in tests))
            return [self.value(body, inner) for inner in chosen]
        if tree.kind == "filter":
            return [s[tree.variable] for s in rounds if boolean(self.value(body, s))]
        if tree.kind == "exists_one":
            return sum(boolean(self.value(body, inner)) for inner in rounds) == 1
        return self.quantified(body, rounds, decides=tree.kind == "exists")

    def quantified(self, body: Tree, rounds: Any, *, decides: bool) -> bool:
        fault: Invalid | None = None
        for inner in rounds:
            try:
                if boolean(self.value(body, inner)) is decides:
                    return decides
            except (EvaluationFault, ValueFault) as found:
                fault = fault or found
        if fault is not None:
            raise fault
        return not decides


def field(of: Any, name: Any) -> Any:
    if not isinstance(of, Mapping):
        raise ValueFault(f"{kind_of(of)} has no fields, so no {name!r}")
    if not isinstance(name, str):
        raise ValueFault(f"the keys of a map are text, not {kind_of(name)}")
    if name not in of:
        raise ValueFault(f"there is no {name[:80]!r}: {suggestion(name, map(str, of))}")
    return of[name]


def element(of: Any, key: Any) -> Any:
    if not isinstance(of, list):
        return field(of, key)
    if not isinstance(key, int) or isinstance(key, bool):
        raise ValueFault(f"a list is indexed by a number, not {kind_of(key)}")
    if not 0 <= key < len(of):
        raise ValueFault(f"the list has {len(of)} elements, none at {key}")
    return of[key]


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueFault(f"true or false is needed here, not {kind_of(value)}")
    return value


def number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueFault(f"a number is needed here, not {kind_of(value)}")
    return value


def fitting(value: Any) -> Any:
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueFault("the result does not fit in 64 bits")
    if isinstance(value, float) and value - value != 0:
        raise ValueFault("the result is not a number, or too large")
    return value


def equal(meter: Meter, left: Any, right: Any) -> bool:
    meter.spend(1)
    if kind_of(left) != kind_of(right):
        return False
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(equal(meter, left[k], right[k]) for k in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(
            equal(meter, a, b) for a, b in zip(left, right, strict=True)
        )
    meter.spend(size_of(left))
    return bool(left == right)


def contains(meter: Meter, item: Any, of: Any) -> bool:
    if isinstance(of, Mapping):
        return isinstance(item, str) and item in of
    if not isinstance(of, list):
        raise ValueFault(f"'in' looks into a list or a map, not {kind_of(of)}")
    return any(equal(meter, item, each) for each in of)


def add(meter: Meter, left: Any, right: Any) -> Any:
    both: Any = (left, right)
    if all(isinstance(side, str) for side in both) or all(isinstance(side, list) for side in both):
        meter.spend(size_of(left) + size_of(right))
        return left + right
    if isinstance(left, str) or isinstance(right, str):
        raise ValueFault(
            f"{kind_of(left)} + {kind_of(right)} has no meaning: string(…) makes text of a number"
        )
    return fitting(number(left) + number(right))


def arithmetic(compute: Callable[[Any, Any], Any]) -> Callable[[Meter, Any, Any], Any]:
    def step(meter: Meter, left: Any, right: Any) -> Any:
        try:
            return fitting(compute(number(left), number(right)))
        except ZeroDivisionError:
            raise ValueFault("division by zero") from None
        except OverflowError:
            raise ValueFault("the result is too large") from None

    return step


def divide(left: Any, right: Any) -> Any:
    """Whole numbers are cut towards zero, as in CEL."""
    if isinstance(left, float) or isinstance(right, float):
        return left / right
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def remainder(left: Any, right: Any) -> Any:
    if isinstance(left, float) or isinstance(right, float):
        raise ValueFault("% takes whole numbers")
    return left - right * divide(left, right)


def ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Meter, Any, Any], bool]:
    def step(meter: Meter, left: Any, right: Any) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            meter.spend(size_of(left))
            return compare(left, right)
        if isinstance(left, bool) and isinstance(right, bool):
            return compare(left, right)  # as in CEL, false comes before true
        return compare(number(left), number(right))

    return step


_OPERATORS: Mapping[str, Callable[[Meter, Any, Any], Any]] = {
    "+": add,
    "-": arithmetic(operator.sub),
    "*": arithmetic(operator.mul),
    "/": arithmetic(divide),
    "%": arithmetic(remainder),
    "<": ordered(operator.lt),
    "<=": ordered(operator.le),
    ">": ordered(operator.gt),
    ">=": ordered(operator.ge),
    "==": equal,
    "!=": lambda meter, left, right: not equal(meter, left, right),
    "in": contains,
}

_STEPS: Mapping[type, Callable[[_Evaluation, Any, Scope], Any]] = {
    Literal: _Evaluation.literal,
    Name: _Evaluation.name,
    Member: _Evaluation.member,
    Index: _Evaluation.index,
    Call: _Evaluation.call,
    Has: _Evaluation.has,
    Otherwise: _Evaluation.otherwise,
    Unary: _Evaluation.unary,
    Binary: _Evaluation.binary,
    Choice: _Evaluation.choice,
    ListOf: _Evaluation.list_of,
    MapOf: _Evaluation.map_of,
    Macro: _Evaluation.macro,
}
