"""The type checker behind jaxtyping's import hook: beartype, with hints that exist only for pyright left out.

Shapes and dtypes are what is checked at run time. A name imported under `if TYPE_CHECKING:` does not exist then, and
beartype would raise for it; such a hint (and only such) becomes `Any`.
"""

from __future__ import annotations

import sys
from typing import Any

from beartype import BeartypeConf, BeartypeStrategy, beartype

_check = beartype(conf=BeartypeConf(strategy=BeartypeStrategy.O1))


def checker(function: Any) -> Any:
    """Decorate with beartype after replacing hints that cannot be resolved."""
    annotations = getattr(function, "__annotations__", None)
    if annotations:
        module = sys.modules.get(getattr(function, "__module__", ""), None)
        names = {**(vars(module) if module else {}), **getattr(function, "__globals__", {})}
        function.__annotations__ = {k: _resolved(v, names) for k, v in annotations.items()}
    return _check(function)


def _resolved(hint: Any, names: dict[str, Any]) -> Any:
    if not isinstance(hint, str):
        return hint
    try:
        return eval(hint, names)
    except NameError:
        return Any
