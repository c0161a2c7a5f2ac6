"""`Surface`: refuses rows that are not points of one potential energy surface, before a network learns their forces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scfx.errors import ConfigError
from scfx.model.elements import SYMBOLS


class Surface:
    """Looks at rows as they are read, and refuses by a key those that no function of the geometry can fit.

    That is: rows without forces, rows of several levels of theory, and molecules of one composition with different
    charges or multiplicities, which a network that sees elements and positions cannot tell apart.
    """

    def __init__(self, key: str, path: str):
        self._key, self._path = f"{key}.path", path
        self._levels: set[str] = set()
        self._states: dict[bytes, tuple[Any, Any]] = {}

    def missing(self, why: str) -> ConfigError:
        """Return the error for data without forces."""
        return ConfigError(self._key, f"{self._path!r} has no forces to learn: {why}")

    def check_present(self, absent: Sequence[Any], reasons: Sequence[Any]) -> None:
        """Refuse `absent` rows, which have no forces, by their names, with `reasons` as far as they are known."""
        if len(absent):
            known = next((f" ({reason})" for reason in reasons if reason), "")
            raise ConfigError(
                self._key,
                f"{self._path!r} has rows without forces, the first is row {absent[0]}{known}. Leave them out: `scfx "
                "dataset export --format parquet --filter max_force=100`, and train on that file",
            )

    def check_levels(self, hashes: Sequence[str | None]) -> None:
        """Refuse a second level of theory; `hashes` are those of the specification of each row, as far as known."""
        self._levels |= {str(each or "not said") for each in hashes}
        if len(self._levels) > 1:
            one, other = sorted(self._levels)[:2]
            raise ConfigError(
                self._key,
                f"{self._path!r} has rows of different levels of theory (spec_hash {one[:12]} and {other[:12]}): they "
                "lie on different surfaces. Train on one level, and use the other in the task 'finetune'",
            )

    def check_states(
        self, numbers: np.ndarray, sizes: np.ndarray, charges: Sequence[Any], multiplicities: Sequence[Any]
    ) -> None:
        """Refuse a second state of one composition.

        `numbers` of the concatenated atoms, `sizes` of the molecules, and charge and multiplicity of each.
        """
        ends = np.cumsum(sizes)
        for end, size, *state in zip(ends, sizes, charges, multiplicities, strict=True):
            formula = np.sort(numbers[end - size : end]).astype(np.uint8).tobytes()
            first = self._states.setdefault(formula, (state[0], state[1]))
            if first != tuple(state):
                symbols = "".join(SYMBOLS[z] for z in formula)
                raise ConfigError(
                    self._key,
                    f"{self._path!r} has {symbols} with charge {first[0]} and multiplicity {first[1]}, and with charge "
                    f"{state[0]} and multiplicity {state[1]}: a network that sees elements and positions alone cannot "
                    "tell them apart. Train on one of them",
                )

    @property
    def charges(self) -> list[int]:
        """Return the total charges that occurred."""
        return sorted({int(charge) for charge, _ in self._states.values() if charge is not None})
