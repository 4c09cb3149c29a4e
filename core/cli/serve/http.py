"""serve http: answer scripts."""

from __future__ import annotations

import argparse
import shutil
from importlib.util import find_spec
from pathlib import Path

from core.cli.output import Outcome, note
from core.errors import ConfigError
from core.files import storage_errors
from core.models.catalogue import find_checkpoint, list_checkpoints
from core.settings import Settings

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve_http(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Serve until it is interrupted."""
    if find_spec("fastapi") is None:
        raise ConfigError("serve http needs FastAPI, which is not installed: pip install -r requirements-serve.txt.")
    import uvicorn

    from core.serve.http import create_app

    token = _read_token(arguments.token_file)
    if arguments.host not in LOOPBACK and token is None:
        raise ConfigError(
            f"{arguments.host} can be reached by others: name a file with a secret word, --token-file FILE."
        )
    checkpoints = [find_checkpoint(name, settings) for name in arguments.checkpoint or ()] or list_checkpoints(settings)
    workspace = settings.cache / "serve" / f"http-{arguments.port}"
    shutil.rmtree(workspace, ignore_errors=True)  # of a server that was killed
    with storage_errors(workspace):
        workspace.mkdir(parents=True)
    app = create_app(
        checkpoints,
        settings,
        workspace,
        token=token,
        hosts=tuple(dict.fromkeys([*LOOPBACK[:2], "[::1]", arguments.host, *(arguments.allow_host or ())])),
        places=arguments.at_once,
    )
    note(
        f"http://{arguments.host}:{arguments.port} with {len(checkpoints)} checkpoints; /openapi.json says how to ask."
    )
    server = uvicorn.Server(
        uvicorn.Config(app, host=arguments.host, port=arguments.port, server_header=False, log_level="warning")
    )
    try:
        server.run()
    except SystemExit as error:  # uvicorn leaves so where the port is taken
        raise ConfigError(
            f"Port {arguments.port} of {arguments.host} cannot be used; name another, --port N."
        ) from error
    return Outcome(document={"host": arguments.host, "port": arguments.port}, lines=["Stopped."])


def _read_token(name: str | None) -> str | None:
    """Return the first line of a file: on the command line others could read it."""
    if name is None:
        return None
    try:
        token = Path(name).expanduser().read_text(encoding="utf-8").split("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file {name} cannot be read ({type(error).__name__}).") from error
    if len(token) < 16:
        raise ConfigError(f"--token-file {name}: a token has at least 16 characters.")
    return token
