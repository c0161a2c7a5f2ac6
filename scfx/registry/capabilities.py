"""What a calculation needs from a backend, compared with what an offer declares, before anything is imported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scfx.offer import Capabilities

if TYPE_CHECKING:
    from scfx.contracts.backend import AbstractIntegralBackend

_LETTERS = "spdfghik"


@dataclass(frozen=True)
class Need:
    """What is asked of a backend. None, empty and False ask nothing.

    `max_angular_momentum`: highest shell in the basis (3 = f). `dtypes`: of stored integrals, all of them needed.
    `family`: of the functional ("none", "lda", "gga", "mgga"). `platform`: a JAX platform. `derivatives`: order of
    nuclear derivatives.
    """

    max_angular_momentum: int | None = None
    dtypes: tuple[str, ...] = ()
    range_separation: bool = False
    platform: str | None = None
    ecp: bool = False
    derivatives: int = 0
    fitting: bool = False
    family: str | None = None


def shortfalls(can: Capabilities, need: Need) -> list[str]:
    """Return what `need` asks and `can` does not give, one sentence part each; empty if all is covered."""
    out = []
    l, most = need.max_angular_momentum, can.max_angular_momentum
    if l is not None and most is not None and l > most:
        out.append(f"{_letter(l)} shells are asked, it goes up to {_letter(most)}")
    if can.dtypes is not None:
        absent = [dtype for dtype in need.dtypes if dtype not in can.dtypes]
        if absent:
            out.append(f"integrals in {' and '.join(absent)} are asked, it stores {' or '.join(can.dtypes)}")
    if need.range_separation and not can.range_separation:
        out.append("range-separated exchange is asked, it has no attenuated integrals")
    if need.platform is not None and need.platform not in can.platforms:
        out.append(f"platform {need.platform} is asked, it runs on {' or '.join(can.platforms)}")
    if need.family is not None and can.families is not None and need.family not in can.families:
        what = "the kinetic-energy density" if need.family == "mgga" else "density gradients"
        out.append(
            f"a functional of family {need.family} is asked ({what}), it does {', '.join(can.families)}"
        )
    if need.ecp and not can.ecp:
        out.append("effective core potentials are asked, it has none")
    if need.fitting and not can.fitting:
        out.append("density fitting is asked, it has no two- and three-index integrals")
    if need.derivatives > can.derivatives:
        out.append(
            f"nuclear derivatives of order {need.derivatives} are asked, it gives {can.derivatives} (a gradient by "
            "differences of energies needs none: scf.properties = [{ name = 'gradient', method = 'five_point' }])"
        )
    return out


def shared_out(can: Capabilities, need: Need) -> tuple[Need, Need | None]:
    """Return what is left to ask of a backend after what it borrows, and what its lender must have; None: no lender
    needed.
    """
    l, most = need.max_angular_momentum, can.max_angular_momentum
    if (
        l is not None
        and most is not None
        and l > most
        and {"one_electron", "two_electron"} <= set(can.borrows)
    ):
        own = replace(
            need, max_angular_momentum=None, ecp=False, derivatives=0, fitting=False, range_separation=False
        )
        return own, replace(need, platform=None, family=None)
    if need.ecp and not can.ecp and "one_electron" in can.borrows:
        return replace(need, ecp=False), Need(l, ecp=True, derivatives=need.derivatives)
    return need, None


def stated_by_class(backend: type[AbstractIntegralBackend]) -> Capabilities:
    """Return what a backend's marker classes say of it, without limits on what they do not speak of."""
    from scfx.contracts.backend import AbstractAttenuatedBackend, AbstractCorePotentialBackend
    from scfx.contracts.derivatives import AbstractGradientBackend
    from scfx.contracts.fitting import AbstractFittingBackend

    return Capabilities(
        platforms=("cpu", "gpu", "ipu"),
        derivatives=int(issubclass(backend, AbstractGradientBackend)),
        range_separation=issubclass(backend, AbstractAttenuatedBackend),
        fitting=issubclass(backend, AbstractFittingBackend),
        ecp=issubclass(backend, AbstractCorePotentialBackend),
        max_angular_momentum=backend.max_angular_momentum,
        borrows=backend.borrows,
    )


def disagreements(record: Capabilities, backend: type[AbstractIntegralBackend]) -> list[str]:
    """Return where the record of an offer and the marker classes of its target differ, one sentence part each."""
    own = stated_by_class(backend)
    markers = {
        "derivatives": "AbstractGradientBackend",
        "range_separation": "AbstractAttenuatedBackend",
        "fitting": "AbstractFittingBackend",
        "ecp": "AbstractCorePotentialBackend",
    }
    out = [
        f"the offer says {field}={getattr(record, field)!r} and {backend.__name__} "
        f"{'inherits' if getattr(own, field) else 'does not inherit'} from scfx.abstract.{marker}"
        for field, marker in markers.items()
        if getattr(record, field) != getattr(own, field)
    ]
    stated = ["borrows"] + ["max_angular_momentum"] * (own.max_angular_momentum is not None)
    return out + [
        f"the offer says {field}={getattr(record, field)!r} and {backend.__name__}.{field} is {getattr(own, field)!r}"
        for field in stated
        if getattr(record, field) != getattr(own, field)
    ]


def _letter(l: int) -> str:
    return _LETTERS[l] if l < len(_LETTERS) else f"l = {l}"
