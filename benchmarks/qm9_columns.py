"""All columns of QM9 from SMILES, against QM9's own records: MAE and worst of each, molecule by molecule.

    python benchmarks/qm9_columns.py QM9.parquet OUT.jsonl [--from 0] [--count 50] [--heavy 7] [--hours 1]
                                     [--pick 11 712] [--table TABLE.md]

QM9.parquet: columns idx, smiles_gdb, z, pos (angstrom), mu, alpha, homo, lumo, gap, r2, zpve, u0, u298, h298, g298, cv,
in QM9's units. Molecules are numbered by their heavy atoms, then by their index: `--count` of them are taken from
number `--from` on, or those with the numbers of `--pick`, in that order. Each is a line of OUT.jsonl, written whole
when it is done. A run may be cut at any moment: the next one passes over what is there (a line that was cut is made
again), and so several runs of other molecules can share the file, one after another. Set JAX_COMPILATION_CACHE_DIR,
and what one run has compiled serves the next. `--hours` stops before a molecule that would begin after that time. The
table is of all lines of the file; `--count 0` only makes the table.

For each: SMILES -> ETKDG conformers, MMFF -> the conformer whose relaxed geometry is to be QM9's -> gau_tight ->
Hessian, polarizability, <r2>. QM9's geometry says which conformer that is: of the MMFF conformers the one with the
smallest RMSD of all atoms (best mapping of like atoms, mirror images allowed, `rdMolAlign.GetBestRMS`) to QM9's
geometry is relaxed. It is the same conformer where the relaxed one is within 0.1 angstrom of it by that measure; others
are counted and left out of the table. QM9's geometry itself is never an input of the calculation.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem, rdDetermineBonds, rdMolAlign
from rdkit.Geometry import Point3D
from scfx_geometry.frequencies import frequencies
from scfx_geometry.isotopes import commonest_isotope_masses
from scfx_geometry.relax import relax
from scfx_geometry.rotor import rotational_constants

import scfx
from scfx.model.system import DIPOLE_AU_IN_DEBYE

LEVEL = {
    "functional": "b3lyp",
    "basis": "6-31g(2df,p)-qm9",
    "precision": "mixed",
    "grid": 3,
    "threads": 1,
    "convergence": "forces",
    # No label depends on it; fewer lanes need less memory.
    "lane_width": 8,
}
SAME_CONFORMER = 0.1  # angstrom
KELVIN_IN_HARTREE = 3.166811563e-6
KCAL = 627.5094740631
CM1_IN_KCAL = 2.859144e-3
#: Those that the number of vibrations enters.
THERMAL = ("ZPVE", "U0", "U", "H", "G", "G, with QM9's symmetry number", "Cv")
#: Column: what it is measured in, and by how much QM9's printed digits round it.
COLUMNS = {
    "E = U0 - ZPVE": ("hartree", 1e-6),
    "ZPVE": ("kcal/mol", 5e-7 * KCAL),
    "U0": ("hartree", 5e-7),
    "U": ("hartree", 5e-7),
    "H": ("hartree", 5e-7),
    "G": ("hartree", 5e-7),
    "G, with QM9's symmetry number": ("hartree", 5e-7),
    "Cv": ("cal/mol/K", 5e-4),
    "mu": ("debye", 5e-5),
    "alpha": ("bohr^3", 5e-3),
    "homo": ("hartree", 5e-5),
    "lumo": ("hartree", 5e-5),
    "gap": ("hartree", 5e-5),
    "r2": ("bohr^2", 5e-5),
    "A": ("relative", 0.0),
    "B": ("relative", 0.0),
    "C": ("relative", 0.0),
    "RMSD": ("angstrom", 0.0),
}


def molecules(options: argparse.Namespace) -> list[dict]:
    """The chosen rows of QM9's table."""
    table = pq.read_table(options.qm9).to_pylist()
    rows = [row for row in table if sum(z > 1 for z in row["z"]) <= options.heavy]
    rows.sort(key=lambda row: (sum(z > 1 for z in row["z"]), row["idx"]))
    if options.pick:
        return [rows[number] for number in options.pick]
    return rows[options.first : options.first + options.count]


