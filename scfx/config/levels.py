"""`LEVELS`: levels of theory of published datasets, and composite methods, as the keys of `[scf]` that they stand for.

A level is data. It says what the set was made with, which of its labels can be had here, and how what is computed here
differs from the original. `expanded` puts a level's keys under those that a user gives, which win.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scfx.config.spec import SCFSpec

#: The grid of Psi4's tests of composite methods.
_99_590 = {"atom_grid": [99, 590]}
_PSI4_3C = (
    "github.com/psi4/psi4, tests/pytests/test_dftd3.py, test_grimme_3c: energies by ORCA on a (400, 770) grid"
)
#: The (75, 302) grid that is Gaussian 09's default ("FineGrid") and Psi4's.
_75_302 = {"atom_grid": [75, 302]}
_GAUSSIAN_GRID = "Gaussian prunes its (75, 302) grid by a rule that is not public; here it is PySCF's pruning"
_PSI4_FITTED = (
    "Psi4 fits J and K by default; here they are exact. density_fitting = 'def2-universal-jkfit' fits them with the "
    "auxiliary basis set that Psi4 takes (float64 only)"
)


@dataclass(frozen=True)
class Level:
    """The level of theory of a published dataset, or a composite method.

    `scf`: keys of `[scf]`. `publishes`: the labels of the published set, in words; `scf["properties"]` has those of
    them that are computed on request. `absent`: those that scfx does not compute. `deviations`: how labels made here
    differ from the set's own, each a sentence. `sources`: where all this is said.
    """

    name: str
    title: str
    program: str
    scf: Mapping[str, Any]
    publishes: tuple[str, ...]
    absent: tuple[str, ...]
    deviations: tuple[str, ...]
    sources: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the level as plain data, with `costs()`."""
        return {**asdict(self), "costs": self.costs()}

    def costs(self) -> dict[str, Any]:
        """Return what a row costs: seconds of one core by SMILES, and how that was measured; {} where it was not.

        `level_costs.json` beside this file is written by benchmarks/level_costs.py.
        """
        measured = json.loads((Path(__file__).parent / "level_costs.json").read_text(encoding="utf-8"))
        seconds = measured["seconds"].get(self.name, {})
        return {"seconds": seconds, "how": measured["how"]} if seconds else {}


