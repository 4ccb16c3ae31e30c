"""What people read when a command did not end well."""

import errno
import signal

import pytest

from executor import words
from executor.base import Ending


def exited(code: int) -> int:
    return code << 8


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (exited(1), 1, "exit code 1"),
        (exited(126), 126, "could not execute"),
        (exited(127), 127, "did not find"),
        (exited(143), 143, "ended by SIGTERM"),
        (exited(255), 255, "exit code 255"),
        (signal.SIGKILL, 137, "137: ended by SIGKILL, sent by somebody else"),
        (signal.SIGSEGV, 139, "139: ended by SIGSEGV: a bad memory access"),
        (signal.SIGXCPU, 128 + 24, "its CPU time limit is used up"),
        (signal.SIGTERM, 143, "143: ended by SIGTERM"),
        (signal.SIGSEGV | 0x80, 139, "a bad memory access"),
        (40, 168, "168: ended by signal 40"),
    ],
)
def test_an_end_is_told_by_its_code_and_in_words(status: int, code: int, said: str) -> None:
    assert words.exit_code(status) == code
    assert said in words.describe(status)


def test_a_lack_of_memory_is_told_with_its_evidence() -> None:
    said = words.describe(signal.SIGKILL, "oom_kill of the machine rose from 3 to 4")
    assert said == (
        "137: ended by SIGKILL, likely out of memory (oom_kill of the machine rose from 3 to 4)"
    )


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        (Ending.TIMED_OUT, "timed out after 1.5 s; it ended by SIGTERM"),
        (Ending.STOPPED, "stopped on request; it ended by SIGTERM"),
        (Ending.LOST, "the lease ended before the command did; it ended by SIGTERM"),
    ],
)
def test_an_end_of_our_making_says_why(ending: Ending, said: str) -> None:
    assert words.describe_end(ending, signal.SIGTERM, 1.5) == said


@pytest.mark.parametrize("number", sorted(words.REMEDIES))
def test_an_errno_is_told_by_name_with_what_to_do(number: int) -> None:
    said = words.describe_errno(number)
    assert errno.errorcode[number] in said
    assert words.REMEDIES[number] in said


def test_a_hostile_name_in_a_message_can_be_stored() -> None:
    assert words.printable("a\0b\ud800c\u00fc") == "a\\0b\\ud800c\u00fc"


@pytest.mark.parametrize(
    "number",
    [errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.E2BIG, errno.ELOOP],
)
def test_what_does_not_pass_by_itself_is_not_tried_again(number: int) -> None:
    assert number not in words.TRANSIENT


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM])
def test_what_may_pass_is_worth_another_try(number: int) -> None:
    assert number in words.TRANSIENT