def finished(path: Path) -> list[dict]:
    """The whole lines of a file, which is cut after them."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


def with_geometry(template: Chem.Mol, positions: np.ndarray) -> Chem.Mol:
    """A copy of a molecule with one conformer, atoms in its own order."""
    out = Chem.Mol(template)
    out.RemoveAllConformers()
    conformer = Chem.Conformer(len(positions))
    for i, p in enumerate(positions):
        conformer.SetAtomPosition(i, Point3D(*map(float, p)))
    out.AddConformer(conformer)
    return out


def qm9s_own(row: dict, smiles: str) -> Chem.Mol:
    """QM9's geometry as a molecule with the bonds of the SMILES, by the closest matching of atoms."""
    positions = np.array(row["pos"]).reshape(-1, 3)
    raw = Chem.RWMol()
    for z in row["z"]:
        raw.AddAtom(Chem.Atom(int(z)))
    raw = with_geometry(raw.GetMol(), positions)
    rdDetermineBonds.DetermineConnectivity(raw)
    return raw


def skeleton(mol: Chem.Mol) -> Chem.Mol:
    """Atoms and bonds only: no orders, charges or stereo, so that two perceptions of one molecule match."""
    out = Chem.RWMol()
    for atom in mol.GetAtoms():
        plain = Chem.Atom(atom.GetAtomicNum())
        plain.SetNoImplicit(True)
        out.AddAtom(plain)
    for bond in mol.GetBonds():
        out.AddBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), Chem.BondType.SINGLE)
    made = out.GetMol()
    for conformer in mol.GetConformers():
        made.AddConformer(conformer, assignId=True)
    made.UpdatePropertyCache(strict=False)
    return made


def distance(mol: Chem.Mol, positions: np.ndarray, target: Chem.Mol) -> float:
    """RMSD in angstrom over all atoms, mirror images allowed."""
    found = []
    for sign in (1.0, -1.0):
        probe = skeleton(with_geometry(mol, positions * np.array([1, 1, sign])))
        if probe.GetNumAtoms() == 1:
            return 0.0
        found.append(rdMolAlign.GetBestRMS(probe, skeleton(target), maxMatches=100000))
    return min(found)


