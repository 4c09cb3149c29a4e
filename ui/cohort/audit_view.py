"""The data-quality dashboard: what is wrong with a cohort, in numbers, images and a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from core.audit.checks import audit_cohort
from core.audit.findings import KINDS, SEVERITIES, AuditReport, Finding, Severity
from core.data.index.series import relative_to
from core.data.study import Cohort
from core.errors import MGMTLabError
from core.runs.folder import RunFolder
from ui.figures.audit import draw_findings
from ui.runs.runs import find_own_run, own_runs
from ui.widgets.errors import report_errors
from ui.widgets.loaders import BY_COHORT, in_turn, load_stack
from ui.widgets.progress import ProgressBar, offer_cancel
from ui.widgets.state import current_settings
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw

IMAGES = 4
"""Images of one finding that are shown."""
PLACES = 40
"""Places of one finding that are listed."""
COLOURS: dict[Severity, Literal["red", "orange", "gray"]] = {"error": "red", "warning": "orange", "note": "gray"}


def show_audit(cohort: Cohort) -> None:
    """Offer the audit; once it is done, show what it found."""
    st.subheader("Data quality", anchor=False)
    run = _ask_split(cohort)
    key = f"audit.{cohort.digest}.{run}"
    if not st.session_state.get(key):
        st.caption(
            "Looks for missing and unreadable files, blank slices, duplicates within and between patients, one patient "
            "under two ids, label gaps, and unusual spacings and intensities. Reads every pixel once; what is unchanged "
            "since then comes from the cache."
        )
        if not st.button("Audit this cohort", icon=":material/fact_check:", key="audit.start"):
            return
        offer_cancel("audit.cancel", "What was read so far is kept.")
    with report_errors():
        report = _audit(cohort, run)
        if not st.session_state.get(key):
            st.session_state[key] = True
            st.rerun()
        _show_report(cohort, report, run)


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=BY_COHORT)
def _audit(cohort: Cohort, run: str | None) -> AuditReport:
    with in_turn(), ProgressBar("Reading pixels", "series") as bar:
        split = find_own_run(run).split() if run else None
        return audit_cohort(cohort, current_settings(), split=split, progress=bar)


def _ask_split(cohort: Cohort) -> str | None:
    """Let the visitor choose a run on this very data whose split is checked too."""
    root = str(cohort.root.resolve())
    names = [entry.run.name for entry in own_runs() if _is_on(entry.run, root)]
    if not names:
        return None
    return st.selectbox(
        "Split to check",
        [None, *names],
        format_func=lambda name: name or "none",
        key=f"audit.split.{cohort.digest}",
        help="A run on this data: patients, series and duplicates that stand on both sides of its split are errors.",
    )


def _is_on(run: RunFolder, root: str) -> bool:
    """Whether a run has a split, and it is one of the data in `root`."""
    try:
        return (run.path / "split.json").is_file() and str(Path(run.source.root).resolve()) == root
    except MGMTLabError:  # a damaged run, which the Runs page tells of
        return False


def _show_report(cohort: Cohort, report: AuditReport, run: str | None) -> None:
    counts = report.counts()
    with st.grid(5, min_column_width=130):
        for severity in SEVERITIES:
            st.metric(f"{severity.capitalize()}s", f"{counts[severity]:,}")
        st.metric("Series checked", f"{report.counted['series']:,}")
        st.metric(
            "Slices compared",
            f"{report.counted['slices compared']:,}",
            help="Each with every other; not the blank ones.",
        )
    if not report.findings:
        st.info("Nothing was found.", icon=":material/fact_check:")
    else:
        _show_findings(cohort, report)
    st.caption("Checked: " + ", ".join(f"{count:,} {what}" for what, count in report.counted.items()) + ".")
    _offer_downloads(cohort, report, run)


def _show_findings(cohort: Cohort, report: AuditReport) -> None:
    chosen = _filter(report.findings)
    if not chosen:
        st.info("No finding of this kind and severity.", icon=":material/filter_alt_off:")
        return
    with st.grid(2, min_column_width=380):
        with st.container(border=True, height="stretch", gap="xsmall"):
            st.markdown("**Findings by kind**")
            draw(draw_findings(chosen, current_palette()), key="audit.figure", alt="findings by kind")
        detail = st.container(border=True, height="stretch", gap="small")
    picked = st.dataframe(
        pd.DataFrame(
            {
                "severity": [finding.severity for finding in chosen],
                "kind": [KINDS[finding.kind].title for finding in chosen],
                "finding": [finding.message for finding in chosen],
                "places": [len(finding.where) for finding in chosen],
            }
        ),
        hide_index=True,
        height="content" if len(chosen) <= 8 else 330,
        key="audit.table",
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": [0]}},
        column_config={"places": st.column_config.NumberColumn(width="small")},
    )
    rows = [row for row in picked.selection.rows if row < len(chosen)]
    with detail:
        _show_finding(cohort, chosen[rows[0] if rows else 0])


def _filter(findings: Sequence[Finding]) -> list[Finding]:
    """Let the visitor narrow the findings down."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        severities = st.pills(
            "Severity",
            [severity for severity in SEVERITIES if any(finding.severity == severity for finding in findings)],
            selection_mode="multi",
            key="audit.severity",
            width="content",
        )
        kinds = st.multiselect(
            "Kind",
            list(dict.fromkeys(finding.kind for finding in findings)),
            format_func=lambda kind: KINDS[kind].title,
            key="audit.kind",
            placeholder="every kind",
        )
    return [
        finding
        for finding in findings
        if (not severities or finding.severity in severities) and (not kinds or finding.kind in kinds)
    ]


