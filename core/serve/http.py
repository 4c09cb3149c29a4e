"""The HTTP interface for scripts: an upload in, the document of ``predict --json`` out; nothing of the upload stays.

It is an application of its own rather than routes of the Streamlit server (``st.App`` takes such routes): a script needs neither
pages nor sessions, is limited and guarded by itself, and gets a described interface (OpenAPI).
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

import core
from core.admission import AT_ONCE, admitted
from core.data.upload import open_scan, receive
from core.errors import CheckpointError, HostedModeError, LimitError, MGMTLabError, StorageError
from core.evaluation.figure import estimand_of
from core.inference.ensemble import open_predictor
from core.inference.handed_in import describe_source, predict_all
from core.inference.predict import Predictor
from core.models.card import read_card
from core.models.catalogue import checkpoint_name
from core.mri import MRSequence
from core.settings import MEBIBYTE, Settings

SILENT_SECONDS = 30.0
"""A sender of whom nothing came for so long is dropped: an upload that stands still holds a place."""
FORM_BYTES = MEBIBYTE
"""What the form around the files may take."""
RETRY_SECONDS = 5
"""When to try again where nothing has been answered yet."""
STATUS: Mapping[type[MGMTLabError], int] = {
    LimitError: 413,
    CheckpointError: 404,
    StorageError: 507,
    HostedModeError: 403,
}
"""HTTP statuses of our errors; all others are 422."""
BEARER = HTTPBearer(auto_error=False)
"""What the description of the interface says of the token."""
UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                            "description": "DICOM, NIfTI, PNG or JPEG files, with their relative names, or a zip or tar.gz of them",
                        }
                    },
                }
            }
        },
    }
}


class Problem(BaseModel):
    """Why there is no answer."""

    error: str = Field(description="what kind of problem it is, for programs")
    detail: str = Field(description="what was wrong and what to do, in one line")


class Health(BaseModel):
    """That the server answers."""

    status: str
    version: str
    predicting: int = Field(description="uploads that are worked on")


class ListedCheckpoint(BaseModel):
    """A checkpoint that may be asked."""

    name: str
    card: dict[str, Any] = Field(description="what the checkpoint says of itself")


class Answer(BaseModel, extra="allow"):
    """The document of ``predict --json``."""

    studies: list[dict[str, Any]]
    checkpoint: dict[str, Any]


@dataclass(slots=True)
class Desk:
    """The places at which uploads are received and answered, and the checkpoints that answer them."""

    checkpoints: dict[str, Path]
    settings: Settings
    places: int = AT_ONCE
    busy: int = 0
    last_seconds: float = RETRY_SECONDS
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _loaded: dict[str, Predictor] = field(default_factory=dict)

    @contextmanager
    def take_place(self) -> Iterator[None]:
        """Hold a place; raises HTTPException 429 that says when to try again."""
        with self._lock:
            if self.busy >= self.places:
                seconds = str(max(1, round(self.last_seconds)))
                detail = f"{self.busy} uploads are being worked on, as many as at once; try again in {seconds} s."
                raise HTTPException(429, detail, {"Retry-After": seconds})
            self.busy += 1
        started = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self.busy -= 1
                self.last_seconds = min(time.monotonic() - started, 120.0)

    def predictor(self, name: str) -> Predictor:
        """Return a checkpoint, loaded once; raises CheckpointError."""
        if name not in self.checkpoints:
            raise CheckpointError(f"There is no checkpoint {name!r} here. There are: {', '.join(self.checkpoints)}.")
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = open_predictor(self.checkpoints[name], threads=self.settings.threads)
            return self._loaded[name]


def create_app(
    checkpoints: list[Path],
    settings: Settings,
    workspace: Path,
    *,
    token: str | None = None,
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]"),
    places: int = AT_ONCE,
) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    checkpoints
        Those that may be asked; no other file of the server is opened for a visitor.
    settings
        The limits on uploads, as the pages have them.
    workspace
        A folder of this server's own; uploads are written to folders in it that are removed with the answer.
    token
        What must stand in ``Authorization: Bearer`` to list checkpoints and predict; None asks nobody.
    hosts
        Names under which the server may be asked: a web page that rebinds its own name to this machine is refused.
    places
        Uploads that are received and answered at once; the next is told when to try again.
    """
    desk = Desk({checkpoint_name(path): path for path in checkpoints}, settings, places)
    app = FastAPI(
        title="MGMT Lab",
        version=core.__version__,
        description="From a brain-MR scan to a prediction. For research only, not a medical device.",
        docs_url=None,  # its scripts come from another server
        redoc_url=None,
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    _add_problems(app)

    async def check_caller(request: Request) -> None:
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            raise HTTPException(403, "A web page of another site may not ask this server; ask it from a program.")
        given = request.headers.get("authorization", "")
        if token is not None and not secrets.compare_digest(given.encode(), f"Bearer {token}".encode()):
            detail = "The token is missing or wrong; send Authorization: Bearer TOKEN."
            raise HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})

    check = [Depends(check_caller), *([] if token is None else [Depends(BEARER)])]

    @app.get("/health")
    async def health() -> Health:
        """Say that the server answers."""
        return Health(status="ok", version=core.__version__, predicting=desk.busy)

    @app.get("/checkpoints", dependencies=check, responses=_problems(401, 403))
    def list_checkpoints() -> list[ListedCheckpoint]:
        """List what may be asked, each with its card."""
        return [
            ListedCheckpoint(name=name, card=read_card(path).model_dump(mode="json"))
            for name, path in desk.checkpoints.items()
        ]

    @app.post(
        "/predict",
        dependencies=check,
        response_model=Answer,
        responses=_problems(400, 401, 403, 404, 408, 413, 415, 422, 429, 507),
        openapi_extra=UPLOAD,
    )
    async def predict(
        request: Request,
        checkpoint: Annotated[str, Query(description="its name, as listed")],
        sequence: Annotated[
            MRSequence | None, Query(description="what images and series are that do not say it themselves")
        ] = None,
        anyway: Annotated[
            bool, Query(description="show the numbers of a scan that the guard refuses, for study")
        ] = False,
    ) -> JSONResponse:
        """Answer an upload as ``predict --json`` does; where the guard refuses the scan, without numbers."""
        if checkpoint not in desk.checkpoints:
            desk.predictor(checkpoint)  # says which there are
        with desk.take_place(), TemporaryDirectory(dir=workspace) as folder:
            place = Path(folder)
            await _receive(request, place / "scan", settings)
            return JSONResponse(
                await run_in_threadpool(_predict, desk, checkpoint, place, sequence=sequence, anyway=anyway)
            )

    return app


