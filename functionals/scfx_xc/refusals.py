"""Names that scfx knows and refuses: what they stand for is not here, or is not one thing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scfx.registry.spelling import spelling_key

_DOUBLE_HYBRID = (
    "is a double hybrid: second-order perturbation theory belongs to it, which scfx does not compute"
)
_COMPOSITE = (
    "is a composite method: a basis set and corrections of its own belong to it, which a functional cannot choose; "
    "scf.level = 'r2scan-3c', 'b97-3c' or 'wb97x-3c' says all of it; others are not built: state a functional, a "
    "dispersion correction and a basis set by themselves"
)
_WAVE_FUNCTION = "is no density functional; scfx computes Hartree-Fock ('hf') and Kohn-Sham energies"
_VDW_DF = (
    "has the non-local correlation of a van der Waals density functional; scfx has VV10 ('wb97m-v', 'b97m-v')"
)

#: By the key of the whole name.
_PATTERNS = (
    (
        r"(rev|x|nox|sos|scs|noxrev)*(dsd|dod)[a-z0-9,]*"
        r"|(w|un|sos|scs|b2|mpw2|sospbe|rs)*(b2|b2gp|b2k|b2t|b2gpp|b2pi|b2nc|mpw2|mpw2k)plyp(d|d2|d3|d3bj|d4)?"
        r"|(pbe0?|tpss0?|scan0?|r2scan0?|rsx|rsx0|xpbe|lc|spbe|sos\w*)(dh|0dh|2|02|qidh|cidh)|xdhpbe0|pwpb95|ptpss|pwrb95"
        r"|xygj?(3|5|6|7|os|lr\w*)|lrcxygjos|wb97x2(lp|tqz)?|wb97m\(?2\)?|[wk]?pr2scan\d\d|ls1dh|1dhblyp|mc3bb|mc3mpw|dh\w*\d\d",
        _DOUBLE_HYBRID,
    ),
    (r"[a-z0-9]+3c", _COMPOSITE),
    (r"(ri|df|scs|sos|dlpno|u|r|ro)*(mp[234]|mp25|ccsdt?|cisd|cc[23]|casscf|nevpt2|caspt2|rpa)", _WAVE_FUNCTION),
    (r"(gfn[012x]?n?)?xtb[0-9]*|gfnff|am1|pm[367]|dftb[23]?", _WAVE_FUNCTION),
    (r"(c?vdwdf[12]?(cx)?|opt(pbe|b88|b86b)vdw|rev\w*vdwdf2|beefvdw\+?)", _VDW_DF),
)  # fmt: skip

_NAMES = {
    "lsda": (
        "is local exchange with VWN's third functional in Gaussian and with their fifth in most other programs; choose "
        "'svwn' (VWN5), 'svwn3' (VWN-RPA), 'spw92', or 'lda' for exchange alone"
    ),
    "lsd": "leaves open which local correlation is meant; choose 'svwn' (VWN5), 'svwn3' (VWN-RPA) or 'spw92'",
    "hse": "leaves open which functional of Heyd, Scuseria and Ernzerhof is meant; choose 'hse06' or 'hse03'",
    "hcth": "leaves open which fit of HCTH is meant; choose 'hcth-93', 'hcth-120', 'hcth-147' or 'hcth-407'",
    "bp": "leaves open what it corrects; choose 'bp86'",
    "xalpha": "leaves open which coefficient is meant; for alpha = 0.7 write '1.05*slater,'",
    "apfd": "is APF with a dispersion correction of its own, which scfx has not; 'apf' is the functional alone",
    "ssbd": "has a dispersion correction of its own, which scfx has not",
    "revssbd": "has a dispersion correction of its own, which scfx has not",
    "dft": "names no functional; choose one, for instance 'b3lyp', 'pbe0' or 'wb97m-v'",
    "ks": "names no functional; choose one, for instance 'b3lyp', 'pbe0' or 'wb97m-v'",
}
_NAMES |= {"xa": _NAMES["xalpha"]}

#: Prefixes by which Gaussian says the reference.
_REFERENCES = {"ro": "restricted-open", "u": "unrestricted", "r": "restricted"}


def refusal(key: str) -> str | None:
    """Return why the name with this key cannot be computed; None if scfx does not know it as such a name."""
    if key in _NAMES:
        return _NAMES[key]
    for pattern, reason in _PATTERNS:
        if re.fullmatch(pattern, key):
            return reason
    return None


def references(key: str, known: set[str]) -> Iterator[tuple[str, str]]:
    """Yield (name, scf.reference) if the key is a known functional with R, U or RO before it."""
    for prefix, reference in _REFERENCES.items():
        rest = key.removeprefix(prefix)
        if rest != key and rest in known and key not in _NOT_PREFIXED:
            yield rest, reference


#: libxc has functionals whose names begin like that.
_NOT_PREFIXED = {spelling_key(name) for name in ("rscan", "rcam-b3lyp")}
