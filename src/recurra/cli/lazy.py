"""A group of commands that imports a command's module when it is called, so that `--help` stays fast and a missing
part breaks nothing."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

from recurra._slips import nearest
from recurra.errors import RecurraError


class Command(NamedTuple):
    """Where a command comes from: `module:attribute` of its `typer.Typer`, and its line in `--help`."""

    where: str
    help: str


class LazyGroup(TyperGroup):
    """A group whose commands are named in `table`; the group's own help loads none of them."""

    table: dict[str, Command] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        return [*self.table, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The stand-in that help lists."""
        if cmd_name in self.table:
            return _stand_in(cmd_name, self.table[cmd_name].help)
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The real command, when one is called."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            close = nearest(args[0], self.table)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(self.table)}"
            ctx.fail(f"No such command {args[0]!r}; {hint}")
        name, command, rest = super().resolve_command(ctx, args)
        if name in self.table:
            command = self.load(name)
        return name, command, rest

    def load(self, name: str) -> Any:
        """The command called `name` in `table`."""
        return _load(name, self.table[name])


def _stand_in(name: str, help: str) -> Any:
    app = typer.Typer(add_completion=False)

    @app.command(name=name, help=help)
    def stand_in() -> None:
        return None

    return typer.main.get_command(app)


def _load(name: str, command: Command) -> Any:
    module, _, attribute = command.where.partition(":")
    try:
        app = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise RecurraError(f"`recurra {name}` is not available here: {error}") from error
    loaded = typer.main.get_command(app)
    loaded.name = name
    return loaded
