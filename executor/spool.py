"""The runner's folder: who may enter it, and how much may lie in it."""

import contextlib
import os
import socket
import stat
from pathlib import Path

QUOTA = 1 << 30


class SpoolRefused(Exception):
    """The folder cannot be used; says what to do about it."""


def prepare(path: Path) -> int:
    """Make the folder, or check that it is ours alone. Returns a descriptor of it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise SpoolRefused(
            f"{path}: {error.strerror}; give a folder that can be written to"
        ) from error
    facts = os.fstat(folder)
    if facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077:
        os.close(folder)
        raise SpoolRefused(f"{path}: open to others; chown it to this user and chmod 700")
    return folder


def address(folder: int) -> str:
    """The socket's path by way of a descriptor: folders may be deeper than socket paths."""
    return f"/proc/self/fd/{folder}/sock"


def listen(folder: int) -> socket.socket:
    """Only for the holder of the runner's lock: what is left of a socket is removed."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink("sock", dir_fd=folder)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    before = os.umask(0o177)
    try:
        listener.bind(address(folder))
    finally:
        os.umask(before)
    listener.listen(8)
    return listener


def connect(folder: int) -> socket.socket:
    """Raises OSError where nobody listens."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        peer.connect(address(folder))
    except OSError:
        peer.close()
        raise
    return peer


def is_ours(peer: socket.socket) -> bool:
    """Whether the process at the other end runs as this user, or as root."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    user = int.from_bytes(credentials[4:8], "little")
    return user in (0, os.geteuid())


class Quota:
    """Bytes that outputs may take on disk, all attempts together."""

    def __init__(self, limit: int):
        self.limit = limit
        self.used = 0

    def take(self, size: int) -> bool:
        if self.used + size > self.limit:
            return False
        self.used += size
        return True

    def give_back(self, size: int) -> None:
        self.used -= size
