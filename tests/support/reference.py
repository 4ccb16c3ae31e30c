"""What becomes of a run, said in the plainest way: a second opinion on what the engine makes of it.

One task ends at a time, and everything that may begin has begun before the next one ends. Nothing
is counted, and nothing is remembered but the states; whatever can be asked of them is asked anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from scheduler.domain.definitions import Branch, ProcessType

FINAL = ("COMPLETED", "FAILED", "SKIPPED", "STOPPED")


@dataclass(frozen=True)
class Script:
    """What happens: how often each task fails before it succeeds, which of those under way ends
    next, and after how many ends somebody stops the run."""

    failures: dict[str, int] = field(default_factory=dict)
    choices: Sequence[int] = (0,)
    stop_after: int | None = None

    def choose(self, names: Sequence[str], step: int) -> str:
        return sorted(names)[self.choices[step % len(self.choices)] % len(names)]

    def fails(self, name: str, attempt: int) -> bool:
        return attempt <= self.failures.get(name, 0)


class Reference:
    def __init__(self, definition: ProcessType, script: Script) -> None:
        self.tasks = {task.name: task for task in definition.tasks}
        self.script = script
        self.states = dict.fromkeys(self.tasks, "PENDING")
        self.attempts = dict.fromkeys(self.tasks, 0)
        self.done: list[str] = []  # in the order of completion
        self.passed_over: set[str] = set()
        self.wanted: set[str] = set()
        self.under_way: set[str] = set()
        self.ends_as = ""
        self.winding_down = False
        self.compensated: str | None = None

    def play(self) -> None:
        step = 0
        self.begin()
        while under_way := self.of("READY"):
            self.under_way = set(under_way)
            if step == self.script.stop_after:
                self.end_early("STOPPED", list(self.tasks), stop=True)
            name = self.script.choose(under_way, step)
            self.attempts[name] += 1
            self.under_way.remove(name)
            self.finish(name)
            self.begin()
            step += 1
        if self.ends_as:
            self.undo()
        self.ends_as = self.ends_as or "COMPLETED"

    def finish(self, name: str) -> None:
        if name in self.wanted:
            self.states[name] = "STOPPED"
        elif not self.script.fails(name, self.attempts[name]):
            self.states[name] = "COMPLETED"
            self.done.append(name)
        elif not self.goes_on(name) or self.attempts[name] > self.tasks[name].retries.max:
            self.fail(name)

    def fail(self, name: str) -> None:
        action, goes_on = self.tasks[name].on_failure.kind, self.goes_on(name)
        self.states[name] = "FAILED"
        if goes_on and action == "continue":
            self.passed_over.add(name)
        if not goes_on or action in ("continue", "handler"):
            return
        hopes = [n for n, task in self.tasks.items() if task.after != "success"]
        if all(self.states[n] in FINAL for n in hopes):
            self.end_early("FAILED", list(self.tasks), stop=action == "stop_now")
        else:
            self.ends_as = "FAILED"
            self.leave([n for n in self.tasks if not self.is_kept(n)], stop=action == "stop_now")

    def end_early(self, ends_as: str, names: list[str], *, stop: bool) -> None:
        self.ends_as = ends_as if ends_as == "STOPPED" else self.ends_as or ends_as
        self.winding_down = True
        self.leave(names, stop=stop)

    def leave(self, names: list[str], *, stop: bool) -> None:
        for name in names:
            if self.states[name] == "PENDING":
                self.states[name] = "STOPPED"
            elif self.states[name] == "READY" and stop:
                self.wanted.add(name)

    def begin(self) -> None:
        while any(self.decide(name) for name in self.of("PENDING")):
            pass

    def decide(self, name: str) -> bool:
        """Whether something could be said of a task that has not begun."""
        task, begins = self.tasks[name], self.may_begin(name)
        if begins is None:
            return False
        self.states[name] = "READY" if begins and task.when != "${{ false }}" else "SKIPPED"
        if self.states[name] == "READY" and task.kind == "branch":
            self.states[name] = "COMPLETED"
            self.done.append(name)
        if begins and task.join.stop_rest:
            self.let_losers_go(name)
        return True

    def let_losers_go(self, winner: str) -> None:
        for name in self.tasks[winner].needs:
            after = [n for n, task in self.tasks.items() if name in task.needs]
            spare = all(self.tasks[n].join.count and self.may_begin(n) for n in after)
            if spare and not self.tasks[name].on_failure.handler:
                if self.states[name] == "PENDING":
                    self.states[name] = "SKIPPED"
                elif name in self.under_way:
                    self.wanted.add(name)
                elif self.states[name] == "READY":
                    self.states[name] = "SKIPPED"

    def may_begin(self, name: str) -> bool | None:
        task = self.tasks[name]
        callers = [n for n, each in self.tasks.items() if each.on_failure.handler == name]
        before = callers or task.needs
        is_open = any(self.states[n] not in FINAL for n in before)
        edges = [self.edge(n, name) for n in before if self.states[n] in FINAL]
        if callers:
            return True if "called" in edges else None if is_open else False
        if task.join.count and task.after == "success":
            enough = edges.count("success") >= task.join.count
            return True if enough else None if is_open else False
        if is_open:
            return None
        match task.after:
            case "always":
                return True
            case "on_failure":
                return "fail" in edges
            case "any_failed":
                return any(self.states[n] == "FAILED" for n in self.ancestors(name))
        return not before or ("fail" not in edges and "success" in edges)

    def edge(self, name: str, successor: str) -> str:
        task, state = self.tasks[name], self.states[name]
        if state == "FAILED" and name not in self.passed_over:
            return "called" if task.on_failure.handler == successor else "fail"
        if state == "STOPPED":
            return "fail"
        elsewhere = isinstance(task.work, Branch) and successor not in self.chosen(task.work)
        return "skip" if state == "SKIPPED" or elsewhere else "success"

    def chosen(self, branch: Branch) -> Sequence[str]:
        return next((c.to for c in branch.cases if c.when == "${{ true }}"), branch.default)

    def ancestors(self, name: str) -> set[str]:
        before = {n for n, t in self.tasks.items() if t.on_failure.handler == name}
        before |= {*self.tasks[name].needs}
        return before.union(*(self.ancestors(n) for n in before))

    def is_kept(self, name: str) -> bool:
        """It goes on in a run that fails."""
        task = self.tasks[name]
        callers = [n for n, each in self.tasks.items() if each.on_failure.handler == name]
        before = [*task.needs, *callers]
        return task.after != "success" or bool(before and all(map(self.is_kept, before)))

    def goes_on(self, name: str) -> bool:
        return not self.winding_down and (not self.ends_as or self.is_kept(name))

    def undo(self) -> None:
        undone: list[str] = []
        left: list[str] = []
        for name in reversed(self.done):
            if self.tasks[name].undo is not None:
                failed = self.script.fails(f"undo:{name}", 1)
                self.states[f"undo:{name}"] = "FAILED" if failed else "COMPLETED"
                (left if failed else undone).append(name)
        if undone or left:
            self.compensated = "yes" if not left else "partly" if undone else "no"

    def of(self, state: str) -> list[str]:
        return [name for name in self.tasks if self.states[name] == state]
