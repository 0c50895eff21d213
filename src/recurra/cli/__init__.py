"""The command line: `main` mounts one file per sub-command, each imported only when it is called.

A file offers `app`, a `typer.Typer`; one with a single command becomes that command. Errors of `recurra.errors`,
ValueError and OSError are printed as one line by `main`.
"""
