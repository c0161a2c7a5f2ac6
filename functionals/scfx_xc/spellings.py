"""Names that programs have for scfx_xc's functionals, besides spellings that differ in case and separators only."""

from __future__ import annotations

#: Name elsewhere -> offer. Gaussian writes exchange and correlation one after the other.
SPELLINGS = {
    "b3lyp(vwn5)": "b3lyp5",
    "b3lyp-v5": "b3lyp5",
    "b3lyp(vwn-rpa)": "b3lyp",
    "bhh-lyp": "bhandhlyp",
    "bh-lyp": "bhandhlyp",
    "hartree-fock": "hf",
    "hfs": "lda",
    "hseh1pbe": "hse06",
    "m06l-m06l": "m06-l",
    "pbe-pbe": "pbe",
    "revpbe-pbe": "revpbe",
    "rpbe-pbe": "rpbe",
    "scf": "hf",
    "svwn-5": "svwn",
    "tpss-tpss": "tpss",
}
