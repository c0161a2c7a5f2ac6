"""Who runs the attempts of a task."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


class AbstractExecutor(abc.ABC):
    """Runs attempts and reports their outcomes; owns no truth: the store does."""

    @abc.abstractmethod
    def run(self, attempts: Iterable[Any]) -> Iterable[Any]:
        """Yield one outcome per attempt, in any order, as they finish."""
