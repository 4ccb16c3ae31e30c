"""`python -m scheduler` is the command `procession`, by the interpreter that runs already."""

from scheduler.cli import main

main()
