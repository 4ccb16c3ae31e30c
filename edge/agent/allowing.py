"""The owner's policy as it is made when a machine joins: it allows what was named, and no more."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from edge.agent import policy
from edge.agent.home import Unusable

HEAD = """\
# What may be carried out on this machine, whatever the server asks for. It belongs to the machine's
# owner; the server is told what it says and cannot change it. Without an [[allow]] nothing runs.
#
# roots = ["/srv/press"]         # folders that commands may work in, besides one of their own
# users = ["press"]              # whom commands may run as, besides the agent's own user
# env = ["JOB", "PRESS_*"]       # variables that may be set
# hours = ["mon-fri 06:00-22:00"]
# zone = "Europe/Rome"
# max_runtime = 3600             # seconds
# page = "127.0.0.1:8790"        # this machine's own page: whoever reaches it may press buttons
#
# [[allow]]
# program = "/usr/local/bin/press"
# args = ["--job", "[0-9]{1,9}"] # each a pattern for the whole of one argument
# rest = "--[a-z-]+"             # and any number of these
"""

RULE = """
[[allow]]
program = {program}
rest = ".*"
"""

SHELL = "shell = true\n"


def begin(path: Path, programs: Sequence[str]) -> bool:
    """Whether a file was written; one that is there is left as it is."""
    found = [path for each in programs for path in also(program(each))]
    if path.exists():
        if found:
            remedy = f"add what you want to {path}"
            raise Unusable("there is a policy already, which is its owner's", remedy)
        return False
    text = HEAD + "".join(map(rule, found))
    policy.parse(text.encode())
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(place, "w") as file:
        file.write(text)
    return True


def program(name: str) -> str:
    """By its whole path, wherever it was found."""
    found = shutil.which(name)
    if found is None:
        raise Unusable(f"--allow {name}: there is no such program", "install it first")
    return os.path.abspath(found)


def also(path: str) -> list[str]:
    """By its other name as well, where /bin is /usr/bin: definitions say either."""
    merged = [("/bin/", "/usr/bin/"), ("/usr/bin/", "/bin/")]
    found = [other + path.removeprefix(one) for one, other in merged if path.startswith(one)]
    return [path, *(each for each in found if is_same(path, each))]


def is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def rule(path: str) -> str:
    text = RULE.format(program=json.dumps(path))
    return text + SHELL if policy.is_shell(path) else text