async def _receive(request: Request, place: Path, settings: Settings) -> None:
    """Write the files of a form; raises HTTPException, or as :func:`core.data.upload.receive`."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise HTTPException(415, "Send the files as a form, multipart/form-data, under the name 'files'.")
    limit = settings.upload_bytes + FORM_BYTES
    too_large = LimitError(
        f"The upload holds more than {settings.upload_bytes // MEBIBYTE:,} MB, the limit here; hand in one study."
    )
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > limit:
        raise too_large
    received, inner = 0, request._receive

    async def counted() -> Any:
        nonlocal received
        try:
            message = await asyncio.wait_for(inner(), SILENT_SECONDS)
        except TimeoutError as error:
            raise HTTPException(408, f"Nothing came for {SILENT_SECONDS:.0f} s; send the upload again.") from error
        received += len(message.get("body", b""))
        if received > limit:
            raise too_large
        return message

    request._receive = counted
    async with request.form(max_files=settings.upload_files, max_fields=8) as form:
        files = [one for one in form.getlist("files") if isinstance(one, UploadFile)]
        if not files:
            raise HTTPException(422, "There is no file under the name 'files'; send at least one.")
        named = [(one.filename or "scan", one.file) for one in files]
        await run_in_threadpool(receive, named, place, settings)


def _predict(desk: Desk, name: str, place: Path, *, sequence: MRSequence | None, anyway: bool) -> dict[str, Any]:
    with admitted(desk.settings):
        predictor = desk.predictor(name)
        cohort = open_scan([place / "scan"], place / "unpacked", desk.settings, sequence=sequence)
        predictions, failures = predict_all(predictor, cohort)
        document = {
            "studies": [one.to_dict(anyway) for one in predictions],
            **describe_source(predictor, cohort, failures),
            "estimand": estimand_of("predict"),
        }
    if desk.settings.hosted:
        document["checkpoint"]["path"] = predictor.path.name
    return document


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem} for status in statuses}


def _add_problems(app: FastAPI) -> None:
    """Let every refusal say what it is in one form."""

    @app.exception_handler(MGMTLabError)
    async def tell_ours(request: Request, error: MGMTLabError) -> JSONResponse:
        status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 422)
        return JSONResponse({"error": type(error).__name__, "detail": str(error)}, status)

    @app.exception_handler(StarletteHTTPException)
    async def tell_theirs(request: Request, error: StarletteHTTPException) -> JSONResponse:
        # Starlette refuses a form of too many files as a bad request.
        status = 413 if str(error.detail).startswith("Too many files") else error.status_code
        unknown = str(error.detail) in ("Not Found", "Method Not Allowed")
        detail = f"{request.method} {request.url.path} is not served. See /openapi.json." if unknown else error.detail
        return JSONResponse({"error": "RequestError", "detail": str(detail)}, status, error.headers)

    @app.exception_handler(RequestValidationError)
    async def tell_parameters(request: Request, error: RequestValidationError) -> JSONResponse:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        return JSONResponse({"error": "RequestError", "detail": f"{wrong}. See /openapi.json."}, 422)
