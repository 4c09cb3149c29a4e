"""runs: compare several, tag them, delete them, take in one from elsewhere, say where its data lies."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from core.cli.options import Parser, UsageError, add_command
from core.cli.output import Outcome, figure_text, plain, table

if TYPE_CHECKING:
    from core.experiments.comparison.comparison import Comparison
    from core.settings import Settings


def add_actions(actions: argparse._SubParsersAction[Parser]) -> None:
    """Add what runs can do with several runs and with what is kept of them."""
    parser = add_command(
        actions, "compare", compare,
        "Lay runs over each other: figures, differences with intervals, ROC, calibration, courses, settings.",
        "Uses what was judged already; no test patient is opened.",
    )  # fmt: skip
    parser.add_argument("runs", nargs="+", metavar="RUN", help="names or folders of two or more runs")
    parser.add_argument(
        "--part", choices=("val", "test"), default="val",
        help="whom: validation patients, or test patients that were looked at with every one of the runs",
    )  # fmt: skip
    parser.add_argument(
        "--reference", metavar="RUN", help="the run that the others are compared with (default: the first)"
    )
    parser.add_argument("--html", metavar="FILE", help="write one HTML page that needs nothing else")
    parser.add_argument("--csv", metavar="FILE", help="write every figure, difference, setting and epoch as one table")

    parser = add_command(actions, "tag", tag, "Show a run's tags; add some and remove some.")
    parser.add_argument("run", metavar="RUN", help="a run's name or folder")
    parser.add_argument("--add", action="append", default=[], metavar="TAG", help="may be given again and again")
    parser.add_argument("--remove", action="append", default=[], metavar="TAG", help="may be given again and again")

    parser = add_command(
        actions, "delete", delete, "Delete runs with their weights, for good.",
        "There is no way back here: the undo of the Runs page ends with the app, and this command has no such end.",
    )  # fmt: skip
    parser.add_argument("runs", nargs="+", metavar="RUN", help="names of runs")
    parser.add_argument("--yes", action="store_true", help="they are to go; without it nothing is deleted")

    parser = add_command(
        actions, "import", import_from, "Take in a run that export run wrote elsewhere.",
        "Everything in it is checked and its figures are computed anew; nothing is unpickled.",
    )  # fmt: skip
    parser.add_argument("file", metavar="FILE", help="the .zip file")
    parser.add_argument("--name", help="what to call it (default: as it was called, with a number where that is taken)")

    parser = add_command(
        actions, "data", name_data_of, "Say where a run's cohort lies here: of an imported run, or where it was moved.",
        "It must be the very same cohort: ids, labels and series are compared.",
    )  # fmt: skip
    parser.add_argument("run", metavar="RUN", help="a run's name or folder")
    parser.add_argument("data", metavar="DATA", help="the cohort's folder")
    parser.add_argument("--labels", metavar="CSV", help="label table, where it does not lie beside the data")
    parser.add_argument("--identity", metavar="CSV", help="table of ids that are one patient, where the run had one")


def compare(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Compare runs by what they have already shown."""
    from core.experiments.comparison.comparison import compare_runs
    from core.files import write_atomic
    from core.runs.folder import find_run

    runs = [find_run(name, settings) for name in arguments.runs]
    reference = find_run(arguments.reference, settings).name if arguments.reference else None
    comparison = compare_runs(runs, settings, arguments.part, reference)
    written = []
    if arguments.html:
        from core.reports.comparison_page import write_comparison_page

        written.append(Path(arguments.html).expanduser())
        write_atomic(written[-1], write_comparison_page(comparison))
    if arguments.csv:
        from core.reports.comparison_table import write_comparison_table

        written.append(Path(arguments.csv).expanduser())
        write_atomic(written[-1], write_comparison_table(comparison))
    document = comparison.to_dict() | {"written": [str(path) for path in written]}
    lines = [*_describe(comparison), *(f"Written: {plain(path)}" for path in written)]
    return Outcome(document=document, lines=lines)


def tag(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Change a run's tags and show them."""
    from core.runs.folder import find_run
    from core.runs.tags import change_tags, read_tags

    run = find_run(arguments.run, settings)
    changed = arguments.add or arguments.remove
    tags = change_tags(run, arguments.add, arguments.remove) if changed else read_tags(run)
    document = {"run": str(run.path), "name": run.name, "tags": list(tags)}
    return Outcome(document=document, lines=[f"{plain(run.name)}: {plain(', '.join(tags)) or 'no tags'}"])


def delete(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Delete runs for good; all of them are looked up first, so that a wrong name deletes nothing."""
    from core.runs.folder import delete_run, find_run

    runs = list(dict.fromkeys(find_run(name, settings) for name in arguments.runs))
    if not arguments.yes:
        doomed = ", ".join(run.name for run in runs)
        raise UsageError(f"This deletes {doomed} with all weights, for good; add --yes to do it.")
    for run in runs:
        delete_run(run)
    names = [run.name for run in runs]
    return Outcome(document={"deleted": names}, lines=[f"Deleted: {plain(', '.join(names))}"])


def import_from(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Take in a run's zip."""
    from core.cli.runs import describe_run
    from core.runs.unbundle import import_run, read_import

    run = import_run(Path(arguments.file).expanduser(), settings, name=arguments.name)
    origin = read_import(run)
    assert origin is not None
    lines = [
        f"{run.name}: imported, {run.status().state}.",
        f"Its data lay at {plain(origin.data)}. To judge its test patients here, name it: runs data {run.name} DATA",
    ]
    return Outcome(document=describe_run(run) | {"imported": origin.model_dump(mode="json")}, lines=lines)


def name_data_of(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Say where a run's cohort lies."""
    from core.runs.folder import find_run
    from core.runs.unbundle import name_data

    run = find_run(arguments.run, settings)
    source = name_data(run, arguments.data, settings, arguments.labels, arguments.identity)
    document = {"run": str(run.path), "name": run.name, "data": source.model_dump(mode="json")}
    return Outcome(document=document, lines=[f"{plain(run.name)} is on {plain(source.root)}: the same cohort."])


def _describe(comparison: Comparison) -> list[str]:
    from core.experiments.comparison.differences import value_words

    rows = []
    for run in comparison.runs:
        area = run.evaluation.patient["auroc"].to_dict() if run.evaluation else None
        said = figure_text(area) if area else f"none ({run.reason})"
        rows.append((run.label, run.preset, run.architecture, said, "; ".join(run.warnings)))
    lines = [
        *(plain(note) for note in comparison.notes),
        "",
        *table(rows, ("run", "preset", "network", f"AUROC by patient, {comparison.whose}", "to know")),
        "",
    ]
    for item in comparison.differences:
        lines.append(f"{plain(item.run)} less {plain(item.reference)}: {plain(item.words)}")
        for title, figure in (
            ("paired bootstrap", item.figure), ("adjusted", item.adjusted), ("DeLong", item.analytic),
        ):  # fmt: skip
            if figure is not None:
                lines.append(f"  {title:16}  {figure_text(figure.to_dict())}")
    settings = [(row.group, row.name, *(value_words(value) for value in row.values)) for row in comparison.settings]
    header = ("", "differs", *(run.label for run in comparison.runs))
    return [*lines, "", *(table(settings, header) if settings else ["They differ in nothing that was recorded."])]
