"""From what a command printed, wrote and left: its output, its files, and what was wrong."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from executor import kept, outputs
from executor.attempt import Attempt
from executor.kept import Below
from executor.output import Masker
from executor.outputs import Made
from executor.places import VARIABLE, Places, Unreadable
from executor.report import MOST_OUTPUT, Report
from executor.spawn import explain_errno, find_identity
from executor.stored import Shelf


@dataclass(frozen=True, slots=True)
class Said:
    """Of an attempt that is over."""

    made: Made
    files: list[dict[str, Any]]
    detail: dict[str, Any]


class Reports:
    def __init__(self, folder: int, shelf: Shelf):
        self.shelf = shelf
        self.places = Places(folder)

    def prepare(self, key: str, user: str | None) -> dict[str, str]:
        """What a command's environment says of its output file."""
        if user is None:
            return {VARIABLE: self.places.prepare(key)}
        identity = find_identity(user)
        if identity is None or identity.user == os.geteuid():
            return {VARIABLE: self.places.prepare(key)}
        try:
            return {VARIABLE: self.places.prepare_for(key, identity.user, identity.group)}
        except OSError as error:
            raise explain_errno("the folder of its output file", error) from error

    def forget(self, key: str) -> None:
        self.places.forget(key)

    def conclude(self, attempt: Attempt, mask: Callable[[], Masker]) -> Said:
        hearing = attempt.hearing
        report = hearing.report
        identity = find_identity(attempt.invocation.user)
        user = os.geteuid() if identity is None else identity.user
        written = self.take(attempt.key, user, mask, report)
        made = outputs.make(hearing.form, hearing.stdout, report, written)
        files = self.keep(attempt, user, mask) if report.files else []
        detail = {"progress": report.state(), "notes": report.all_notes(), **made.detail}
        return Said(made, files, {name: value for name, value in detail.items() if value})

    def take(self, key: str, user: int, mask: Callable[[], Masker], report: Report) -> bytes | None:
        try:
            data = self.places.take(key, user, MOST_OUTPUT)
        except Unreadable as why:
            report.note(f"the output file was not read: {why}")
            return None
        if data is None:
            return None
        masker = mask()
        return masker.feed(data) + masker.flush()

    def keep(self, attempt: Attempt, user: int, mask: Callable[[], Masker]) -> list[dict[str, Any]]:
        report, given = attempt.hearing.report, attempt.invocation
        return kept.keep(
            attempt.key,
            report.files.values(),
            Below(given.cwd, user),
            given.files_cap,
            self.shelf,
            mask,
            report.note,
        )
