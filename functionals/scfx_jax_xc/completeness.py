"""What belongs to libxc functionals whose name stands for more than libxc computes; where it is not here, they are
refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scfx.errors import RefusedNameError

if TYPE_CHECKING:
    from scfx_jax_xc.names import Sum

#: The parts of a functional -> the dispersion correction that its paper defines it with.
_WITH_DISPERSION: dict[frozenset[str], Mapping[str, Any]] = {
    # Chai, Head-Gordon, PCCP 10, 6615 (2008)
    frozenset({"hyb_gga_xc_wb97x_d"}): {"method": "chg", "functional": "wb97x-d"},
    # Lin, Li, Mao, Chai, JCTC 9, 263 (2013): D3 with zero damping
    frozenset({"hyb_gga_xc_wb97x_d3"}): {"method": "d3zero", "functional": "wb97x"},
    # Liu, Zhang, Liu, Truhlar, He, Nat. Comput. Sci. 3, 48 (2023): D3 with zero damping
    frozenset({"hyb_mgga_x_cf22d", "mgga_c_cf22d"}): {"method": "d3zero", "functional": "cf22d"},
}

_GRIMME_D = "its name includes Grimme's dispersion of 2006 (D2), which scfx has not"
_VDW = "its name includes the non-local correlation of a van der Waals density functional, which scfx has not"
_RVV10 = "its non-local correlation is rVV10, which scfx has not (it has VV10)"

#: libxc functional -> why its name cannot be given whole.
_NOT_HERE = {
    "gga_xc_b97_d": f"{_GRIMME_D}; 'b97-d3bj' and 'b97-d3zero' are its GGA with D3",
    "gga_xc_oblyp_d": _GRIMME_D,
    "gga_xc_opbe_d": f"{_GRIMME_D}; 'opbe-d3bj' is OPBE with D3",
    "gga_xc_opwlyp_d": _GRIMME_D,
    "mgga_xc_otpss_d": _GRIMME_D,
    "gga_xc_beefvdw": _VDW,
    "gga_xc_b97_3c": (
        "B97-3c is a composite: D3 with its three-body term, a correction of bond lengths and a basis set of its own "
        "belong to it; scf.level = 'b97-3c' says all of it"
    ),
    "mgga_xc_vcml_rvv10": _RVV10,
    "mgga_c_scan_rvv10": _RVV10,
    "mgga_c_scanl_rvv10": _RVV10,
}


def belonging(found: Sum) -> tuple[tuple[float, float] | None, Mapping[str, Any] | None]:
    """Return (VV10's (b, C), dispersion correction) that belong to a sum; None where there is none, or for `bare(...)`.

    Raises `RefusedNameError` for what scfx cannot give whole.
    """
    if found.bare:
        return None, None
    names = frozenset(name for name, _ in found.parts)
    whole = all(weight == 1.0 for _, weight in found.parts)
    for name in sorted(names & set(_NOT_HERE)):
        raise _refusal(found.text, f"{_NOT_HERE[name]}", name)
    for parts, dispersion in _WITH_DISPERSION.items():
        if parts == names and whole:
            return None, dispersion
        if parts & names and len(parts) == 1:
            raise _refusal(
                found.text, f"{min(parts)} has a dispersion that a sum leaves undefined", min(parts)
            )
    if not found.nonlocal_parameters:
        return None, None
    (parameters, weight), *more = found.nonlocal_parameters
    if more or weight != 1.0:
        raise _refusal(found.text, "VV10 is computed whole and once, not as a share of a sum", None)
    return parameters, None


def _refusal(text: str, why: str, name: str | None) -> RefusedNameError:
    alone = f"bare({name or text})"
    return RefusedNameError(f"functional {text!r}: {why}; '{alone}' is the libxc part alone")
