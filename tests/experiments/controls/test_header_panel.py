"""A single header that goes with the label is found among many, whatever it is; a clean cohort stays clean."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydicom import dcmread

from core.data.cohort import scan_cohort
from core.evaluation.permutation import exchange_within
from core.experiments.controls.file_traces import read_traces
from core.experiments.controls.header_panel import NUMBERS, WORDS, associate_headers, read_acquisition
from core.experiments.controls.shortcuts import find_shortcuts
from core.mri import MRSequence
from core.phantom.config import PhantomConfig
from core.settings import Settings
from tests.phantoms import copy_phantom

LABELS = np.arange(200) % 2


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("headers") / "cohort"
    config = PhantomConfig.model_validate({"studies": 16, "signal": 0, "slices": 4, "size": 32, "seed": 3})
    copy_phantom(folder, config)
    return folder


def noise(columns: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({f"header {number}": rng.normal(size=200) for number in range(columns)})


def test_one_header_among_a_hundred_is_found_and_none_where_none_is() -> None:
    table = noise(100)
    assert all(one.p_value > 0.05 for one in associate_headers(table, LABELS, shuffles=999))
    table["echo"] = np.random.default_rng(1).normal(size=200) + 0.9 * LABELS
    first, second, *_ = associate_headers(table, LABELS, shuffles=999)
    assert first.name == "echo"
    assert first.p_value == 1 / 1000
    assert first.auroc > 0.65
    assert second.p_value > 0.05


def test_the_direction_does_not_matter_and_columns_of_one_header_are_one() -> None:
    table = pd.DataFrame({"site: a": 1 - LABELS, "site: b": LABELS, "x": np.random.default_rng(2).normal(size=200)})
    found = associate_headers(table.astype(float), LABELS, shuffles=99)
    assert [one.name for one in found] == ["site", "x"]
    assert found[0].auroc == 1
    assert associate_headers(table[[]], LABELS) == []


@pytest.mark.parametrize("name", ["MagneticFieldStrength", "StationName", "ProtocolName"])
def test_a_header_equal_to_the_label_is_found_in_a_cohort(
    source: Path, tmp_path: Path, settings: Settings, name: str
) -> None:
    place = Path(shutil.copytree(source, tmp_path / "cohort"))
    for study in scan_cohort(place, jobs=1).labelled:
        (series,) = (one for one in study.series if one.sequence is MRSequence.FLAIR)
        for path in series.files:
            header = dcmread(path)
            setattr(header, name, (1.5, 3.0)[study.label] if name in NUMBERS else f"planted {study.label}")
            header.save_as(path)
    found = find_shortcuts(scan_cohort(place, jobs=1), settings, permutations=1, jobs=1)
    assert found.panel[0].name == f"FLAIR {name}"
    assert found.panel[0].auroc == 1
    assert found.adjust("headers") < 0.05
    assert found.found("headers")
    assert "planted" not in str(found.to_dict())


def test_words_are_read_as_digests(source: Path) -> None:
    series = scan_cohort(source, jobs=1).studies[0].series[0]
    header = dcmread(series.files[0])
    said = read_acquisition(series)
    assert said["EchoTime"] == header.EchoTime
    words = {str(header.get(name)) for name in WORDS if header.get(name)}
    assert words
    assert not words & set(map(str, said.values()))


def test_within_sites_only_the_site_itself_is_found_where_nothing_else_is() -> None:
    """A header that is the site's own would be found among all patients; within sites it says nothing."""
    rng = np.random.default_rng(4)
    site = np.arange(200) < 100
    labels = np.concatenate([np.arange(100) < 70, np.arange(100) < 30]).astype(np.int64)
    table = noise(20).assign(station=site + 0.01 * rng.normal(size=200), site=site.astype(float))
    among = associate_headers(table, labels, shuffles=999)
    assert {one.name for one in among if one.p_value <= 0.05} == {"station", "site"}
    exchange = exchange_within([str(one) for one in site], labels)
    within = associate_headers(table, labels, exchange=exchange, across=("site",), shuffles=999)
    assert {one.name for one in within if one.p_value <= 0.05} == {"site"}
    table["echo"] = rng.normal(size=200) + 0.9 * labels
    found = associate_headers(table, labels, exchange=exchange, across=("site",), shuffles=999)
    assert {one.name for one in found if one.p_value <= 0.05} == {"site", "echo"}


def test_a_file_shows_its_margins_its_bytes_and_its_values(source: Path, settings: Settings) -> None:
    series = scan_cohort(source, jobs=1).studies[0].series[0]
    found = read_traces(series, settings)
    assert {name.split()[0] for name in found} == {"compression", "padding", "intensity"}
    assert 0 < float(found["padding top"]) < 16
    assert float(found["compression bytes per pixel"]) > 2
    gone = replace(series, files=(source / "gone.dcm",))
    assert read_traces(gone, settings) == {}
