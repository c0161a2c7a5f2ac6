"""From the text that people write to libxc functionals and their weights: PySCF's own parser, libxc's own numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from scfx.errors import InputError


@dataclass(frozen=True)
class Sum:
    """A sum of libxc functionals. `parts`: (libxc name in lower case, coefficient); may be empty (pure exchange).

    `exact_exchange`, `long_range_exchange`, `omega` are in the convention of `scfx.AbstractFunctional`.
    """

    text: str
    parts: tuple[tuple[str, float], ...]
    exact_exchange: float
    long_range_exchange: float
    omega: float
    nonlocal_correlation: bool


@lru_cache(maxsize=256)
def parse(text: str) -> Sum | None:
    """Read a name or sum in PySCF's syntax; None if PySCF does not know it.

    "x, c" gives exchange and correlation, a name without a comma both; "0.2*hf" is exact exchange.
    """
    from pyscf.dft import libxc

    try:
        _, terms = libxc.parse_xc(text)
        omega, long_range, difference = (float(v) for v in libxc.rsh_coeff(text))
    except (KeyError, ValueError, NotImplementedError, IndexError):
        # What PySCF's parser raises for text that it cannot read: an unknown name or alias, a factor that is no number,
        # a functional that it has no parameters for, empty parts of a sum.
        return None
    return Sum(
        text,
        tuple((_names()[int(number)], float(weight)) for number, weight in terms),
        # libxc splits 1/r into alpha + beta erfc(omega r): alpha + beta at short range, alpha at long range.
        exact_exchange=long_range + difference,
        long_range_exchange=-difference if omega else 0.0,
        omega=omega if difference else 0.0,
        nonlocal_correlation=bool(libxc.is_nlc(text)),
    )


def required(text: str) -> Sum:
    """The same, or `InputError`."""
    found = parse(text)
    if found is None:
        raise InputError(
            f"xc = {text!r} is not a functional that PySCF's parser and libxc know; examples: 'b97-3', "
            "'gga_x_b88, gga_c_lyp', '0.2*hf + 0.8*slater, lyp'"
        )
    return found


@lru_cache(maxsize=1)
def _names() -> dict[int, str]:
    from pyscf.dft import libxc

    return {int(number): name.lower() for name, number in libxc.available_libxc_functionals().items()}


def number_of(name: str) -> int:
    """libxc's number of a functional."""
    from pyscf.dft import libxc

    return int(libxc.available_libxc_functionals()[name.upper()])