def _show_finding(cohort: Cohort, finding: Finding) -> None:
    """One finding: its images where it names slices, then what it says and what to do."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{KINDS[finding.kind].title}**", width="content")
        st.badge(finding.severity, color=COLOURS[finding.severity])
    _show_images(cohort, finding.where)
    st.markdown(plain(finding.message, 600))
    st.markdown(f":material/build: {plain(finding.remedy, 400)}")
    if finding.where:
        with st.expander(f"{len(finding.where):,} {'place' if len(finding.where) == 1 else 'places'}"):
            st.code("\n".join(finding.where[:PLACES]), language=None)
            if len(finding.where) > PLACES:
                st.caption(f"and {len(finding.where) - PLACES:,} more; the downloads have them all")


def _show_images(cohort: Cohort, places: Sequence[str]) -> None:
    """Show the slices that a finding names, side by side; series and studies show their middle slice."""
    found = [image for place in places[:IMAGES] if (image := _find_image(cohort, place)) is not None]
    if not found:
        return
    with st.grid(max(2, len(found)), min_column_width=120, gap="small"):
        for place, pixels in found:
            with st.container(gap="xxsmall"):
                st.image(pixels, width="stretch", clamp=True, alt=f"Middle slice of {place}")
                st.caption(plain(place, 60))


def _find_image(cohort: Cohort, place: str) -> tuple[str, NDArray[np.uint8]] | None:
    """Return what to show for a file, a slice of a file, a series or a study; None where nothing can be shown."""
    file, _, index = place.rpartition("#")
    for series in cohort.series:
        files = {relative_to(path, cohort.root): path.name for path in series.files}
        name = files.get(place) or files.get(file)
        if name is None and place not in (f"{series.study_id}/{series.sequence}", series.study_id):
            continue
        try:
            stack, _ = load_stack(series)
        except MGMTLabError:
            return None
        top, bottom, left, right = stack.box
        shown = stack.pixels[:, top:bottom, left:right]
        if name is None:
            return place, shown[len(shown) // 2]
        number = int(index) if place not in files and index.isdigit() else _position(stack.files, name)
        return (place, shown[number]) if number is not None and number < len(shown) else None
    return None


def _position(files: Sequence[str], name: str) -> int | None:
    return next((number for number, file in enumerate(files) if Path(file).name == name), None)


def _offer_downloads(cohort: Cohort, report: AuditReport, run: str | None) -> None:
    name = f"audit-{cohort.root.name}{f'-{run}' if run else ''}"
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "CSV", report.to_csv(), f"{name}.csv", "text/csv", icon=":material/download:", key="audit.csv"
        )
        st.download_button(
            "JSON",
            json.dumps(report.to_dict(), indent=2),
            f"{name}.json",
            "application/json",
            icon=":material/download:",
            key="audit.json",
        )
        if st.button("Audit again", icon=":material/refresh:", type="tertiary", key="audit.again"):
            _audit.clear()
            st.rerun()
