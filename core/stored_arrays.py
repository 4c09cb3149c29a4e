"""Arrays inside JSON documents: how a result that holds arrays is stored and read again."""

from __future__ import annotations

import base64
import io
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import core_schema


class StoredArray:
    """An annotation for pydantic: an array that is text in JSON (the compressed .npy file, base64), and an array when read.

    ``Annotated[NDArray[np.float32], StoredArray()]`` in a dataclass that a ``TypeAdapter`` writes.
    """

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> core_schema.CoreSchema:
        """Validate by :func:`_read`, serialise by :func:`_write`."""
        return core_schema.no_info_plain_validator_function(
            _read, serialization=core_schema.plain_serializer_function_ser_schema(_write, when_used="json")
        )


def _write(array: NDArray[Any]) -> str:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return base64.b64encode(zlib.compress(stream.getvalue())).decode("ascii")


def _read(value: object) -> NDArray[Any]:
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, str):
        raise ValueError("an array is stored as text")
    try:
        array: NDArray[Any] = np.load(io.BytesIO(zlib.decompress(base64.b64decode(value))), allow_pickle=False)
    except (zlib.error, EOFError, OSError) as error:
        raise ValueError(f"not a stored array ({error})") from error
    return array
