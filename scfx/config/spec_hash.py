"""The hash that identifies what a specification computes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from scfx.errors import InputError

#: Raise when the same definitions would give other labels than before (a corrected formula, a new grid).
LABELS_VERSION = 3


def spec_hash(definition: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of canonical JSON: sorted keys, no spaces, floats by their shortest exact form.

    `definition` is plain data (mappings, sequences, text, numbers, numpy arrays); `InputError` for anything else,
    and for NaN and infinities, which have no canonical form.
    """
    try:
        text = json.dumps(
            plain({"labels_version": LABELS_VERSION, **definition}),
            sort_keys=True, separators=(",", ":"), allow_nan=False,
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise InputError(f"a definition must be plain finite data to be hashed: {error}") from error
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Any) -> Any:
    """Return mappings, sequences and numpy values as what `json` writes; other types pass through for `json` to
    refuse.
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    return value
