"""Which functional's parameters a corrected name asks simple-dftd3 and dftd4 for, and in their words."""

from __future__ import annotations

#: (key of the functional in the name, method) -> the functional that was published with that correction.
MADE_FOR = {
    # Grimme, Ehrlich, Goerigk, J. Comput. Chem. 32, 1456 (2011): the GGA of B97-D, with D3 for D2.
    ("b97", "d3bj"): "bare(gga_xc_b97_d)",
    ("b97", "d3zero"): "bare(gga_xc_b97_d)",
    **{("b97d", method): "bare(gga_xc_b97_d)" for method in ("d3bj", "d3zero", "d4")},
    ("ggaxcb97d", "d4"): "bare(gga_xc_b97_d)",
    # Lin, Li, Mao, Chai, JCTC 9, 263 (2013).
    ("wb97x", "d3zero"): "bare(wb97x-d3)",
    # Najibi, Goerigk, JCTC 14, 5725 (2018) and J. Comput. Chem. 41, 2562 (2020): D3(BJ) or D4 for VV10.
    ("wb97x", "d3bj"): "bare(wb97x-v)",
    ("wb97x", "d4"): "bare(wb97x-v)",
    ("wb97m", "d3bj"): "bare(wb97m-v)",
    ("wb97m", "d4"): "bare(wb97m-v)",
    ("b97m", "d3bj"): "bare(mgga_xc_b97m_v)",
    ("b97m", "d4"): "bare(mgga_xc_b97m_v)",
}

#: Key of a name that the libraries do not know -> their name for it.
_THEIRS = {
    "b88,lyp": "blyp", "b88,p86": "bp86", "b88,pbe": "bpbe", "b88b95": "b1b95", "b3lypvwn5": "b3lyp",
    "b3lypv5": "b3lyp", "b3lypvwnrpa": "b3lyp", "bhhlyp": "bhlyp", "hartreefock": "hf", "hseh1pbe": "hse06",
    "mpw91": "mpwpw", "mpwpw91": "mpwpw", "pbe,pbe": "pbe", "pbe1pbe": "pbe0", "pbepbe": "pbe", "pw91pw91": "pw91",
    "r2scan,r2scan": "r2scan", "revpbepbe": "revpbe", "rpbe,pbe": "rpbe", "rpbepbe": "rpbe", "scan,scan": "scan",
    "scf": "hf", "tpss,tpss": "tpss", "tpsstpss": "tpss",
}  # fmt: skip
_THEIRS_D3 = {"b97": "b97d"}
_THEIRS_D4 = {
    "b3lypg": "b3lyp", "b3lyp5": "b3lyp", "bhandhlyp": "bhlyp", "mpw1pw": "mpw1pw91",
    "pbeh": "pbe0",
}  # fmt: skip
#: How the libraries (D3's all, D4's these few) and definitions so far write names with a hyphen.
_HYPHENATED_D4 = {"camb3lyp": "cam-b3lyp", "lcwpbe": "lc-wpbe", "mn12sx": "mn12-sx"}
_HYPHENATED_D3 = (
    _HYPHENATED_D4
    | {"b3lypg": "b3lyp"}
    | {
        name.replace("-", ""): name
        for name in (
            *(
                "b97-1",
                "b97-2",
                "b97-d",
                "hcth-120",
                "hcth-407",
                "m05-2x",
                "m06-2x",
                "m06-hf",
                "m06-l",
                "m11-l",
            ),
            *("mn12-l", "mn15-l", "n12-sx"),
        )
    }
)


def parameters(key: str, written: str, method: str) -> str:
    """Return the libraries' name of the functional.

    A name is passed as it was written with its hyphen or without: definitions (and hashes of labels) have had it so
    since before names had a grammar. Every other spelling gives the name with its hyphen.
    """
    d4 = method == "d4"
    theirs = (_THEIRS | (_THEIRS_D4 if d4 else _THEIRS_D3)).get(key)
    if theirs is not None:
        return theirs
    if written.startswith(("lda_", "gga_", "mgga_", "hyb_")):
        return written  # dftd4 knows libxc's identifiers
    hyphenated = (_HYPHENATED_D4 if d4 else _HYPHENATED_D3).get(key, key)
    return written if written in (key, hyphenated) else hyphenated