def starts(smiles: str, target: Chem.Mol, seed: int = 42) -> tuple[Chem.Mol, np.ndarray, float, int]:
    """The MMFF conformer nearest to QM9's: molecule, positions, RMSD, and of how many."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    count = 1 if mol.GetNumHeavyAtoms() < 3 else 30
    AllChem.EmbedMultipleConfs(mol, count, randomSeed=seed)
    if not mol.GetNumConformers():
        raise ValueError("ETKDG made no conformer")
    if AllChem.MMFFHasAllMoleculeParams(mol):
        AllChem.MMFFOptimizeMoleculeConfs(mol, maxIters=2000)
    else:
        AllChem.UFFOptimizeMoleculeConfs(mol, maxIters=2000)
    all_positions = [np.array(c.GetPositions()) for c in mol.GetConformers()]
    apart = [distance(mol, p, target) for p in all_positions]
    best = int(np.argmin(apart))
    return mol, all_positions[best], apart[best], len(all_positions)


def compared(row: dict) -> dict:
    """The line of one molecule."""
    began = time.process_time()
    smiles = row["smiles_gdb"]
    out = {"idx": row["idx"], "smiles": smiles, "natm": len(row["z"])}
    target = qm9s_own(row, smiles)
    mol, positions, before, count = starts(smiles, target)
    symbols = [atom.GetSymbol() for atom in mol.GetAtoms()]
    system = scfx.System.from_arrays(symbols, positions)
    out |= {"conformers": count, "rmsd_of_start": before}
    solver = scfx.Solver(scfx.SCFSpec.create({**LEVEL, "properties": ["gradient"]}))
    labels = scfx.Solver(scfx.SCFSpec.create({**LEVEL, "properties": ["gradient", "alpha", "r2"]}))
    (done,) = relax(solver, [system], criteria="gau_tight")
    out |= {"status": done.status, "reason": done.reason, "steps": done.steps, "iterations": done.iterations}
    out["seconds_relaxing"] = time.process_time() - began
    if not done.converged:
        return out
    relaxed = done.system
    out["rmsd"] = distance(mol, relaxed.positions_angstrom, target)
    began = time.process_time()
    found = frequencies(solver, relaxed, labels=labels)
    out["seconds_frequencies"] = time.process_time() - began
    out["displaced_iterations"] = found.differences.iterations
    out["stages"] = {
        name: round(solver.profile.get(name, 0.0) + labels.profile.get(name, 0.0), 1)
        for name in sorted({*solver.profile, *labels.profile})
    }
    thermo, label = found.thermochemistry, found.label
    out["doubt"] = "; ".join(text for text in (found.doubt, thermo.reason) if text)
    out["lowest_cm1"] = float(found.modes.frequencies[0]) if len(found.modes.frequencies) else None
    out["symmetry_number"] = thermo.symmetry_number
    # Gaussian found no symmetry in some of QM9's geometries: its G of methane and ammonia are lower than with their
    # symmetry numbers by RT ln 12 and RT ln 3, while those of water and acetylene have theirs.
    turns = KELVIN_IN_HARTREE * thermo.temperature * np.log(thermo.symmetry_number)
    without_symmetry = None if thermo.g is None else thermo.g - turns
    ours = {
        "E = U0 - ZPVE": found.differences.energy, "ZPVE": thermo.zpve * KCAL, "U0": thermo.u0, "U": thermo.u,
        "H": thermo.h, "G": thermo.g, "Cv": thermo.cv, "G, symmetry number 1": without_symmetry,
        "mu": float(np.linalg.norm(label.dipole[0])) * DIPOLE_AU_IN_DEBYE,
        "alpha": label.properties["isotropic_polarizability"][0], "homo": float(label.homo[0]),
        "lumo": float(label.lumo[0]), "gap": float(label.gap[0]),
        "r2": label.properties["electronic_spatial_extent"][0],
    }  # fmt: skip
    theirs = {
        "E = U0 - ZPVE": row["u0"] - row["zpve"], "ZPVE": row["zpve"] * KCAL, "U0": row["u0"], "U": row["u298"],
        "H": row["h298"], "G": row["g298"], "Cv": row["cv"], "G, symmetry number 1": row["g298"],
        **{name: row[name] for name in ("mu", "alpha", "homo", "lumo", "gap", "r2")},
    }  # fmt: skip
    numbers = np.array(row["z"], dtype=np.int32)
    constants = rotational_constants(
        commonest_isotope_masses(numbers),
        np.array(row["pos"]).reshape(-1, 3) / scfx.model.system.BOHR_IN_ANGSTROM,
    )
    for name, mine, other in zip("ABC", found.rotational_constants, constants, strict=False):
        ours[name], theirs[name] = mine, other
    out |= {"ours": ours, "theirs": theirs}
    return out


def taken_for_bent(line: dict) -> bool:
    """Whether QM9 has 3N - 6 vibrations of a linear molecule: its ZPVE lacks the lowest, a bending."""
    lacks = line["ours"]["ZPVE"] - line["theirs"]["ZPVE"]
    return "B" not in line["ours"] and abs(lacks - line["lowest_cm1"] / 2 * CM1_IN_KCAL) < 0.01


def table(lines: list[dict]) -> str:
    """MAE and worst of each column, of the molecules that are QM9's conformers and minima."""
    done = [line for line in lines if "ours" in line]
    same = [line for line in done if line["rmsd"] <= SAME_CONFORMER]
    used = [line for line in same if not line["doubt"]]
    without = [
        line
        for line in used
        if line["symmetry_number"] > 1
        and not taken_for_bent(line)
        and abs(line["ours"]["G, symmetry number 1"] - line["theirs"]["G"])
        < abs(line["ours"]["G"] - line["theirs"]["G"])
    ]
    rows = [
        f"{len(lines)} molecules: {len(done)} relaxed and analysed, {len(same)} of these to QM9's conformer, "
        f"{len(used)} of these minima.",
        f"QM9's G has the symmetry number 1 for {len(without)} of the "
        f"{sum(line['symmetry_number'] > 1 and not taken_for_bent(line) for line in used)} that have a higher one.",
        *(
            f"QM9 has one bending fewer of `{line['smiles']}`, which is linear: not counted in {', '.join(THERMAL)}; "
            f"ZPVE differs by {line['ours']['ZPVE'] - line['theirs']['ZPVE']:.4f} kcal/mol, half of that bending's "
            f"{line['lowest_cm1']:.1f} cm-1 is {line['lowest_cm1'] / 2 * CM1_IN_KCAL:.4f}."
            for line in used
            if taken_for_bent(line)
        ),
        "",
        "| column | unit | MAE | median | worst | at |",
        "|---|---|---|---|---|---|",
    ]
    for name, (unit, _) in COLUMNS.items():
        errors = []
        for line in used:
            if name in THERMAL and taken_for_bent(line):
                continue
            if name == "G, with QM9's symmetry number":
                theirs = line["theirs"]["G"]
                both = [line["ours"]["G"] - theirs, line["ours"]["G, symmetry number 1"] - theirs]
                errors.append((min(both, key=abs), line["smiles"]))
            elif name == "RMSD":
                errors.append((line["rmsd"], line["smiles"]))
            elif line["ours"].get(name) is not None and line["theirs"].get(name) is not None:
                difference = line["ours"][name] - line["theirs"][name]
                if unit == "relative":
                    difference /= line["theirs"][name]
                errors.append((difference, line["smiles"]))
        if errors:
            sizes = np.abs([e for e, _ in errors])
            worst, at = errors[int(sizes.argmax())]
            rows.append(
                f"| {name} | {unit} | {sizes.mean():.1e} | {np.median(sizes):.1e} | {worst:+.1e} | `{at}` |"
            )
    rows += [
        "",
        "| molecule | atoms | steps | RMSD of the start | RMSD | seconds | what |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        seconds = line.get("seconds_relaxing", 0) + line.get("seconds_frequencies", 0)
        what = (
            line.get("doubt")
            or line.get("reason")
            or ("" if line.get("rmsd", 9) <= SAME_CONFORMER else "another")
        )
        rows.append(
            f"| `{line['smiles']}` | {line['natm']} | {line.get('steps', '')} | {line.get('rmsd_of_start', 0):.3f} | "
            f"{line.get('rmsd', float('nan')):.4f} | {seconds:.0f} | {what} |"
        )
    return "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("qm9")
    parser.add_argument("out")
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--heavy", type=int, default=7)
    parser.add_argument("--pick", type=int, nargs="+")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--table")
    options = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    path, began = Path(options.out), time.perf_counter()
    lines = finished(path)
    known = {line["idx"] for line in lines}
    for row in molecules(options):
        if row["idx"] in known or time.perf_counter() - began > 3600 * options.hours:
            continue
        try:
            line = compared(row)
        except (ValueError, RuntimeError, scfx.ScfxError) as error:
            line = {
                "idx": row["idx"],
                "smiles": row["smiles_gdb"],
                "natm": len(row["z"]),
                "reason": str(error),
            }
        lines.append(line)
        with path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(line) + "\n")
        print(json.dumps({k: v for k, v in line.items() if k not in ("ours", "theirs")}), flush=True)
    text = table(sorted(lines, key=lambda line: line["idx"]))
    print(text)
    if options.table:
        Path(options.table).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
