import shlex
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.commands import split
from scheduler.domain.expression_syntax import SyntaxFault

HOSTILE = st.text() | st.text("ab '\"\\$`;|&<>(){}*?~#\n\t-${}", min_size=1)


def filled(command: str, **values: object) -> list[str]:
    return [word.fill({"input": values}) for word in split(command)]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("echo a  b\tc\nd", ["echo", "a", "b", "c", "d"]),
        ("echo 'a b' \"c d\" e\\ f", ["echo", "a b", "c d", "e f"]),
        ("echo a'b'\"c\"d", ["echo", "abcd"]),
        ("echo '' \"\"", ["echo", "", ""]),
        (r"echo 'a\b' "
         r'"a\b\"\\\$"', ["echo", r"a\b", 'a\\b"\\$']),
        ("echo $HOME *.txt ~ # {a,b} !x", ["echo", "$HOME", "*.txt", "~", "#", "{a,b}", "!x"]),
        ("echo '|' \"&&\" \\; '>' '<' '`'", ["echo", "|", "&&", ";", ">", "<", "`"]),
        ("a\\\nb", ["ab"]),
        ("echo $${{ x }}", ["echo", "${{", "x", "}}"]),
        ("echo '$'{{ 1 }}", ["echo", "${{", "1", "}}"]),
        ("echo \\${{ 1 }}", ["echo", "${{", "1", "}}"]),
        ("", []),
    ],
)  # fmt: skip
def test_a_command_is_split_as_posix_words_and_nothing_is_expanded(
    command: str, words: list[str]
) -> None:
    assert filled(command) == words


@pytest.mark.parametrize(
    "command",
    ["a | b", "a > f", "a < f", "a; b", "a && b", "a & ", "a || b", "a $(b)", "a `b`", "(a)"],
)
def test_what_only_a_shell_understands_is_refused_with_the_way_out(command: str) -> None:
    with pytest.raises(SyntaxFault, match="'shell:'"):
        split(command)


@pytest.mark.parametrize(
    "command", ["a 'b", 'a "b', "a \\", "a ${{ b", "a ${{ 'b }}", "a '${{ b '"]
)
def test_what_is_never_closed_is_refused(command: str) -> None:
    with pytest.raises(SyntaxFault):
        split(command)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("x ${{ input.v }}", ["x", "1 2"]),
        ("x a${{ input.v }}b", ["x", "a1 2b"]),
        ("x ${{input.v}}${{input.v}}", ["x", "1 21 2"]),
        ("x '${{ input.v }}' \"${{ input.v }}\"", ["x", "1 2", "1 2"]),
        ("x ${{ input.v + ' }} \" ' }}", ["x", '1 2 }} " ']),
        ("x ${{ {'a': {'b': input.v}} }}", ["x", '{"a":{"b":"1 2"}}']),
        ("x '$'${{ input.v }}", ["x", "$1 2"]),
    ],
)
def test_an_expression_stays_whole_and_its_value_in_one_word(
    command: str, words: list[str]
) -> None:
    assert filled(command, v="1 2") == words


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
            lambda text: "${{" not in text
        ),
        max_size=6,
    )
)
def test_quoting_for_a_posix_shell_is_understood(words: list[str]) -> None:
    assert filled(shlex.join(words)) == words


@settings(max_examples=2000, deadline=None)
@given(HOSTILE)
def test_a_value_is_exactly_one_argument_whatever_it_holds(value: str) -> None:
    command = "run ${{ input.v }} --x=${{ input.v }} '${{ input.v }}' \"a ${{ input.v }}\" end"
    assert filled(command, v=value) == ["run", value, f"--x={value}", value, f"a {value}", "end"]


@given(HOSTILE)
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    with suppress(SyntaxFault):
        split(text)
