"""The argument parser: it complains in one line, and loads no more of a command than is asked for.

What a command takes stands in :mod:`core.cli.options`, which is imported when the command is parsed or its help is shown;
what it does stands in another module, "module:function", which :func:`load` imports when the command runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from core.cli.output import Outcome

if TYPE_CHECKING:
    from core.settings import Settings

Command = Callable[[argparse.Namespace, "Settings"], Outcome]


class UsageError(Exception):
    """Arguments that do not parse."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises :class:`UsageError` and gets its options when it is used."""

    definition: str | None = None
    """"module:function" that adds the options; None when that is done."""
    more_help: str | None = None
    """"module:function" that returns the text at the end of the help."""

    def complete(self) -> None:
        """Add the options, unless that is done."""
        if self.definition:
            define, self.definition = load(self.definition), None
            define(self)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Complete the options first."""
        self.complete()
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise UsageError(f"{message}. See {self.prog} --help.")

    def format_help(self) -> str:
        """Add the long part."""
        text = super().format_help()
        return f"{text}\n{load(self.more_help)()}" if self.more_help else text


def add_commands(parser: Parser, table: Mapping[str, tuple[str, str]], title: str, **options: Any) -> None:
    """Add commands below `parser`, each with its module of :mod:`core.cli.options` and its line of help.

    The module has a function ``define_a_b`` for the command ``a-b``, which gets that command's parser. `options` are those
    of ``add_subparsers``.
    """
    commands = parser.add_subparsers(title=title, **options)
    for name, (module, help_text) in table.items():
        command: Parser = commands.add_parser(name, help=help_text, description=help_text)
        command.definition = f"core.cli.options.{module}:define_{name.replace('-', '_')}"


def load(reference: str) -> Any:
    """Import what "module:function" names."""
    module, function = reference.split(":")
    return getattr(import_module(module), function)


def set_command(parser: Parser, command: str, more: str = "", **defaults: Any) -> None:
    """Say what a parser's command does: the "module:function" of a :data:`Command`.

    `more` follows its line of help in the description.
    """
    parser.description = f"{parser.description} {more}".strip()
    parser.set_defaults(command=command, **defaults)
    # The default is the outermost parser's: `runs --json list` must keep what `runs` was given.
    parser.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help="print exactly one JSON document on standard output",
    )
