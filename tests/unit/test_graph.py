from scheduler.domain import graph
from scheduler.domain.process_types import ProcessType, parse


def a_type(*tasks: str, **keys: object) -> ProcessType:
    head = "".join(f"{key}: {value}\n" for key, value in keys.items())
    [found] = parse(f"name: t\n{head}tasks:\n" + "".join(f"  - {task}\n" for task in tasks))
    return found


DIAMOND = a_type(
    "{name: a, run: x}",
    "{name: b, run: x, needs: [a]}",
    "{name: c, run: 'x ${{ tasks.a.output }}', needs: [a]}",
    "{name: d, noop: true, needs: [b, c], queue: q, priority: 8}",
    priority=6,
)


def test_a_template_counts_its_predecessors_and_knows_its_successors() -> None:
    found = graph.templates(DIAMOND)
    assert [(t.required, t.open, t.successors) for t in found] == [
        (0, 0, (1, 2)),
        (1, 1, (3,)),
        (1, 1, (3,)),
        (2, 2, ()),
    ]


def test_queue_and_priority_are_the_tasks_own_or_else_the_types() -> None:
    found = graph.templates(DIAMOND)
    assert [(t.queue, t.priority) for t in found] == [("default", 6)] * 3 + [("q", 8)]


def test_only_what_has_expressions_is_settled_and_the_rest_is_ready_as_it_is() -> None:
    a, _, c, d = graph.templates(DIAMOND)
    assert (a.settles, c.settles, d.settles) == (False, True, False)
    assert a.invocation is not None
    assert a.invocation["argv"] == ["x"]
    assert c.invocation is None
    assert d.invocation == {}


def test_a_limit_must_be_looked_at_even_where_nothing_is_filled_in() -> None:
    [key] = graph.templates(a_type("{name: a, run: x, limit: {key: db}}"))
    [parallel] = graph.templates(a_type("{name: a, noop: true}", max_parallel=1))
    assert (key.settles, parallel.settles) == (True, True)


def test_a_handler_waits_for_one_failure_of_those_that_call_it_and_follows_nobody() -> None:
    a, b, h, c = graph.templates(
        a_type(
            "{name: a, run: x, on_failure: {handler: h}}",
            "{name: b, run: x, on_failure: {handler: h}}",
            "{name: h, run: x}",
            "{name: c, run: x}",
        )
    )
    assert (h.required, h.open) == (1, 2)
    assert (a.handler, b.handler, c.handler) == (2, 2, None)
    assert (a.judged, b.judged, h.judged) == (True, True, False)
    assert (a.successors, b.successors, h.successors) == ((1,), (3,), ())


def test_an_escaped_opening_is_no_expression() -> None:
    [found] = graph.templates(a_type("{name: a, run: [echo, '$${{ x }}']}"))
    assert found.invocation is not None
    assert found.invocation["argv"] == ["echo", "${{ x }}"]


def test_ancestors_and_descendants_mirror_each_other() -> None:
    assert graph.ancestors(DIAMOND, "d") == {"a", "b", "c"}
    assert graph.ancestors(DIAMOND, "a") == frozenset()
    assert graph.descendants(DIAMOND, "a") == {"b", "c", "d"}
    names = [task.name for task in DIAMOND.tasks]
    assert all(
        (one in graph.ancestors(DIAMOND, other)) == (other in graph.descendants(DIAMOND, one))
        for one in names
        for other in names
    )
