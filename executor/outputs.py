"""What a task's output is made of: what its command printed, reported, or wrote to its file."""

import re
from dataclasses import dataclass, field
from typing import Any

from executor import plain
from executor.plain import Json, NotPlain
from executor.report import MOST_OUTPUT, Report

OF_STDOUT = ("text", "lines", "json")
LONGEST_ERROR = 2000
KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,199}")


class Tail:
    """The last bytes of a stream, and how many there were."""

    def __init__(self, most: int = MOST_OUTPUT):
        self.most = most
        self.size = 0
        self.kept = bytearray()

    def feed(self, data: bytes) -> None:
        self.size += len(data)
        self.kept += data
        if len(self.kept) > 2 * self.most:
            del self.kept[: -self.most]

    def read(self) -> bytes:
        return bytes(self.kept[-self.most :])

    @property
    def cut(self) -> int:
        """How many bytes before the tail are not in it."""
        return max(0, self.size - self.most)


@dataclass(frozen=True, slots=True)
class Made:
    """An output as JSON text, or why there is none although the command did well."""

    output: str | None = None
    error: str | None = None
    retryable: bool = False
    explains: bool = False  # more than the exit code does
    detail: dict[str, Any] = field(default_factory=dict)


def make(form: str, stdout: Tail, report: Report, written: bytes | None) -> Made:
    """`written` is what stands in the command's file; None if there is none."""
    if form == "result":
        return of_call(written)
    try:
        if written is not None:
            for name, value in read_file(written).items():
                report.put_out(name, value)
        value = of_stdout(form, stdout)
    except NotPlain as error:
        return Made(error=str(error))
    if form in OF_STDOUT and not isinstance(value, dict):
        if report.outputs:
            report.note(f"outputs: left out, since with 'output: {form}' the output is stdout's")
        return Made(plain.write(value))
    if form == "json":
        return Made(plain.write({**value, **report.outputs}))
    return Made(plain.write(report.outputs) if report.outputs else None)


def of_stdout(form: str, stdout: Tail) -> Json:
    match form:
        case "text":
            return plain.text_of(stdout.read()).rstrip("\n")  # as a shell's $( ) has it
        case "lines":
            return lines_of(stdout)
        case "json":
            return json_of(stdout)
    return None


def lines_of(stdout: Tail) -> list[str]:
    """Without the one that is cut in two where the tail begins."""
    lines = plain.text_of(stdout.read()).split("\n")
    lines = lines[1:] if stdout.cut else lines
    return [line.removesuffix("\r") for line in (lines[:-1] if lines[-1:] == [""] else lines)]


def json_of(stdout: Tail) -> Json:
    if stdout.cut:
        raise NotPlain(
            f"output: {stdout.size} bytes on stdout are more than the {MOST_OUTPUT} that an "
            "output may have: write a file, and name it in a reserved line"
        )
    try:
        return plain.read(stdout.read().decode())
    except UnicodeDecodeError as error:
        raise NotPlain(f"output: stdout is not UTF-8 (byte {error.start})") from None
    except NotPlain as error:
        raise NotPlain(f"output: stdout is {error}") from None


def read_file(data: bytes) -> dict[str, Json]:
    """Lines of KEY=VALUE, and JSON objects of one line each."""
    if len(data) > MOST_OUTPUT:
        raise NotPlain(f"the output file is larger than {MOST_OUTPUT} bytes")
    found: dict[str, Json] = {}
    for number, line in enumerate(plain.text_of(data).split("\n"), 1):
        try:
            found |= read_line(line.strip())
        except NotPlain as error:
            raise NotPlain(f"output file, line {number}: {error}") from None
    return found


def read_line(line: str) -> dict[str, Json]:
    if not line:
        return {}
    if line.startswith("{"):
        value = plain.read(line)
        assert isinstance(value, dict)
        return value
    key, is_there, value = line.partition("=")
    if not is_there or not KEY.fullmatch(key):
        raise NotPlain("KEY=VALUE or a JSON object is expected")
    return {key: value}


def of_call(written: bytes | None) -> Made:
    """What the caller of a Python function left: its value, or what was raised."""
    if written is None:
        return Made(error="the interpreter ended before the function had returned", retryable=True)
    if len(written) > MOST_OUTPUT:
        return Made(error=f"the function returned more than {MOST_OUTPUT} bytes of JSON")
    try:
        return of_answer(plain.read(written.decode()))
    except (NotPlain, UnicodeDecodeError) as error:
        return Made(error=f"what the function returned can't be kept: {error}")


def of_answer(said: Json) -> Made:
    match said:
        case {"error": {"type": str(kind), "message": str(message), "trace": str(trace)}}:
            raised = {"type": kind, "message": message, "trace": trace}
            told = f"{kind}: {message}" if kind else message
            permanent = said["error"].get("permanent") is True
            return Made(
                error=told[:LONGEST_ERROR],
                retryable=not permanent,
                explains=True,
                detail={"exception": raised},
            )
        case {"value": value}:
            return Made(plain.write(value))
    raise NotPlain("a value or an error is expected")
