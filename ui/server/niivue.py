"""The library that draws volumes in the browser (NiiVue), served by the app itself: nothing is fetched from elsewhere."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from streamlit import config

PACKED = Path(__file__).parents[1] / "assets" / "planes" / "niivue-0.69.0.js.gz"


async def _send(request: Request) -> Response:
    return Response(
        PACKED.read_bytes(),
        media_type="text/javascript",
        headers={"content-encoding": "gzip", "cache-control": "public, max-age=31536000, immutable"},
    )


def niivue_route() -> Route:
    """Return the route beside the app's pages from which the viewer imports the library."""
    base = config.get_option("server.baseUrlPath").strip("/")
    return Route(f"/{base}/{PACKED.stem}" if base else f"/{PACKED.stem}", _send)
