import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain import adhoc
from scheduler.domain import process_types as definitions
from scheduler.domain.adhoc import AdHoc, as_type
from scheduler.domain.errors import Invalid
from scheduler.domain.rendering import has_expressions, render

TEXT = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.sampled_from("${}"),
    max_size=30,
)


@given(st.lists(TEXT, min_size=1).filter(lambda words: bool(words[0])), TEXT, TEXT)
def test_whatever_is_given_reaches_the_command_unchanged(
    words: list[str], value: str, stdin: str
) -> None:
    wish = AdHoc(argv=words, env={"VALUE": value}, stdin=stdin)
    [task] = definitions.from_document(definitions.to_document(as_type(wish))).tasks
    assert not has_expressions(task)
    invocation = render(task, {})
    assert invocation["argv"] == words
    assert invocation["env"] == {"VALUE": value}
    assert invocation["stdin"] == stdin


def test_it_is_not_begun_twice_unless_somebody_says_so() -> None:
    assert as_type(AdHoc(argv=["true"])).tasks[0].on_lost == "fail"
    assert as_type(AdHoc(argv=["true"], on_lost="retry")).tasks[0].on_lost == "retry"


def test_the_same_wish_has_the_same_digest_and_another_has_not() -> None:
    one, same, other = [as_type(AdHoc(argv=["echo", word])) for word in ("a", "a", "b")]
    assert definitions.digest(one) == definitions.digest(same) != definitions.digest(other)


def test_a_type_made_for_a_wish_is_told_from_an_authors() -> None:
    assert adhoc.is_ad_hoc(definitions.to_document(as_type(AdHoc(argv=["true"]))))
    [theirs] = definitions.parse("name: exec\ntasks: [{name: t, noop: true}]")
    assert not adhoc.is_ad_hoc(definitions.to_document(theirs))


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (AdHoc(argv=[]), "argv"),
        (AdHoc(argv=[""]), "argv"),
        (AdHoc(argv=["true"], name="Not A Name"), "name"),
        (AdHoc(argv=["true"], queue="Not A Queue"), "queue"),
        (AdHoc(argv=["true"], cwd=""), "cwd"),
        (AdHoc(argv=["true"], env={"1": "x"}), "env"),
        (AdHoc(argv=["true"], timeout="soon"), "timeout"),
        (AdHoc(argv=["true"], timeout=0), "timeout"),
    ],
)
def test_a_fault_is_told_in_the_words_of_the_wish(wish: AdHoc, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        as_type(wish)
    assert refused.value.field == field
    assert str(refused.value).startswith(field)
    assert "tasks[0]" not in str(refused.value)


def test_a_command_for_a_workstation_says_which_as_a_task_does() -> None:
    wish = AdHoc(argv=["x"], on={"workstation": {"labels": {"line": "2"}}})
    [task] = as_type(wish).tasks
    assert task.placement is not None
    assert task.placement.labels == {"line": "2"}
    assert task.on_lost == "fail"


def test_a_place_that_makes_no_sense_is_told_in_the_words_of_the_wish() -> None:
    with pytest.raises(Invalid, match=r"on\.workstation: 'A B' is no") as refused:
        as_type(AdHoc(argv=["x"], on={"workstation": "A B"}))
    assert refused.value.field == "on"