_ALL = (
    Level(
        name="qm1b",
        title="QM1B: B3LYP(VWN5)/STO-3G, grid level 0",
        program="PySCF-IPU",
        scf={"functional": "b3lyp5", "basis": "sto-3g", "grid": 0, "convergence": "qm1b"},
        publishes=("energy", "HOMO, LUMO and gap"),
        absent=(),
        deviations=(
            "QM1B was computed in float32; precision = 'float32' comes nearest, the default here is float64",
            "the rule of convergence bounds no residual: no forces; convergence = 'default' gives them",
        ),
        sources=(
            "Mathiasen et al., Generating QM1B with PySCF-IPU, NeurIPS 2023, arXiv:2311.01135",
            "github.com/graphcore-research/qm1b-dataset",
        ),
    ),
    Level(
        name="qm9",
        title="QM9: B3LYP/6-31G(2df,p)",
        program="Gaussian 09",
        scf={
            "functional": "b3lyp",
            "basis": "6-31g(2df,p)-qm9",
            "grid": _75_302,
            "convergence": "tight",
            "properties": ["electronic_spatial_extent"],
        },
        publishes=(
            "rotational constants",
            "dipole moment",
            "polarisability",
            "HOMO, LUMO and gap",
            "<r2>",
            "zero-point energy, U0, U, H, G and Cv",
        ),
        absent=("polarisability (the others that need a Hessian are what the task 'frequencies' gives)",),
        deviations=(
            _GAUSSIAN_GRID,
            "at QM9's own geometries, on grid level 3, total energies of 200 molecules differ from QM9's by 4.8e-6 "
            "hartree in the mean and 3.3e-5 at most (docs/measurements/functionals.md); an SCF here does not relax the "
            "geometry, the task 'optimize' does",
        ),
        sources=("Ramakrishnan, Dral, Rupp and von Lilienfeld, Sci. Data 1, 140022 (2014)",),
    ),
    Level(
        name="pcq",
        title="PubChemQC and PCQM4Mv2: B3LYP/6-31G*",
        program="GAMESS",
        scf={
            "functional": "b3lyp",
            "basis": {"name": "6-31g*", "cartesian": True},
            "grid": {"atom_grid": [96, 302]},
            "convergence": "default",
        },
        publishes=("HOMO, LUMO and gap (PCQM4Mv2: the gap)", "energy", "dipole moment", "Mulliken charges"),
        absent=("excitation energies of TDDFT",),
        deviations=(
            "GAMESS calls two functionals B3LYP: its own has VWN5, B3LYPV1R has VWN-RPA. The authors' scripts of "
            "2018 and later say B3LYPV1R, which is 'b3lyp' here; for inputs that say B3LYP take functional = 'b3lyp5'",
            "GAMESS's grid of 96 shells and 302 points is not pruned alike",
        ),
        sources=(
            "Nakata and Shimazaki, J. Chem. Inf. Model. 57, 1300 (2017)",
            "Nakata and Maeda, J. Chem. Inf. Model. 63, 5734 (2023), arXiv:2305.18454",
            "github.com/nakatamaho/pubchemqc_b3lyp_pm6 (DFTTYP=B3LYPV1R, GBASIS=N31 NGAUSS=6 NDFUNC=1)",
        ),
    ),
    Level(
        name="ani",
        title="ANI-1x: wB97X/6-31G*",
        program="Gaussian 09",
        scf={
            "functional": "wb97x",
            "basis": "6-31g*",
            "grid": _75_302,
            "convergence": "forces",
            "properties": ["gradient", "quadrupole", "hirshfeld_charges"],
        },
        publishes=(
            "energy",
            "forces",
            "dipole and quadrupole moment",
            "Hirshfeld and CM5 charges",
            "at other levels: MBIS multipoles (wB97X/def2-TZVPP), CCSD(T) energies (ANI-1ccx)",
        ),
        absent=("CM5 charges",),
        deviations=(
            _GAUSSIAN_GRID,
            "forces here follow the grid, so that they sum to zero; ANI-1x's miss by 33 meV/angstrom a component in "
            "the mean (arXiv:2510.19774)",
        ),
        sources=(
            "Smith, Nebgen, Lubbers, Isayev and Roitberg, J. Chem. Phys. 148, 241733 (2018)",
            "Smith et al., Sci. Data 7, 134 (2020)",
        ),
    ),
    Level(
        name="nabla",
        title="nablaDFT: wB97X-D/def2-SVP",
        program="Psi4",
        scf={
            "functional": "wb97x-d",
            "basis": "def2-svp",
            "grid": _75_302,
            "convergence": "forces",
            "properties": ["gradient"],
        },
        publishes=("energy", "forces", "Fock (Hamiltonian) and overlap matrix", "HOMO, LUMO and gap"),
        absent=(),
        deviations=(
            _PSI4_FITTED,
            "the matrices are nao by nao numbers a row: ask for them by properties = ['gradient', 'fock_matrix', "
            "'overlap_matrix'], in the order of AOs that docs/python-api.md states, which is not Psi4's",
            "nablaDFT converges energy and density to 1e-6, this to 1e-9 hartree and a residual of 1e-8",
        ),
        sources=(
            "Khrabrov et al., Phys. Chem. Chem. Phys. 24, 25853 (2022)",
            "Khrabrov et al., nabla2DFT, NeurIPS 2024, arXiv:2406.14347",
        ),
    ),
    Level(
        name="spice",
        title="SPICE: wB97M-D3(BJ)/def2-TZVPPD",
        program="Psi4 1.4.1",
        scf={
            "functional": "wb97m-d3bj",
            "basis": "def2-tzvppd",
            "grid": _75_302,
            "convergence": "forces",
            "properties": ["gradient", "quadrupole", "mbis_charges", "bond_orders", "wiberg_bond_orders"],
        },
        publishes=(
            "energy and formation energy",
            "gradient",
            "dipole and quadrupole moment",
            "MBIS charges and multipoles",
            "Mayer and Wiberg bond orders",
        ),
        absent=("MBIS dipoles, quadrupoles and octupoles",),
        deviations=(
            _PSI4_FITTED,
            "the submissions state no grid, so it is Psi4's default; SPICE's forces miss by 1.7 meV/angstrom a "
            "component in the mean (arXiv:2510.19774)",
        ),
        sources=(
            "Eastman et al., Sci. Data 10, 11 (2023), doi:10.1038/s41597-022-01882-6",
            "github.com/openforcefield/qca-dataset-submission, the SPICE submissions (method, basis, SCF properties)",
        ),
    ),
    Level(
        name="omol25",
        title="OMol25: wB97M-V/def2-TZVPD",
        program="ORCA 6",
        scf={
            "functional": "wb97m-v",
            "basis": "def2-tzvpd",
            "grid": {"atom_grid": [99, 590]},
            "nonlocal_grid": 1,
            "convergence": "forces",
            "properties": [
                "gradient",
                "quadrupole",
                "mulliken_charges",
                "loewdin_charges",
                "spin_populations",
            ],
        },
        publishes=(
            "energy",
            "forces",
            "Mulliken and Loewdin charges and spins",
            "dipole and quadrupole moment",
            "HOMO, LUMO and gap",
            "of many rows NBO charges",
        ),
        absent=("NBO charges",),
        deviations=(
            "ORCA fits J (RI-J, def2/J) and integrates K on a grid of its own (RIJCOSX), which leaves net forces; here "
            "both are replaced by exact J and K. density_fitting = { basis = 'def2-universal-jkfit', fitted = 'j' } "
            "fits J alone (float64 only)",
            "DEFGRID3 adapts to the atom and ends at 590 angular points; here it is 99 shells of at most 590 points, "
            "pruned",
            "VV10 is in the SCF here, on its own grid (nonlocal_grid); ORCA's keyword SCNL, which does the same, is "
            "not in the published input",
        ),
        sources=(
            "Levine et al., The Open Molecules 2025 dataset, arXiv:2505.08762",
            "fairchem, omdata/orca/calc.py: wB97M-V, def2-TZVPD, EnGrad RIJCOSX def2/J NoUseSym DIIS NOSOSCF "
            "NormalConv DEFGRID3 ALLPOP; %scf Convergence Tight",
        ),
    ),
    Level(
        name="r2scan-3c",
        title="r2SCAN-3c, a composite method: r2SCAN, D4 and gCP, def2-mTZVPP",
        program="ORCA",
        scf={
            "functional": "r2scan-d4-gcp",
            "basis": "def2-mtzvpp",
            "grid": _99_590,
            "convergence": "forces",
        },
        publishes=(),
        absent=(),
        deviations=(
            "ORCA and Psi4 fit J; here it is exact. With density_fitting = 'def2-universal-jkfit' the energy of water "
            "is within 1e-6 hartree of the one in Psi4's tests, without it within 4e-5",
        ),
        sources=(
            "Grimme, Hansen, Ehlert and Mewes, J. Chem. Phys. 154, 064103 (2021)",
            "github.com/psi4/psi4, tests/gcp/r2scan3c",
        ),
    ),
    Level(
        name="b97-3c",
        title="B97-3c, a composite method: a B97 GGA, D3, def2-mTZVP",
        program="ORCA",
        scf={
            "functional": "b97-d3-srb",
            "basis": "def2-mtzvp",
            "grid": _99_590,
            "convergence": "forces",
        },
        publishes=(),
        absent=(),
        deviations=(
            "ORCA and Psi4 fit J; here it is exact. The energy of ethyne is within 5e-6 hartree of ORCA's without "
            "fitting",
            "the functional is libxc's, through the package jax-xc",
        ),
        sources=(
            "Brandenburg, Bannwarth, Hansen and Grimme, J. Chem. Phys. 148, 064104 (2018)",
            _PSI4_3C,
        ),
    ),
    Level(
        name="wb97x-3c",
        title="wB97X-3c, a composite method: wB97X-V with D4, vDZP",
        program="ORCA",
        scf={
            "functional": "wb97x-d4-3c",
            "basis": "grimme-vdzp",
            "grid": _99_590,
            "convergence": "forces",
        },
        publishes=(),
        absent=(),
        deviations=(
            "ORCA fits J and integrates K on a grid (RIJCOSX); here both are exact. The energy of ethyne is within "
            "3e-6 hartree of ORCA's without these approximations",
            "vDZP has core potentials from boron on: total energies are those of the valence electrons, which no other "
            "level shares",
        ),
        sources=(
            "Mueller, Hansen and Grimme, J. Chem. Phys. 158, 014103 (2023)",
            _PSI4_3C,
        ),
    ),
)

