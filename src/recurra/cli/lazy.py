"""A group of commands that imports a command's module when it is called, so that `--help` stays fast and a missing
part breaks nothing."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

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
        name, command, rest = super().resolve_command(ctx, args)
        if name in self.table:
            command = _load(name, self.table[name])
        return name, command, rest


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
