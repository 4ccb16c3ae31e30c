import json
from pathlib import Path
from typing import Any

import pytest

from scheduler import cli
from scheduler.domain.planning import HIDDEN, Planned, plan
from scheduler.domain.process_types import check_input
from tests.unit.test_process_types import one

ORDER = """\
name: order
input:
  type: object
  properties:
    id: {type: string}
    total: {type: number, default: 50}
    files: {type: array, default: [a b, "c;d"]}
  required: [id]
hooks: {start: {run: "begin ${{ input.id }}"}, failure: {run: "mail ${{ error }}"}}
vars: {base: "https://x.example"}
max_parallel: 4
tasks:
  - name: load
    run: load --id ${{ input.id }}
    needs: []
    secrets: {PW: db/pw}
    limit: {key: "db-${{ input.id }}", max: 2}
    undo: {run: "unload ${{ output.n }}"}
  - {name: each, run: "show -- ${{ item.value }}", for_each: "${{ input.files }}", needs: [load]}
  - {name: later, run: "x ${{ item.value }}", for_each: "${{ tasks.load.output }}", needs: [load]}
  - name: call
    needs: [load]
    http:
      url: ${{ vars.base }}/o/${{ input.id }}?k=${{ secrets.k }}
      method: POST
      json: {n: "${{ tasks.load.output.n }}", total: "${{ input.total }}"}
    rate: {key: api, max: 3, per: 1s}
  - name: choose
    needs: [call]
    branch: {cases: [{when: "${{ input.total > 100 }}", to: [big]}], default: [small]}
  - {name: big, noop: true}
  - {name: small, shell: 'echo "$X"', env: {X: "${{ input.id }}"}}
  - {name: after-big, noop: true, needs: [big]}
  - {name: no, noop: true, needs: [call], when: "${{ input.total > 1000 }}"}
  - {name: maybe, noop: true, needs: [small], when: "${{ tasks.load.output.ok }}"}
  - {name: clean, run: rm x, when: any_failed, needs: [maybe]}
"""


def planned(**given: Any) -> dict[str, Planned]:
    found = one(ORDER)
    return {each.name: each for each in plan(found, check_input(found, {"id": "7; rm", **given}))}


def test_commands_are_shown_as_they_will_be_run_each_value_one_argument() -> None:
    found = planned()
    assert found["load"].does == "load --id '7; rm'"
    assert [found[f"each[{n}]"].does for n in (0, 1)] == ["show -- 'a b'", "show -- 'c;d'"]
    assert (found["small"].does, found["small"].details) == ('echo "$X"', {"env": {"X": "7; rm"}})


def test_secrets_are_never_shown() -> None:
    found = planned()
    assert found["load"].details["env"] == {"PW": HIDDEN}
    assert found["call"].details["http"]["url"] == f"https://x.example/o/7%3B%20rm?k={HIDDEN}"


def test_what_depends_on_outputs_is_shown_as_it_is_written() -> None:
    found = planned()
    assert found["call"].details["http"]["json"] == {
        "n": "${{ tasks.load.output.n }}",
        "total": 50,
    }
    assert found["later[each of ${{ tasks.load.output }}]"].does == "x '${{ item.value }}'"
    assert found["undo:load"].does == "unload '${{ output.n }}'"


@pytest.mark.parametrize(
    ("total", "verdicts"),
    [
        (50, {"big": "skipped", "after-big": "skipped", "small": "runs", "no": "skipped"}),
        (200, {"big": "runs", "after-big": "runs", "small": "skipped", "no": "skipped"}),
        (2000, {"big": "runs", "small": "skipped", "maybe": "skipped", "no": "runs"}),
    ],
)
def test_what_is_skipped_is_told_where_it_is_known(total: int, verdicts: dict[str, str]) -> None:
    found = planned(total=total)
    assert {name: found[name].verdict for name in verdicts} == verdicts


def test_what_nobody_knows_yet_is_told_as_such() -> None:
    found = planned()
    assert (found["maybe"].verdict, found["maybe"].why) == (
        "perhaps",
        "if ${{ tasks.load.output.ok }}",
    )
    assert found["clean"].verdict == found["hook:failure"].verdict == "perhaps"
    assert found["hook:start"].verdict == "runs"


def test_waves_say_what_need_not_wait_for_each_other() -> None:
    found = planned()
    waves = {name: found[name].wave for name in ("load", "each[0]", "call", "choose", "small")}
    assert waves == {"load": 1, "each[0]": 2, "call": 2, "choose": 3, "small": 4}


def test_it_is_told_where_a_task_waits_and_for_what() -> None:
    found = planned()
    assert found["load"].place == {
        "queue": "default", "priority": 4, "max_parallel": 4, "limit": "db-7; rm (2)",
    }  # fmt: skip
    assert found["call"].place["rate"] == "api (3 per 1s)"
    assert found["choose"].place == {}


def test_what_could_not_be_carried_out_says_why() -> None:
    found = one("name: t\ntasks:\n  - {name: a, run: 'x ${{ input.gone }}'}")
    [only] = plan(found, {})
    assert only.verdict == "cannot"
    assert "there is no 'gone'" in only.why


def test_more_items_than_anybody_reads_are_counted() -> None:
    found = planned(files=[str(n) for n in range(500)])
    assert "each[19]" in found
    assert "each[20]" not in found
    assert "each[… and 480 more]" in found


def test_the_command_answers_in_words_and_in_json_and_ends_with_1_if_it_could_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "order.yaml"
    file.write_text(ORDER)
    assert ended(["plan", str(file), "--input", "id=\x1b[31m7"]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "- big: skipped, choose chooses small" in said
    assert ended(["plan", str(file), "--input", "id=7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "hook:start"
    assert ended(["plan", str(file)]) == 2
    assert "'id' is a required property" in capsys.readouterr().err
    file.write_text("name: t\ntasks:\n  - {name: a, run: 'x ${{ input.gone }}'}")
    assert ended(["plan", str(file)]) == 1


def ended(arguments: list[str]) -> int:
    try:
        return cli.carry_out(arguments)
    except SystemExit as left:
        return int(left.code or 0)
