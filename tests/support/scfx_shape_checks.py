"""The type checker behind jaxtyping's import hook: beartype on shapes and dtypes of arrays, and on nothing else.

Plain hints are pyright's business: at run time a name imported under `if TYPE_CHECKING:` does not exist, and a numpy
integer where the hint says `int` is no fault.
"""

from __future__ import annotations

import sys
from typing import Any, get_args

from beartype import beartype
from jaxtyping import AbstractArray


def checker(function: Any) -> Any:
    """Decorate with beartype after replacing every hint without an array shape by `Any`."""
    annotations = getattr(function, "__annotations__", None)
    if annotations:
        module = sys.modules.get(getattr(function, "__module__", ""), None)
        names = {**(vars(module) if module else {}), **getattr(function, "__globals__", {})}
        function.__annotations__ = {k: _shape_or_any(v, names) for k, v in annotations.items()}
    return beartype(function)


def _shape_or_any(hint: Any, names: dict[str, Any]) -> Any:
    if isinstance(hint, str):
        try:
            hint = eval(hint, names)
        except NameError:  # exists for pyright only
            return Any
    return hint if _has_shape(hint) else Any


def _has_shape(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(_has_shape(part) for part in get_args(hint))
