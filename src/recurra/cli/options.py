"""Typer options from the fields of a config, so that every option is written down once."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from recurra.training.config import RunConfig

PANELS = ("Data", "Model", "Training", "Run")


def with_options(
    command: Callable[..., None], config: type[RunConfig], arguments: list[inspect.Parameter]
) -> Callable[..., None]:
    """`command(**values)` with a signature that Typer reads: `arguments`, then an option for each field of `config`.

    Options that are not given stay out of `values`, so that the YAML file and the defaults can speak.
    """
    parameters = [*arguments]
    fields = sorted(config.model_fields.items(), key=lambda item: PANELS.index(_panel(item[1])))
    for name, field in fields:
        parameters.append(_parameter(name, field))

    def call(**values: Any) -> None:
        command(**{name: value for name, value in values.items() if value is not None})

    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    call.__doc__ = command.__doc__
    return call


def _panel(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra.get("panel", "Training")) if isinstance(extra, dict) else "Training"


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    kind = _plain(field.annotation)
    flag = name.replace("_", "-")
    spelled = f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}"
    default = field.default
    shown = "" if default is None else f" [default: {('yes' if default else 'no') if kind is bool else default}]"
    choices = f" ({', '.join(map(str, get_args(kind)))})" if get_origin(kind) is Literal else ""
    metavar = {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}.get(kind, "CHOICE")
    info = typer.Option(
        spelled,
        help=f"{field.description}{choices}{shown}",
        rich_help_panel=_panel(field),
        show_default=False,
        metavar=None if kind is bool else metavar,
    )
    # numbers are taken as text: Pydantic checks them, with one wording for the command line and for YAML
    annotation = bool if kind is bool else str
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[Union[annotation, None], info],  # noqa: UP007
    )


def _plain(annotation: Any) -> Any:
    """`int` for `int | None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(arg for arg in get_args(annotation) if arg is not type(None))
    return annotation
