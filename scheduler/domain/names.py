"""What things may be called, and what somebody probably meant."""

import re
from collections.abc import Iterable

# A task's name stands in expressions (`tasks.load-2.output`), where a dot already means "of".
TASK_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
TYPE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
EVENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}")
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
CALL_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)

TASK_NAME_RULE = (
    "a task's name is 1 to 63 of a-z, 0-9, '-' and '_', and begins with a letter or digit"
)
TYPE_NAME_RULE = (
    "a name is 1 to 63 of a-z, 0-9, '.', '-' and '_', and begins with a letter or digit"
)
ENV_NAME_RULE = "a variable's name is letters, digits and '_', and does not begin with a digit"
EVENT_NAME_RULE = (
    "an event's name is 1 to 200 of letters, digits and . _ : / -, "
    "and begins with a letter or digit"
)
HEADER_NAME_RULE = "a header's name is letters, digits and hyphens"
CALL_NAME_RULE = "write module:function, as in reports.monthly:summarise"

# They decide what code a command loads or how it reads its script, so no data may reach them.
_GUARDED = re.compile(
    r"""
      (LD_ | DYLD_ | PYTHON | PERL | RUBY | NODE_ | GIT_ | BASH_FUNC_ | MALLOC_) .*
    | PATH | HOME | TMPDIR | CDPATH | GCONV_PATH | LOCPATH | NLSPATH
    | ENV | BASH_ENV | IFS | SHELL | SHELLOPTS | BASHOPTS | PS4 | PROMPT_COMMAND | GLOBIGNORE
    | EDITOR | VISUAL | PAGER | LESSOPEN | LESSCLOSE | SSH_ASKPASS | SUDO_ASKPASS
    | CLASSPATH | JAVA_TOOL_OPTIONS | _JAVA_OPTIONS | JDK_JAVA_OPTIONS | R_PROFILE | R_ENVIRON
    """,
    re.VERBOSE | re.IGNORECASE,
)


def is_guarded(env_name: str) -> bool:
    """True for a variable that only the author's own static text may set."""
    return _GUARDED.fullmatch(env_name) is not None


def nearest(word: str, known: Iterable[str]) -> str | None:
    from difflib import get_close_matches

    matches = get_close_matches(word[:80], list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """What follows "there is no …": the nearest known word, else all of them."""
    words = sorted(known)
    if meant := nearest(word, words):
        return f"did you mean {meant!r}?"
    if not words:
        return "there is none"
    return "known: " + ", ".join(words[:30]) + (", …" if len(words) > 30 else "")
