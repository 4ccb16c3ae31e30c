"""Exit codes, signals and errnos in words, for the person who reads the outcome."""

import errno
import os
import signal

from executor.base import Ending

SHELL_CODES = {
    126: "126: the shell found the program but could not execute it",
    127: "127: the shell did not find the program",
}

SIGNAL_HINTS: dict[int, str] = {
    signal.SIGABRT: "it aborted itself",
    signal.SIGBUS: "a bad memory access",
    signal.SIGFPE: "an arithmetic error",
    signal.SIGILL: "an illegal instruction",
    signal.SIGPIPE: "it wrote to a pipe that nobody reads",
    signal.SIGSEGV: "a bad memory access",
    signal.SIGXCPU: "its CPU time limit is used up",
    signal.SIGXFSZ: "its file size limit is reached",
}


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def exit_code(status: int) -> int:
    """The code a shell would show: 128 and the signal's number for what a signal ended."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def describe(status: int, evidence: str | None = None) -> str:
    code = os.waitstatus_to_exitcode(status)
    return describe_code(code) if code >= 0 else describe_signal(-code, evidence)


def describe_code(code: int) -> str:
    if code in SHELL_CODES:
        return SHELL_CODES[code]
    if code > 128 and code - 128 in signal.valid_signals():
        return f"exit code {code} (a shell says so of a program ended by {signal_name(code - 128)})"
    return f"exit code {code}"


def describe_signal(number: int, evidence: str | None) -> str:
    said = f"{128 + number}: ended by {signal_name(number)}"
    if evidence is not None:
        return f"{said}, likely out of memory ({evidence})"
    if number == signal.SIGKILL:
        return f"{said}, sent by somebody else (an administrator, or a memory guard)"
    hint = SIGNAL_HINTS.get(number)
    return f"{said}: {hint}" if hint else said


ASKED = {
    Ending.TIMED_OUT: "timed out after {timeout:g} s",
    Ending.STOPPED: "stopped on request",
    Ending.LOST: "the lease ended before the command did",
}


def describe_end(ending: Ending, status: int, timeout: float | None) -> str:
    """For a command that we ended ourselves: why, and how it went."""
    why = ASKED[ending].format(timeout=timeout or 0)
    code = os.waitstatus_to_exitcode(status)
    how = f"it ended by {signal_name(-code)}" if code < 0 else f"it left with exit code {code}"
    return f"{why}; {how}"


REMEDIES = {
    errno.E2BIG: "arguments and environment are too long; pass large values by stdin or a file",
    errno.EACCES: "not permitted; make it executable, and every folder above enterable",
    errno.EAGAIN: "the limit on processes is reached; it may work later",
    errno.ELOOP: "too many symbolic links on the way",
    errno.EMFILE: "the runner has too many open files; lower its slots or raise its limit",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENFILE: "the machine has too many open files; it may work later",
    errno.ENOENT: "there is no such file",
    errno.ENOEXEC: "not a program for this machine; does its first line name an interpreter (#!)?",
    errno.ENOMEM: "the machine is out of memory; it may work later",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.EPERM: "not permitted",
    errno.ETXTBSY: "the program is being written to; it may work later",
}

TRANSIENT = frozenset(
    {errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.ETXTBSY}
)


def printable(text: str) -> str:
    """What a hostile name brings into a message must not keep it from being stored."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\0")


def describe_errno(number: int) -> str:
    name = errno.errorcode.get(number, f"errno {number}")
    remedy = REMEDIES.get(number)
    said = f"{os.strerror(number)} ({name})"
    return f"{said}: {remedy}" if remedy else said
