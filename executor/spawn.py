"""Bringing a command to life: posix_spawn where that can do it, fork where it cannot.

Only for a process with a single thread: the working folder is changed around the spawn, and the
fork goes on in Python.
"""

import contextlib
import errno
import fcntl
import os
import pwd
import resource
import signal
import stat
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, NoReturn

from executor import guard, kin, words
from executor.base import Invocation, Limits
from executor.wire import ERR, OUT

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TIE = 198  # the one descriptor a command inherits beside the standard three
F_SETSIG = 10
NOTHING: Mapping[str, str] = MappingProxyType({})

# Python ignores these two; a command must find them as everybody does.
UNIGNORED = (signal.SIGPIPE, signal.SIGXFSZ)

RESOURCES = {
    "cpu_seconds": resource.RLIMIT_CPU,
    "memory_bytes": resource.RLIMIT_AS,
    "open_files": resource.RLIMIT_NOFILE,
    "processes": resource.RLIMIT_NPROC,
    "file_bytes": resource.RLIMIT_FSIZE,
}


class SpawnFailed(Exception):
    def __init__(self, message: str, *, retryable: bool):
        super().__init__(message)
        self.retryable = retryable


class Spawned(NamedTuple):
    pid: int
    pipes: dict[int, int]  # descriptor -> stream
    tie: int


class Identity(NamedTuple):
    name: str
    user: int
    group: int
    groups: list[int]
    home: str


def spawn(
    key: str, invocation: Invocation, null: int, ours: Mapping[str, str] = NOTHING
) -> Spawned:
    """Start it in a session and group of its own. Raises SpawnFailed, and leaves nothing open.

    What is `ours` in its environment, nobody else can set.
    """
    try:
        return launch(key, invocation, null, ours)
    except (OSError, ValueError) as error:
        raise explain(invocation.argv[0], error) from error


def refused(message: str) -> SpawnFailed:
    return SpawnFailed(message, retryable=False)


def explain(program: str, error: OSError | ValueError) -> SpawnFailed:
    if isinstance(error, UnicodeEncodeError):
        return refused("an argument or variable holds a character that UTF-8 cannot say")
    if isinstance(error, ValueError):
        return refused(f"{error}; remove it from the arguments, the folder or the environment")
    return explain_what_is_there(program, error) or explain_errno(program, error)


def explain_errno(subject: str, error: OSError) -> SpawnFailed:
    number = error.errno or errno.EIO
    said = f"{subject:.200}: {words.describe_errno(number)}"
    return SpawnFailed(said, retryable=number in words.TRANSIENT)


def explain_what_is_there(program: str, error: OSError) -> SpawnFailed | None:
    """What errno leaves unsaid: a folder is not a program, and an interpreter may be missing."""
    try:
        mode = os.stat(program).st_mode
    except (OSError, ValueError):
        return None
    if stat.S_ISDIR(mode):
        return refused(f"{program:.200}: a folder, not a program")
    if error.errno == errno.ENOENT:
        return refused(f"{program:.200}: there, but the interpreter or loader it names is missing")
    return None


def launch(key: str, invocation: Invocation, null: int, ours: Mapping[str, str]) -> Spawned:
    identity = find_identity(invocation.user)
    environment = make_environment({**invocation.env, **ours, kin.MARK: key}, identity)
    with contextlib.ExitStack() as near, contextlib.ExitStack() as theirs:
        pipes, outlets = open_pipes(invocation.merge_output, near, theirs)
        held, tie = open_pipe(theirs, near)
        stdin = null if invocation.stdin is None else open_text(invocation.stdin, theirs)
        fds = {0: stdin, 1: outlets[0], 2: outlets[-1], TIE: held}
        if identity is None and invocation.limits is None:
            pid = spawn_plain(invocation, environment, fds)
        else:
            pid = spawn_prepared(invocation, environment, fds, identity)
        arm(held, pid)
        near.pop_all()
    return Spawned(pid, pipes, tie)


def open_pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    read, write = os.pipe2(os.O_CLOEXEC)
    reader.callback(os.close, read)
    writer.callback(os.close, write)
    return read, write


def open_pipes(
    merge: bool, ours: contextlib.ExitStack, theirs: contextlib.ExitStack
) -> tuple[dict[int, int], list[int]]:
    pipes: dict[int, int] = {}
    outlets: list[int] = []
    for stream in (OUT,) if merge else (OUT, ERR):
        read, write = open_pipe(ours, theirs)
        os.set_blocking(read, False)
        pipes[read] = stream
        outlets.append(write)
    return pipes, outlets


def open_text(text: str, theirs: contextlib.ExitStack) -> int:
    """A file in memory: nobody needs to feed it, and it may be read twice."""
    file = os.memfd_create("stdin")
    theirs.callback(os.close, file)
    data = text.encode(errors="surrogateescape")
    while data:
        data = data[os.write(file, data) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file


def make_environment(given: Mapping[str, str], identity: Identity | None) -> dict[str, str]:
    """Nothing is taken over from the runner."""
    for name in given:
        if not name or "=" in name:
            raise refused(f"environment name {name[:80]!r}: empty, or holds '='; rename it")
    own = {"PATH": PATH, "LANG": "C.UTF-8"}
    if identity is not None:
        own |= {"HOME": identity.home, "USER": identity.name, "LOGNAME": identity.name}
    return {**own, **given}


def find_identity(user: str | None) -> Identity | None:
    if user is None:
        return None
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError) as error:
        raise refused(f"user {user[:80]!r}: there is none of this name on this machine") from error
    if os.geteuid() not in (0, entry.pw_uid):
        raise refused(f"user {user!r}: only a runner that is root may run commands as another user")
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Identity(entry.pw_name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir)


