"""Functionals that the field has one name for and libxc two parts, or another name.

Compositions are in libxc's identifiers. Each name is here with the separators that its paper or a program writes;
others do not matter. Names that PySCF has already (`b97-3`, `olyp`, `m06`) are not repeated here.
"""

from __future__ import annotations

#: Exchange and correlation of one paper, under one name.
_PAIRS = {
    "am05": "gga_x_am05,gga_c_am05",
    "apbe": "gga_x_apbe,gga_c_apbe",
    "bmk": "hyb_mgga_x_bmk,gga_c_bmk",
    "m08-hx": "hyb_mgga_x_m08_hx,mgga_c_m08_hx",
    "m08-so": "hyb_mgga_x_m08_so,mgga_c_m08_so",
    "m11": "hyb_mgga_x_m11,mgga_c_m11",
    "pbefe": "gga_x_pbefe,gga_c_pbefe",
    "pbeint": "gga_x_pbeint,gga_c_pbeint",
    "pbe-mol": "gga_x_pbe_mol,gga_c_pbe_mol",
    "r2scan01": "mgga_x_r2scan01,mgga_c_r2scan01",
    "revm06": "hyb_mgga_x_revm06,mgga_c_revm06",
    "revm06-l": "mgga_x_revm06_l,mgga_c_revm06_l",
    "revm11": "hyb_mgga_x_revm11,mgga_c_revm11",
    "revtm": "mgga_x_revtm,mgga_c_revtm",
    "rge2": "gga_x_rge2,gga_c_rge2",
    "rppscan": "mgga_x_rppscan,mgga_c_rppscan",
    "sg4": "gga_x_sg4,gga_c_sg4",
    "tau-hcth": "mgga_x_tau_hcth,gga_c_tau_hcth",
    "tau-hcthhyb": "hyb_mgga_x_tau_hcth,gga_c_hyb_tau_hcth",
    "tm": "mgga_x_tm,mgga_c_tm",
    "vsxc": "mgga_x_gvt4,mgga_c_vsxc",
    "xpbe": "gga_x_xpbe,gga_c_xpbe",
}

#: Gaussian's names: exchange and correlation one after the other, and hybrids in the same way.
_GAUSSIAN = {
    "bpw91": "gga_x_b88,gga_c_pw91",
    "g96lyp": "gga_x_g96,gga_c_lyp",
    "g96pbe": "gga_x_g96,gga_c_pbe",
    "g96pw91": "gga_x_g96,gga_c_pw91",
    "mpw1pw91": "hyb_gga_xc_mpw1pw",
    "mpwlyp": "gga_x_mpw91,gga_c_lyp",
    "mpwpbe": "gga_x_mpw91,gga_c_pbe",
    "mpwpw": "gga_x_mpw91,gga_c_pw91",
    "mpwpw91": "gga_x_mpw91,gga_c_pw91",
    "ohse2pbe": "hyb_gga_xc_hse03",
    "pbelyp": "gga_x_pbe,gga_c_lyp",
    "pbepw91": "gga_x_pbe,gga_c_pw91",
    "pkzbpkzb": "mgga_x_pkzb,mgga_c_pkzb",
    "pw91lyp": "gga_x_pw91,gga_c_lyp",
    "pw91pbe": "gga_x_pw91,gga_c_pbe",
    "pw91pw91": "gga_x_pw91,gga_c_pw91",
    "revtpssrevtpss": "mgga_x_revtpss,mgga_c_revtpss",
    "thcth": "mgga_x_tau_hcth,gga_c_tau_hcth",
    "thcthhyb": "hyb_mgga_x_tau_hcth,gga_c_hyb_tau_hcth",
}

#: Other programs' names for functionals that libxc names otherwise.
_OTHERS = {
    "b3lyp*": "hyb_gga_xc_b3lyps",
    "mpw1pw": "hyb_gga_xc_mpw1pw",
    "pw86pbe": "gga_x_pw86,gga_c_pbe",
    "rpw86pbe": "gga_x_rpw86,gga_c_pbe",
}

#: Spelling -> libxc's functionals, "exchange,correlation" or one.
COMPOSITIONS = {**_PAIRS, **_GAUSSIAN, **_OTHERS}
