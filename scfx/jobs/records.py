"""Records of a job: one text per value, digests, and seals that show a flipped bit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical_json(value: Any) -> str:
    """Return one text per value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def digest(value: Any) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with a digest of itself under "check", so that a flipped bit in it is seen."""
    return {**record, "check": digest(record)}


def unharmed(record: dict[str, Any]) -> bool:
    """Return whether a sealed record is as it was written; one that was written before there were seals passes."""
    return "check" not in record or record["check"] == digest(
        {k: v for k, v in record.items() if k != "check"}
    )


def differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Return the lines 'key: theirs there, mine now' for what differs between two identities, keys of tables joined by
    dots.
    """
    lines = []
    ours, others = _flatten(json.loads(canonical_json(dict(mine)))), _flatten(dict(theirs))
    for key in sorted(ours.keys() | others.keys()):
        if ours.get(key) != others.get(key):
            lines.append(f"{key}: {others.get(key, 'absent')!r} there, {ours.get(key, 'absent')!r} now")
    return lines


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    out: dict[str, Any] = {}
    for key, item in value.items():
        out |= _flatten(item, f"{prefix}.{key}" if prefix else str(key))
    return out