def find_program(name: str, path: str) -> str:
    """posix_spawnp would look along the runner's PATH, not the command's."""
    if "/" in name:
        return name
    found = errno.ENOENT
    for folder in path.split(":"):
        candidate = f"{folder or '.'}/{name}"
        if os.access(candidate, os.X_OK):
            if not os.path.isdir(candidate):
                return candidate
        elif os.path.exists(candidate):
            found = errno.EACCES
    if found == errno.EACCES:
        raise refused(f"{name:.200}: found along PATH, but not executable; chmod +x it")
    raise refused(f"{name:.200}: not found along PATH ({path:.200}); install it or give its path")


def spawn_plain(invocation: Invocation, environment: dict[str, str], fds: dict[int, int]) -> int:
    if invocation.cwd is not None:
        enter(invocation.cwd)
    try:
        program = find_program(invocation.argv[0], environment["PATH"])
        return posix_spawn(program, list(invocation.argv), environment, fds)
    finally:
        if invocation.cwd is not None:
            os.chdir("/")


def posix_spawn(
    program: str, argv: list[str], environment: dict[str, str], fds: dict[int, int]
) -> int:
    try:
        return os.posix_spawn(
            program,
            argv,
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, ours, theirs) for theirs, ours in fds.items()],
            setsid=True,
            setsigdef=UNIGNORED,
            setsigmask=(),
        )
    except OSError as error:
        raise explain(program, error) from error


def enter(cwd: str) -> None:
    try:
        os.chdir(cwd)
    except OSError as error:
        raise explain_errno(f"working folder {cwd:.200}", error) from error


def arm(held: int, pid: int) -> None:
    """When the last writer of this pipe is gone, which is us, the kernel kills the group."""
    fcntl.fcntl(held, fcntl.F_SETOWN, -pid)
    fcntl.fcntl(held, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(held, fcntl.F_SETFL, os.O_ASYNC)


def spawn_prepared(
    invocation: Invocation,
    environment: dict[str, str],
    fds: dict[int, int],
    identity: Identity | None,
) -> int:
    """Limits and user are set between fork and exec; a failure there comes back by a pipe."""
    read, write = os.pipe2(os.O_CLOEXEC)
    with open(read, "rb") as answer:
        try:
            pid = os.fork()
            if pid == 0:
                become(invocation, environment, fds, identity, write)
        finally:
            os.close(write)
        said = answer.read()
    if not said:
        return pid
    os.waitpid(pid, 0)
    kind, _, text = said.decode(errors="replace").partition(" ")
    raise SpawnFailed(text, retryable=kind == "retry")


def become(
    invocation: Invocation,
    environment: dict[str, str],
    fds: dict[int, int],
    identity: Identity | None,
    answer: int,
) -> NoReturn:
    """In the child: never returns, whatever happens."""
    program = invocation.argv[0]
    try:
        os.setsid()
        for number in UNIGNORED:
            signal.signal(number, signal.SIG_DFL)
        answer = inherit(fds, answer)
        if identity is not None:
            drop_to(identity)
        if invocation.limits is not None:
            limit(invocation.limits)
        if invocation.cwd is not None:
            enter(invocation.cwd)
        program = find_program(program, environment["PATH"])
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve(program, list(invocation.argv), environment)
    except SpawnFailed as failure:
        confess(answer, failure)
    except (OSError, ValueError) as error:
        confess(answer, explain(program, error))
    finally:
        os._exit(127)


def confess(answer: int, failure: SpawnFailed) -> None:
    word = "retry" if failure.retryable else "never"
    with contextlib.suppress(OSError):
        os.write(answer, f"{word} {failure}".encode(errors="replace"))


def inherit(fds: dict[int, int], answer: int) -> int:
    """Put the descriptors where they belong; no source may be overwritten before its turn."""
    answer = fcntl.fcntl(answer, fcntl.F_DUPFD_CLOEXEC, TIE + 1)
    sources = {to: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, TIE + 1) for to, fd in fds.items()}
    for to, source in sources.items():
        os.dup2(source, to)
    return answer


def drop_to(identity: Identity) -> None:
    """No way back up: not by a set-user-id program either."""
    if os.geteuid() == 0:
        os.setgroups(identity.groups)
        os.setgid(identity.group)
        os.setuid(identity.user)
    guard.forbid_new_privileges()


def limit(limits: Limits) -> None:
    for name, kind in RESOURCES.items():
        value = getattr(limits, name)
        if value is not None:
            _, most = resource.getrlimit(kind)
            value = value if most == resource.RLIM_INFINITY else min(value, most)
            # At the soft limit of CPU time comes XCPU, which says why; KILL a second later.
            hard = value + 1 if kind == resource.RLIMIT_CPU and value != most else value
            resource.setrlimit(kind, (value, hard))
