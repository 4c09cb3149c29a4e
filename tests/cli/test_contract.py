"""The contract of the command line: every command with its options, as scripts rely on them; wording is no part of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from core.cli.main import build_parser
from core.cli.parser import Parser

CONTRACT = Path(__file__).with_name("contract.txt")
"""One line an option. Only add lines: a command or an option that goes breaks somebody's script."""


def list_options(parser: Parser, words: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield each option below a parser: command, names, and what of it a script can depend on."""
    parser.complete()
    for option in parser._actions:
        if isinstance(option, argparse._SubParsersAction):
            for name, command in option.choices.items():
                yield from list_options(command, (*words, name))
        elif not isinstance(option, argparse._HelpAction):
            yield f"{' '.join(words)}: {describe_option(option)}"


def describe_option(option: argparse.Action) -> str:
    names = "/".join(option.option_strings) or str(option.metavar)
    facts = {
        "nargs": option.nargs,
        "default": None if option.default == argparse.SUPPRESS else option.default,
        "choices": list(option.choices) if option.choices else None,
        "required": option.required or None,
        "repeats": isinstance(option, argparse._AppendAction) or None,
    }
    return " ".join([names, *(f"{name}={value}" for name, value in facts.items() if value not in (None, False))])


def test_every_command_and_option_is_there() -> None:
    assert list(list_options(build_parser())) == CONTRACT.read_text().splitlines()
