"""Which studies of a DICOMweb server are asked for, which series of them, and what answers: a file of rules."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from time import sleep
from types import ModuleType
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.data.formats.untrusted_files import Budget
from core.errors import ConfigError, DataError
from core.files import storage_errors
from core.reports.dicom.source import DicomKind
from core.serve.dicomweb import DESCRIPTION, DicomWeb, Found, first_value
from core.settings import LAST_PORT, Settings

if TYPE_CHECKING:
    from core.serve.cstore import Inbox, Node


class Rule(BaseModel):
    """Which studies, which series of them, and what answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    checkpoint: str
    studies: dict[str, str] = Field(default_factory=dict, description="QIDO parameters, such as StudyDescription")
    series: str = Field("*", description="pattern on the Series Description, case ignored")
    objects: tuple[DicomKind, ...] = ("sr",)


class Rules(BaseModel):
    """The file of rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field("", pattern="^(https?://.*)?$", description="a DICOMweb server; or listen, instead")
    push: str | None = Field(None, pattern="^https?://", description="another server that gets the results")
    listen: str = Field(
        "", pattern=r"^([^@\s]*:[0-9]+)?$", description="host:port at which studies are taken by C-STORE"
    )
    senders: tuple[str, ...] = Field((), description="titles of the nodes that may send; none: all")
    send: str = Field(
        "", pattern=r"^([^@\s]+@[^@\s]+:[0-9]+)?$", description="TITLE@host:port that gets the results by C-STORE"
    )
    title: str = Field("MGMTLAB", min_length=1, max_length=16, description="our own title")
    user: str | None = None
    password_variable: str = Field("MGMT_LAB_PACS_PASSWORD", description="environment variable with the password")
    poll_seconds: float = Field(
        30, gt=0, description="between two rounds; twice as long after each in which nothing worked"
    )
    settle_seconds: float = Field(20, ge=0, description="a study is answered once nothing was added to it for so long")
    identifiers: bool = Field(False, description="write Study Instance UIDs into the audit log")
    rules: tuple[Rule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_names(self) -> Rules:
        for place in filter(None, (self.listen, self.send)):
            if not 1 <= int(place.rpartition(":")[2]) <= LAST_PORT:
                raise ValueError(f"{place}: a port is a whole number of 1 to {LAST_PORT}")
        if len({rule.name for rule in self.rules}) < len(self.rules):
            raise ValueError("two rules have the same name")
        if bool(self.url) == bool(self.listen):
            raise ValueError("name where studies come from: url or listen, one of them")
        if (self.push and self.send) or (self.listen and not (self.push or self.send)):
            raise ValueError("name where results go: push or send, one of them")
        return self


def read_rules(path: Path) -> Rules:
    """Read a file of rules (TOML); raises ConfigError."""
    try:
        return Rules.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ConfigError(f"{path}: {wrong}.") from error


def open_client(rules: Rules, settings: Settings, url: str = "", *, wait: Callable[[float], None] = sleep) -> DicomWeb:
    """Return a client of the server that the rules name, or of another address with the same user.

    Raises
    ------
    ConfigError
        They name none: their studies come by C-STORE.
    """
    if not (url or rules.url):
        raise ConfigError(
            "These rules name no DICOMweb server (url): their studies come by C-STORE, to serve dicom alone."
        )
    password = os.environ.get(rules.password_variable, "")
    auth = (rules.user, password) if rules.user else None
    return DicomWeb(url or rules.url, settings, auth=auth, wait=wait)


def open_inbox(rules: Rules, folder: Path) -> Inbox | None:
    """Return what takes studies by C-STORE into a folder, where the rules ask for it; raises ConfigError without pynetdicom."""
    return _load_cstore().Inbox(folder) if rules.listen else None


def open_target(rules: Rules, settings: Settings, *, wait: Callable[[float], None] = sleep) -> DicomWeb | Node:
    """Return what takes the results: a node by C-STORE or a DICOMweb server; raises ConfigError without pynetdicom."""
    if rules.send:
        return _load_cstore().Node(rules.send, rules.title)
    return open_client(rules, settings, rules.push or rules.url, wait=wait)


def _load_cstore() -> ModuleType:
    try:
        from core.serve import cstore
    except ModuleNotFoundError as error:
        raise ConfigError("C-STORE needs pynetdicom: pip install -r requirements-serve.txt.") from error
    return cstore


def list_named(client: DicomWeb | Inbox, rule: Rule, study: str) -> list[Found]:
    """Return the series of a study that a rule names: of MR, and by their description; raises ServerError."""
    return [one for one in client.list_series(study) if _matches(one, rule)]


def fetch_named(
    client: DicomWeb | Inbox, study: str, series: Sequence[Found], folder: Path, settings: Settings
) -> None:
    """Fetch series of a study into a folder of its UID, by which it is called, below another.

    Raises
    ------
    DataError
        There are none.
    ServerError
        One could not be fetched whole.
    LimitError
        They hold more than a scan that is handed in may.
    StorageError
        The disk is full.
    """
    if not series:
        raise DataError(
            "The study has no MR series that the rule names; look at its pattern on the Series Description."
        )
    budget = Budget(settings)
    with storage_errors(folder):
        for number, one in enumerate(series):
            client.fetch_series(study, one["uid"], one["count"], folder / study / f"{number:03d}", budget)


def _matches(series: Found, rule: Rule) -> bool:
    """Whether a rule names a series: of MR, and by its description."""
    described = str(first_value(series["attributes"], DESCRIPTION) or "")
    return series["modality"] == "MR" and fnmatchcase(described.lower(), rule.series.lower())
