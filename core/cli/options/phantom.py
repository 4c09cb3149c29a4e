"""phantom: what it takes, as its configuration says; apart, because loading pydantic takes as long as all other help."""

from __future__ import annotations

from core.cli.options.shared import positive
from core.cli.parser import Parser, set_command
from core.phantom.config import PhantomConfig


def define_phantom(parser: Parser) -> None:
    """Add what ``phantom`` takes."""
    set_command(parser, "core.cli.data.phantom:phantom")
    parser.add_argument("folder", metavar="DIR", help="where it goes; must be empty or not exist")
    parser.add_argument("--jobs", type=positive, metavar="N", help="processes; by default the CPUs there are")
    for name, info in PhantomConfig.model_fields.items():
        option = f"--{name.replace('_', '-')}"
        text = " ".join((info.description or "").split()).replace("%", "%%")
        if info.annotation is bool:
            parser.add_argument(option, action="store_const", const=True, help=text)
        else:
            parser.add_argument(option, metavar="N", help=f"{text} (default: {info.default})")
