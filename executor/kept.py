"""Files that a command leaves: copied from below its working folder into the runner's own.

What lies there may be anything, and may change while it is looked at: so every part of a path is
opened from the one before, no link is followed, and only plain files are read.
"""

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from executor.output import Masker
from executor.report import Named
from executor.stored import Shelf

BLOCK = 1 << 20
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class NotKept(Exception):
    """Says why, for the person who reads the attempt."""


@dataclass(frozen=True, slots=True)
class Below:
    """Where a command's files may lie, and whose they must be."""

    folder: str | None
    user: int


def keep(
    key: str,
    files: Iterable[Named],
    below: Below,
    room: int,
    shelf: Shelf,
    mask: Callable[[], Masker],
    note: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Facts about those that were kept, `room` bytes of them at most."""
    kept: list[dict[str, Any]] = []
    for number, named in enumerate(files):
        place = f"{key}~{number}"
        try:
            size, digest = copy(named, below, room, shelf, place, mask())
        except NotKept as why:
            note(f"file {named.name} was not kept: {why}")
            continue
        room -= size
        facts = {"name": named.name, "size": size, "digest": digest, "place": place}
        kept.append(facts if named.type is None else {**facts, "type": named.type})
    return kept


def copy(
    named: Named, below: Below, room: int, shelf: Shelf, place: str, mask: Masker
) -> tuple[int, str]:
    size, digest = 0, sha256()
    try:
        with opened(named.path, below) as source, made(shelf, place) as copied:
            for block in blocks(source, mask):
                size += len(block)
                if size > room:
                    raise NotKept(f"it is larger than the {room} bytes that are left for files")
                if not shelf.quota.take(len(block)):
                    raise NotKept("the runner's folder is full")
                copied.taken += len(block)
                write(copied.file, block)
                digest.update(block)
            copied.is_whole = True
    except OSError as error:
        raise NotKept(error.strerror or str(error)) from error
    return size, digest.hexdigest()


def blocks(source: int, mask: Masker) -> Iterator[bytes]:
    while data := os.read(source, BLOCK):
        if masked := mask.feed(data):
            yield masked
    if rest := mask.flush():
        yield rest


def write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


@dataclass(slots=True)
class Copied:
    file: int
    taken: int = 0  # of the quota
    is_whole: bool = False


@contextlib.contextmanager
def made(shelf: Shelf, place: str) -> Iterator[Copied]:
    """A place on the shelf, which is given back unless the copy became whole."""
    copied = Copied(shelf.create(place))
    try:
        yield copied
    finally:
        os.close(copied.file)
        if not copied.is_whole:
            shelf.remove(place)
            shelf.quota.give_back(copied.taken)


@contextlib.contextmanager
def opened(path: str, below: Below) -> Iterator[int]:
    if below.folder is None or os.path.realpath(below.folder) == "/":
        raise NotKept("the command has no working folder of its own: give it one with 'cwd'")
    *folders, name = path.split("/")
    with contextlib.ExitStack() as ours:
        at = os.open(below.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        ours.callback(os.close, at)
        for folder in folders:
            at = os.open(folder, FOLDER, dir_fd=at)
            ours.callback(os.close, at)
        file = os.open(name, FILE, dir_fd=at)
        ours.callback(os.close, file)
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode):
            raise NotKept("it is not a plain file")
        if facts.st_nlink != 1:
            raise NotKept("it has other names as well (hard links)")
        if below.user not in (os.geteuid(), facts.st_uid):
            raise NotKept("it does not belong to the command's user")
        yield file


def discard(files: Iterable[dict[str, Any]], shelf: Shelf) -> None:
    for facts in files:
        shelf.remove(facts["place"])
        shelf.quota.give_back(facts["size"])
