"""What a run would do, as far as that is known before it has begun: nothing is carried out.

Secrets are never shown. What depends on the outputs of tasks is shown as it is written.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any, Literal

from scheduler.domain import commands, kinds, order, rendering, templates
from scheduler.domain.commands import Argv, Split
from scheduler.domain.definitions import Branch, Placement, ProcessType, TaskDefinition
from scheduler.domain.durations import format_duration
from scheduler.domain.errors import Invalid
from scheduler.domain.expression_syntax import Index, Member, Name, Tree, children
from scheduler.domain.expression_syntax import Literal as Constant
from scheduler.domain.expression_text import in_words
from scheduler.domain.expressions import ELSEWHERE, SCOPES, Expression
from scheduler.domain.fields import Field
from scheduler.domain.sealed import Sealed
from scheduler.domain.templates import Template

HIDDEN = "***"
MOST_ITEMS = 20  # that are shown one by one

Verdict = Literal["runs", "skipped", "perhaps", "cannot"]
Reasoned = tuple[Verdict, str]

UNDONE: Reasoned = ("perhaps", "if the run fails later")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One task, or one item of it."""

    name: str
    kind: str
    wave: int
    verdict: Verdict
    why: str = ""
    does: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)  # what else it is given
    place: Mapping[str, Any] = field(default_factory=dict)  # where it waits, and for what


def plan(process_type: ProcessType, input: Mapping[str, Any]) -> list[Planned]:
    """The tasks in the order in which they may begin, hooks at either end."""
    planner = _Planner(process_type, input)
    hooks = process_type.hooks
    first = [planner.part(hooks["start"], 0)] if "start" in hooks else []
    waves = _waves(process_type)
    tasks = [
        each
        for name in sorted(waves, key=waves.__getitem__)
        for each in planner.task(name, waves[name])
    ]
    last = max(waves.values()) + 1
    rest = [planner.part(hook, last) for name, hook in hooks.items() if name != "start"]
    return [*first, *tasks, *rest]


def _waves(process_type: ProcessType) -> dict[str, int]:
    """Tasks of one wave need not wait for each other."""
    before, found = order.parents(process_type.tasks), dict[str, int]()
    for name in TopologicalSorter(before).static_order():
        found[name] = 1 + max((found[each] for each in before[name]), default=0)
    return {task.name: found[task.name] for task in process_type.tasks}