#: By name: datasets in the order of their age, then composite methods.
LEVELS: Mapping[str, Level] = {level.name: level for level in _ALL}


def level_name(value: Any) -> str | None:
    """Return the key of `LEVELS` that a value means, case-free; `ValueError` with what there is."""
    if value is None:
        return None
    name = value.strip().casefold() if isinstance(value, str) else value
    if name in LEVELS:
        return name
    near = get_close_matches(str(name), LEVELS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"there is no level of that name; {hint}(levels: {', '.join(LEVELS)})")


def expanded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` over the keys of the level that they name, which stays in them; as they are if they name none.

    A key that is given replaces the level's, but a table for `convergence` without a preset begins from the level's.
    """
    try:
        name = level_name(values.get("level"))
    except (ValueError, TypeError):  # said of the key itself by its own validator
        name = None
    if name is None:
        return dict(values)
    level, given = LEVELS[name], dict(values)
    own = given.get("convergence")
    if isinstance(own, Mapping) and not {"preset", "rule"} & set(own):
        given["convergence"] = {"preset": level.scf["convergence"], **own}
    return {**level.scf, **given}


def stated(spec: SCFSpec) -> dict[str, Any]:
    """Return what a result says of its level: the name, the keys that were changed, and the merged `[scf]`; {} without
    one.
    """
    if spec.level is None:
        return {}
    level = LEVELS[spec.level]
    plain = type(spec).create(level.scf)
    changed = [key for key in level.scf if getattr(spec, key) != getattr(plain, key)]
    shown = spec.model_dump(mode="json", exclude={"threads", "memory_budget", "lane_width", "device"})
    return {"level": spec.level, "level_changed": changed, "scf": shown}
