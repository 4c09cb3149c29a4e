"""optimism and specification: questions that take several trainings; each goes on where it was interrupted."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from core.cli.options import add_config, add_data, positive, read_config, read_source
from core.cli.output import Outcome, TerminalProgress, note, plain, table
from core.cli.parser import Parser, set_command
from core.evaluation.specification import SpecificationCurve
from core.experiments.controls.optimism import OptimismParameters, measure_optimism
from core.experiments.controls.specification import SpecificationParameters, list_cells, measure_specification
from core.figure_text import figure_text
from core.files import write_atomic
from core.jobs.foreground import run_experiment
from core.runs.folder import absolute_source
from core.runs.records import DataSource, EpochRecord
from core.settings import Settings

AGAIN = "Interrupted, it goes on with the same command. The run's own test patients stand in no part of it."


def define_optimism(parser: Parser) -> None:
    """Add what ``optimism`` takes."""
    set_command(parser, optimism, AGAIN)
    _add_shared(parser, "optimism")
    parser.add_argument("--seeds", type=positive, default=5, metavar="N", help="trainings (default: 5)")


def define_specification(parser: Parser) -> None:
    """Add what ``specification`` takes."""
    set_command(parser, specification, AGAIN)
    _add_shared(parser, "specification")
    parser.add_argument(
        "--vary",
        action="append",
        nargs="+",
        default=[],
        metavar="NAME VALUE",
        help="a setting and the values to try, for example: --vary seed 0 1 2 --vary sequences T1wCE FLAIR,T1w",
    )
    parser.add_argument("--csv", metavar="FILE", help="write every cell as a table")


def _add_shared(parser: Parser, name: str) -> None:
    add_data(parser)
    add_config(parser, preset="honest")
    parser.add_argument("--name", default=name, help=f"folder of the answer below experiments/ (default: {name})")
    parser.add_argument("--behind-queue", action="store_true", help="wait until no run trains or waits, then begin")


def optimism(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Train several times and compare both figures of each checkpoint."""
    config, source = read_config(arguments), _absolute_source(arguments)
    parameters = OptimismParameters(seeds=max(2, arguments.seeds))
    progress = TerminalProgress("trainings")
    question = _question("optimism", parameters.model_dump(mode="json"), config.model_dump(mode="json"), source)
    folder, result = run_experiment(
        settings,
        arguments.name,
        question,
        lambda train: measure_optimism(train, config, source, parameters, settings, progress),
        source,
        _show_epoch,
        behind_queue=arguments.behind_queue,
    )
    rows = [
        (pair["seed"], pair["epoch"], figure_text(pair["validation"]), figure_text(pair["untouched"]))
        for pair in result["pairs"]
    ]
    header = ("seed", "best epoch", "AUROC where chosen", "AUROC untouched")
    lines = [
        plain(result["sentence"]),
        *table(rows, header),
        f"by choice: {figure_text(result['optimism'])}",
        plain(folder),
    ]
    return Outcome(document={"experiment": str(folder), **result}, lines=lines)


def specification(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Train every combination and lay the results out in order."""
    config, source = read_config(arguments), _absolute_source(arguments)
    vary = {words[0]: list(words[1:]) for words in arguments.vary}
    parameters = SpecificationParameters(vary=vary) if vary else SpecificationParameters()
    count = len(list_cells(config, parameters))
    note(f"{count} combinations.")
    progress = TerminalProgress("combinations")
    question = _question("specification", parameters.model_dump(mode="json"), config.model_dump(mode="json"), source)
    folder, result = run_experiment(
        settings,
        arguments.name,
        question,
        lambda train: measure_specification(train, config, source, parameters, settings, progress),
        source,
        _show_epoch,
        behind_queue=arguments.behind_queue,
    )
    curve = SpecificationCurve.from_dict(result)
    rows = [
        [*cell.choices.values(), cell.figure.value, cell.figure.low, cell.figure.high, cell.figure.n]
        for cell in curve.cells
    ]
    if arguments.csv:
        write_atomic(Path(arguments.csv), curve.to_csv())
    lines = [plain(result["sentence"]), *table(rows, (*parameters.vary, "AUROC", "low", "high", "n")), plain(folder)]
    return Outcome(document={"experiment": str(folder), **result}, lines=lines)


def _question(kind: str, parameters: dict[str, Any], config: dict[str, Any], source: DataSource) -> dict[str, Any]:
    return {"kind": kind, "parameters": parameters, "config": config, "source": source.model_dump(mode="json")}


def _absolute_source(arguments: argparse.Namespace) -> DataSource:
    """Name the data as an experiment's folder keeps it."""
    return absolute_source(read_source(arguments))


def _show_epoch(record: EpochRecord) -> None:
    note(f"  epoch {record.epoch}  val loss {record.val_loss:.4f} accuracy {record.val_accuracy:.3f}")
