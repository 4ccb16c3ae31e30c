"""The line that makes a machine a workstation."""

import shlex


def join_command(url: str, token: str) -> str:
    """One line for a shell of the machine. `echo` is the shell's own: the word stands in no
    program's arguments, which everybody on a machine can read, and gets through `sudo` as well."""
    return f"echo {shlex.quote(token)} | procession edge join {shlex.quote(url.rstrip('/'))} -"
