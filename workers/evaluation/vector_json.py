"""A vector of an image in a row of `drafts.jsonl`."""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.records.search import ImageVector


def vector_json(vector: ImageVector | None) -> dict[str, str] | None:
    """Return a vector as JSON types; None for none."""
    if vector is None:
        return None
    return {"space": vector.space, "float32": base64.b64encode(vector.content).decode("ascii")}


def vector_values(stored: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return the float32 [D] of what `vector_json` wrote."""
    return np.frombuffer(base64.b64decode(stored["float32"]), "<f4").astype(np.float32)
