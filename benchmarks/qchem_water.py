"""Water with 75 functionals against Q-Chem: which agree, and which two programs define otherwise under one name.

    python benchmarks/qchem_water.py [--points 200 590] [--only B1LYP PW91]

Q-Chem 4.4 outputs recorded by Psi4's developers (github:psi4/psi4@886caaa, tests/pytests/data_dft-bench/
qchem_water_data.tar): 6-31G, unpruned (200,590) grid. Prints scfx minus Q-Chem and what that says: the same definition
(below 1e-6 hartree; below 1e-5 for forms with tau or B97's series, where programs' grids and thresholds show), or
another. Native functionals by their names, the others by libxc on the host. Left out of the 85 published: what libxc
has not or scfx cannot (B3TLAP, LRC-BOP, LC-VV10, VV10, B97M-V), and what comes with a dispersion that is not among
those of scfx (B97-D, B97-D3, dlDF, wM05-D, wM06-D3).

Where constants of another source are known to make the difference, a second line has them: PW91's exchange with the
parameters of libxc's `gga_x_pw91_mod`, SOGGA11's correlation with PBE's beta = 0.0667246 in the place of 0.0667263,
and the exchange of M08 and M11 with mu = beta pi^2/3 = 0.219515 in the place of the printed 0.21951.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from scfx_jax_xc.kernels import formula

import scfx

WATER = (
    ["O", "H", "H"],
    [[-1.551007, -0.11452, 0.0], [-1.934259, 0.762503, 0.0], [-0.599677, 0.040712, 0.0]],
)
#: Below the first: the same; below the second: the same form, other grids or thresholds; above: another definition.
SAME, NEARLY = 1e-6, 1e-5

#: Q-Chem's name: (name in scfx or libxc, its energy in hartree).
PUBLISHED = {
    "B1B95": ("hyb_mgga_xc_b88b95", -76.3542909285),
    "B1LYP": ("b1lyp", -76.353775513),
    "B1PW91": ("hyb_gga_xc_b1pw91", -76.3662735666),
    "B3P86": ("hyb_gga_xc_b3p86", -76.4018451142),
    "B3PW91": ("hyb_gga_xc_b3pw91", -76.3574933252),
    "B5050LYP": ("hyb_gga_xc_b5050lyp", -76.3352092048),
    "B97-1": ("hyb_gga_xc_b97_1", -76.3600126249),
    "B97-2": ("hyb_gga_xc_b97_2", -76.3592390011),
    "B97-3": ("hyb_gga_xc_b97_3", -76.365757473),
    "B97-K": ("hyb_gga_xc_b97_k", -76.3532885259),
    "B97": ("hyb_gga_xc_b97", -76.3583049672),
    "BB1K": ("hyb_mgga_xc_bb1k", -76.3484183323),
    "BHHLYP": ("bhandhlyp", -76.3431790184),
    "BMK": ("hyb_mgga_x_bmk, gga_c_bmk", -76.3477995384),
    "BOP": ("gga_x_b88, gga_c_op_b88", -76.3655205429),
    "BP86": ("bp86", -76.3853464707),
    "BP86VWN": ("gga_x_b88, gga_c_p86vwn_ft", -76.3897099046),
    "EDF1": ("gga_xc_edf1", -76.3971372179),
    "EDF2": ("hyb_gga_xc_edf2", -76.3450487085),
    "GAM": ("gga_x_gam, gga_c_gam", -76.351646627),
    "HCTH93": ("gga_xc_hcth_93", -76.3690959506),
    "HCTH120": ("gga_xc_hcth_120", -76.3756781889),
    "HCTH147": ("gga_xc_hcth_147", -76.3795700801),
    "HCTH407": ("gga_xc_hcth_407", -76.3751427842),
    "LRC-wPBE": ("hyb_gga_xc_lrc_wpbe", -76.3231977319),
    "LRC-wPBEh": ("hyb_gga_xc_lrc_wpbeh", -76.3105124439),
    "M05-2X": ("hyb_mgga_x_m05_2x, mgga_c_m05_2x", -76.3685940515),
    "M05": ("hyb_mgga_x_m05, mgga_c_m05", -76.3495839034),
    "M06-HF": ("hyb_mgga_x_m06_hf, mgga_c_m06_hf", -76.3438580561),
    "M06-L": ("m06-l", -76.3773597),
    "M06": ("hyb_mgga_x_m06, mgga_c_m06", -76.3513036943),
    "M08-HX": ("hyb_mgga_x_m08_hx, mgga_c_m08_hx", -76.349820226),
    "M08-SO": ("hyb_mgga_x_m08_so, mgga_c_m08_so", -76.3328381854),
    "M11-L": ("mgga_x_m11_l, mgga_c_m11_l", -76.3634719346),
    "M11": ("hyb_mgga_x_m11, mgga_c_m11", -76.3548246737),
    "MGGA_MS0": ("mgga_x_ms0, gga_c_regtpss", -76.3994320535),
    "MGGA_MS1": ("mgga_x_ms1, gga_c_regtpss", -76.3863611957),
    "MGGA_MS2": ("mgga_x_ms2, gga_c_regtpss", -76.3943498117),
    "MGGA_MS2h": ("hyb_mgga_x_ms2h, gga_c_regtpss", -76.3874519076),
    "MGGA_MVS": ("mgga_x_mvs, gga_c_regtpss", -76.3432912834),
    "MGGA_MVSh": ("hyb_mgga_x_mvsh, gga_c_regtpss", -76.3375136868),
    "MN12-L": ("mgga_x_mn12_l, mgga_c_mn12_l", -76.3121263959),
    "MN12-SX": ("hyb_mgga_x_mn12_sx, mgga_c_mn12_sx", -76.3292426233),
    "MN15-L": ("mgga_x_mn15_l, mgga_c_mn15_l", -76.3003777073),
    "MPW1B95": ("hyb_mgga_xc_mpw1b95", -76.3509384412),
    "MPW1K": ("hyb_gga_xc_mpw1k", -76.3571352506),
    "MPW1LYP": ("hyb_gga_xc_mpw1lyp", -76.3515538422),
    "MPW1PBE": ("hyb_gga_xc_mpw1pbe", -76.3399258699),
    "MPW1PW91": ("hyb_gga_xc_mpw1pw", -76.3639997875),
    "MPWB1K": ("hyb_mgga_xc_mpwb1k", -76.3458871109),
    "N12-SX": ("hyb_gga_x_n12_sx, gga_c_n12_sx", -76.3362254975),
    "N12": ("gga_x_n12, gga_c_n12", -76.3313530822),
    "O3LYP": ("hyb_gga_xc_o3lyp", -76.3594550251),
    "PBE50": ("0.5*hf + 0.5*pbe, pbe", -76.3045269871),
    "PBEOP": ("gga_x_pbe, gga_c_op_pbe", -76.3113060897),
    "PBEsol": ("pbesol", -76.0376457772),
    "PKZB": ("mgga_x_pkzb, mgga_c_pkzb", -76.2392402265),
    "PW6B95": ("hyb_mgga_xc_pw6b95", -76.4636801397),
    "PW91": ("gga_x_pw91, gga_c_pw91", -76.3556764834),
    "PWB6K": ("hyb_mgga_xc_pwb6k", -76.409863593),
    "SCAN0": ("scan0", -76.3393392953),
    "SOGGA11-X": ("hyb_gga_x_sogga11_x, gga_c_sogga11_x", -76.3579662706),
    "SOGGA11": ("gga_x_sogga11, gga_c_sogga11", -76.3728240224),
    "SOGGA": ("gga_x_sogga, gga_c_pbe", -75.9775522776),
    "TPSSh": ("tpssh", -76.3806321561),
    "VSXC": ("mgga_x_gvt4, mgga_c_vsxc", -76.4031806261),
    "X3LYP": ("hyb_gga_xc_x3lyp", -76.3550695373),
    "revPBE0": ("0.25*hf + 0.75*gga_x_pbe_r, gga_c_pbe", -76.3469704408),
    "revPBE": ("revpbe", -76.3594661693),
    "revTPSS": ("mgga_x_revtpss, mgga_c_revtpss", -76.3563235056),
    "revTPSSh": ("hyb_mgga_xc_revtpssh", -76.353009954),
    "t-HCTH": ("mgga_x_tau_hcth, gga_c_tau_hcth", -76.3695334542),
    "t-HCTHh": ("hyb_mgga_x_tau_hcth, gga_c_hyb_tau_hcth", -76.3688723507),
    "wB97X-D3": ("wb97x-d3", -76.3631809917),
    "wB97": ("wb97", -76.3679448108),
}


#: The same functionals with the constants that Q-Chem seems to have: (what is changed, functional).
ALTERNATIVES = {
    "PW91": ("the other parameters", "gga_x_pw91_mod, gga_c_pw91"),
    "X3LYP": (
        "PW91 with the other parameters",
        "0.218*hf + 0.073*lda_x + 0.542385*gga_x_b88 + 0.166615*gga_x_pw91_mod, 0.129*lda_c_vwn_rpa + 0.871*gga_c_lyp",
    ),
    "SOGGA11": ("beta = 0.0667246", "gga_x_sogga11, gga_c_sogga11"),
    "SOGGA11-X": ("beta = 0.0667246", "hyb_gga_x_sogga11_x, gga_c_sogga11_x"),
    "M08-HX": ("mu = beta pi^2/3", "hyb_mgga_x_m08_hx, mgga_c_m08_hx"),
    "M08-SO": ("mu = beta pi^2/3", "hyb_mgga_x_m08_so, mgga_c_m08_so"),
    "M11": ("mu = beta pi^2/3", "hyb_mgga_x_m11, mgga_c_m11"),
}
_BETA = 0.06672455060314922
#: Constants of jax-xc's formulas, and what is put in their places: mu/24 and beta/96.
CONSTANTS = {
    "mgga_x_m08": ("0.914625e-2", math.pi**2 * _BETA / 3 / 24),
    "mgga_x_m11": ("0.914625e-2", math.pi**2 * _BETA / 3 / 24),
    "gga_c_sogga11": ("0.69506584583333333332e-3", _BETA / 96),
}


def _change_constants() -> None:
    """In this process, as formulas are read anew by each."""
    for name, (printed, value) in CONSTANTS.items():
        module = formula(name)
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        if printed not in source:
            raise SystemExit(f"{printed} is not in jax-xc's {name}")
        exec(compile(source.replace(printed, repr(value)), name, "exec"), module.__dict__)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", nargs=2, type=int, default=(200, 590), metavar=("RADIAL", "ANGULAR"))
    parser.add_argument("--only", nargs="+", choices=PUBLISHED, default=list(PUBLISHED))
    arguments = parser.parse_args()
    registry = scfx.Registry.discover()
    water = scfx.System.from_arrays(*WATER)
    print("| Q-Chem | scfx | scfx minus Q-Chem / hartree | definition |")
    print("|---|---|---|---|")
    counts = {"the same": 0, "nearly": 0, "another": 0}

    def difference(functional: Any, published: float) -> float:
        result = scfx.solve(
            water, functional=functional, basis="6-31g", backend="simd",
            grid={"atom_grid": list(arguments.points), "prune": False}, threads=1, registry=registry,
        )  # fmt: skip
        return float(result.raise_for_status().energy[0]) - published

    for name in arguments.only:
        ours, published = PUBLISHED[name]
        libxc = "_" in ours or "," in ours
        found = difference({"name": "libxc", "xc": ours} if libxc else ours, published)
        verdict = "the same" if abs(found) < SAME else "nearly" if abs(found) < NEARLY else "another"
        counts[verdict] += 1
        print(f"| {name} | `{ours}` | {found:+.1e} | {verdict} |", flush=True)
    print("; ".join(f"{number} {verdict}" for verdict, number in counts.items()))
    _change_constants()
    for name in arguments.only:
        if name in ALTERNATIVES:
            changed, ours = ALTERNATIVES[name]
            found = difference(ours, PUBLISHED[name][1])
            print(f"| {name}, {changed} | `{ours}` | {found:+.1e} | |", flush=True)


if __name__ == "__main__":
    main()
