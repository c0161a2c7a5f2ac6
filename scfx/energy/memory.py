"""`MemoryBudget`: the bytes that one batch may hold, and who holds them."""

from __future__ import annotations

from typing import Protocol


class Holder(Protocol):
    """Something that holds integrals or AO values."""

    def held_bytes(self) -> int:
        """Return the bytes held at present."""
        ...


class MemoryBudget:
    """One budget for all integrals and AO values of a batch: what one term holds, another cannot have."""

    def __init__(self, total: int):
        self.total = total
        self._holders: list[Holder] = []

    def add(self, holder: Holder) -> None:
        """Count what `holder` holds from now on."""
        self._holders.append(holder)

    def remove(self, holder: Holder) -> None:
        """Stop counting what `holder` holds."""
        self._holders = [known for known in self._holders if known is not holder]

    def held(self) -> int:
        """Return the bytes held at present by all."""
        return sum(holder.held_bytes() for holder in self._holders)

    def left(self) -> int:
        """Return the bytes that may still be taken."""
        return max(0, self.total - self.held())