class _Planner:
    def __init__(self, process_type: ProcessType, input: Mapping[str, Any]) -> None:
        self.type = process_type
        self.scope: dict[str, Any] = {
            "input": input,
            "vars": process_type.vars,
            "run": {"type": process_type.name, "round": 1},
        }
        self.tasks = {task.name: task for task in process_type.tasks}
        self.handlers = order.handlers(process_type.tasks)
        self.verdicts: dict[str, Reasoned] = {}

    def task(self, name: str, wave: int) -> Iterator[Planned]:
        task = self.tasks[name]
        verdict, why = self.verdicts[name] = self.verdict(task)
        if verdict in ("skipped", "cannot"):
            yield Planned(name=name, kind=task.kind, wave=wave, verdict=verdict, why=why)
            return
        for label, scope in self.rounds(task):
            yield self.shown(task, name + label, wave, (verdict, why), scope)
        if task.undo:
            yield self.shown(task.undo, f"undo:{name}", wave, UNDONE, self.scope)

    def part(self, hook: TaskDefinition, wave: int) -> Planned:
        when = hook.name.removeprefix("hook:")
        only: Reasoned = ("runs", "")
        if when not in ("start", "exit"):
            only = ("perhaps", f"at the end: {when}")
        return self.shown(hook, hook.name, wave, only, self.scope)

    def verdict(self, task: TaskDefinition) -> Reasoned:
        if task.name in self.handlers:
            return "perhaps", "if a task fails that it is the handler of"
        before = [self.verdicts[name][0] for name in task.needs]
        if task.after in ("on_failure", "any_failed"):
            return "perhaps", "if something before it fails"
        if before and task.after == "success" and all(each == "skipped" for each in before):
            return "skipped", "all that it needs is skipped"
        said = self.asked(task)
        if said is False:
            return "skipped", f"{task.when} is false"
        if (chosen := self.chosen(task)) is not None:
            return chosen
        if said is None:
            return "perhaps", f"if {task.when}"
        if isinstance(said, str):
            return "cannot", said
        return ("perhaps", "what it needs may be skipped") if "perhaps" in before else ("runs", "")

    def asked(self, task: TaskDefinition) -> bool | str | None:
        """Whether its `when` holds; None if nobody knows yet, a text if it has no value."""
        if task.when is None:
            return True
        expression = templates.read(task.when).whole
        if expression is None or not known(expression.tree, self.scope):
            return None
        try:
            return rendering.condition(task, self.scope)
        except Invalid as fault:
            return str(fault)

    def chosen(self, task: TaskDefinition) -> Reasoned | None:
        """What the branches say that it needs."""
        for name in task.needs:
            work = self.tasks[name].work
            if not isinstance(work, Branch) or not _names(work, task.name):
                continue
            fields = list(rendering.fields(self.tasks[name]))
            if not all(known(p.expression.tree, self.scope) for f in fields for _, p in f.placed()):
                return "perhaps", f"if {name} chooses it"
            try:
                to = rendering.render(self.tasks[name], self.scope)["to"]
            except Invalid as fault:
                return "cannot", str(fault)
            if task.name not in to:
                return "skipped", f"{name} chooses {', '.join(to) or 'nothing'}"
        return None

    def rounds(self, task: TaskDefinition) -> list[tuple[str, dict[str, Any]]]:
        """Once for each item, as far as they are known."""
        if task.for_each is None:
            return [("", self.scope)]
        if task.placement and task.placement.everywhere:
            return [(f"[each of {_all(task.placement, self.scope)}]", self.scope)]
        whole = templates.read(task.for_each.items).whole
        if whole is None or not known(whole.tree, self.scope):
            return [(f"[each of {task.for_each.items}]", self.scope)]
        try:
            items = rendering.items(task, self.scope)
        except Invalid as fault:
            return [(f"[{fault}]", self.scope)]
        labelled = [
            (f"[{n if each['key'] is None else each['key']}]", {**self.scope, "item": each})
            for n, each in enumerate(items)
        ]
        rest = len(labelled) - MOST_ITEMS
        more = [(f"[… and {rest} more]", self.scope)] if rest > 0 else []
        return [*labelled[:MOST_ITEMS], *more]

    def shown(
        self,
        task: TaskDefinition,
        name: str,
        wave: int,
        verdict: Reasoned,
        scope: Mapping[str, Any],
    ) -> Planned:
        if (fault := _fault(task, scope)) is not None:
            verdict = ("cannot", fault)
        return Planned(
            name=name,
            kind=task.kind,
            wave=wave,
            verdict=verdict[0],
            why=verdict[1],
            does=_does(task, scope),
            details=_details(task, scope),
            place=self.place(task, scope),
        )

    def place(self, task: TaskDefinition, scope: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if task.placement:
            found["workstation"] = _where(task.placement, scope)
        elif kinds.OF_WORKERS & kinds.of(task).BESIDE:
            found["queue"] = task.queue or self.type.queue
        if kinds.OF_WORKERS & kinds.of(task).BESIDE:
            found["priority"] = self.type.priority if task.priority is None else task.priority
            if self.type.max_parallel is not None:
                found["max_parallel"] = self.type.max_parallel
        if task.limit:
            found["limit"] = f"{_text(task.limit.key, scope)} ({task.limit.max})"
        if task.rate:
            per = format_duration(task.rate.per)
            found["rate"] = f"{_text(task.rate.key, scope)} ({task.rate.max} per {per})"
        if task.share is not None:
            found["share"] = _text(task.share, scope)
        return found


def _where(placement: Placement, scope: Mapping[str, Any]) -> str:
    if placement.there:
        return "the one that did it"
    if placement.everywhere:
        return "each of " + _all(placement, scope)
    if placement.workstation is not None:
        return _text(placement.workstation, scope)
    return "any" + _labels(placement, scope)


def _all(placement: Placement, scope: Mapping[str, Any]) -> str:
    return "all workstations" + _labels(placement, scope)


def _labels(placement: Placement, scope: Mapping[str, Any]) -> str:
    words = [f"{name}: {_text(text, scope)}" for name, text in sorted(placement.labels.items())]
    return " with " + ", ".join(words) if words else ""


def known(tree: Tree, scope: Mapping[str, Any]) -> bool:
    """Whether all that it speaks of is known already; what a macro binds counts as known."""
    match tree:
        case Name(name):
            return name in scope or name not in SCOPES | ELSEWHERE.keys()
        case Member(Name("run" | "vars" as of), str() as name):
            return name in scope[of]
        case Index(Name("run" | "vars" as of), Constant(str() as name)):
            return name in scope[of]
    return all(known(child, scope) for child in children(tree))


def shown(value: Any, scope: Mapping[str, Any]) -> Any:
    """The value with all that is known filled in, and the rest as it is written."""
    match value:
        case Template():
            return _template(value, scope)
        case str():
            return _template(templates.read(value), scope)
        case Mapping():
            return {key: shown(each, scope) for key, each in value.items()}
        case list() | tuple():
            return [shown(each, scope) for each in value]
    return value


def _template(template: Template, scope: Mapping[str, Any]) -> Any:
    if template.whole is not None:
        return _value(template.whole, scope)
    return "".join(
        part if isinstance(part, str) else in_words(_value(part.expression, scope))
        for part in template.parts
    )


def _value(expression: Expression, scope: Mapping[str, Any]) -> Any:
    if expression.secret is not None:
        return HIDDEN
    if not known(expression.tree, scope):
        return str(expression)
    try:
        return expression.evaluate(scope)
    except Invalid:
        return str(expression)


def _text(text: str, scope: Mapping[str, Any]) -> str:
    return in_words(shown(text, scope))


def _fault(task: TaskDefinition, scope: Mapping[str, Any]) -> str | None:
    """Why it could not be carried out, if all is known that it is made of."""
    asked = task.placement
    parts = [*kinds.of(task).fields(task), *(rendering.of_place(asked) if asked else ())]
    placed = [placed for part in parts for _, placed in part.placed()]
    if not all(p.expression.secret or known(p.expression.tree, scope) for p in placed):
        return None
    try:
        rendering.render(task, scope)
        rendering.rate_key(task, scope)
        if asked:
            rendering.place(asked, scope)
    except Invalid as fault:
        return str(fault)
    return None


def _does(task: TaskDefinition, scope: Mapping[str, Any]) -> str:
    match task.command:
        case Split() | Argv() as command:
            return shlex.join(in_words(shown(word, scope)) for word in commands.words(command))
        case None:
            return ""
    return task.command.text


def _details(task: TaskDefinition, scope: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if task.command is None and task.kind != "noop":
        found = shown(kinds.of(task).write(task), scope)
        for part in kinds.of(task).fields(task) if task.kind != "branch" else ():
            _put(found, part, scope)
    for name in ("cwd", "stdin"):
        if (text := getattr(task, name)) is not None:
            found[name] = _text(text, scope)
    env = {name: _text(text, scope) for name, text in task.env.items()}
    hidden = dict.fromkeys((*task.secrets, *task.secret_files), HIDDEN)
    return found | ({"env": {**env, **hidden}} if env or hidden else {})


def _put(document: Any, part: Field, scope: Mapping[str, Any]) -> None:
    """What a part of a task comes to exactly, where all of it is known; a URL is escaped."""
    *steps, last = part.path
    for step in steps:
        document = document.get(step) if isinstance(document, dict) else None
    exact = all(p.expression.secret or known(p.expression.tree, scope) for _, p in part.placed())
    if not exact or not isinstance(document, dict) or last not in document:
        return
    try:
        document[last] = _masked(part.come_to(scope))
    except Invalid:
        return


def _masked(value: Any) -> Any:
    match value:
        case Sealed(parts):
            return "".join(part if isinstance(part, str) else HIDDEN for part in parts)
        case Mapping():
            return {key: _masked(each) for key, each in value.items()}
        case list():
            return [_masked(each) for each in value]
    return value


def _names(branch: Branch, name: str) -> bool:
    return name in branch.default or any(name in case.to for case in branch.cases)
