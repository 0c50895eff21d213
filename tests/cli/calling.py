"""Calls of the command line inside this process."""

from recurra.cli.main import main

FAST = ["--no-report", "--no-progress", "--threads", "1"]


def call(capsys, *arguments):
    """Exit code, standard output, standard error."""
    try:
        main([str(argument) for argument in arguments])
        code = 0
    except SystemExit as end:
        code = end.code or 0
    captured = capsys.readouterr()
    return code, captured.out, captured.err
