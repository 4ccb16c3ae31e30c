"""What a program loads when it starts, and what it need not."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("program", ["scheduler.work", "scheduler.serve"])
def test_a_program_without_a_terminal_loads_no_toolkit_for_one(program: str) -> None:
    code = f"import sys, {program}; print('prompt_toolkit' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"False\n"
