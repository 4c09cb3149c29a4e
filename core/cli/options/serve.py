"""serve: its forms and what they take."""

from __future__ import annotations

from core.cli.options.shared import port, positive
from core.cli.parser import Parser, add_commands, set_command

FORMS = {
    "http": ("serve", "Answer scripts over HTTP: an upload in, the document of predict --json out."),
    "dicom": ("serve", "Answer studies of a DICOMweb server, or sent by C-STORE, by rules, and push the results back."),
}


def define_serve(parser: Parser) -> None:
    """Add the forms of ``serve``."""
    add_commands(parser, FORMS, title="forms", metavar="FORM", required=True)


def define_http(parser: Parser) -> None:
    """Add what ``http`` takes."""
    set_command(parser, "core.cli.serve.http:serve_http", "Ctrl-C ends it.")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: this machine alone)")
    parser.add_argument("--port", type=port, default=8600, metavar="N", help="default: 8600")
    parser.add_argument(
        "--checkpoint", action="append", metavar="CHECKPOINT", help="only this one; may be given again (default: all)"
    )
    parser.add_argument("--token-file", metavar="FILE", help="its first line is the token that every caller must send")
    parser.add_argument(
        "--allow-host", action="append", metavar="NAME", help="another name under which the server may be asked"
    )
    parser.add_argument(
        "--at-once", type=positive, default=2, metavar="N", help="uploads that are worked on at once (default: 2)"
    )


def define_dicom(parser: Parser) -> None:
    """Add what ``dicom`` takes."""
    set_command(
        parser, "core.cli.serve.dicom:serve_dicom", "Ctrl-C ends it; killed anywhere, the same command resumes it."
    )
    parser.add_argument(
        "rules", metavar="RULES", help="a TOML file: url or listen, and rules with checkpoint, studies, series"
    )
    parser.add_argument(
        "--state", required=True, metavar="DIR", help="what is done, what is to be pushed, and audit.jsonl"
    )
    parser.add_argument("--once", action="store_true", help="one round, then end")
