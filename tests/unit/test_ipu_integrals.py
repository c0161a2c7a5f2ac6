"""The codelets' integrals, straight from their code, against libcint in float64; and their tables of roots."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from molecules import GEOMETRIES
from pyscf.gto import moleintor
from scfx_bse.qm9 import QM9Source
from scfx_bse.source import BasisSetExchangeSource
from scfx_ipu.library import integrals_of_pair, library
from scfx_ipu.molecule import ShellStructure, molecule_table
from scfx_libcint.environment import environment

from scfx.errors import PluginUnavailableError
from scfx.execution import native
from scfx.model.basis import BasisSet, Shell
from scfx.model.batch import Batch
from scfx.model.system import System

CODELETS = Path(__file__).parents[2] / "backends" / "scfx_ipu" / "codelets"
#: What the issue asks for and the paper's float32 reached, hartree.
ERROR = 5e-6
#: HCCN, bent, from the molecule's published structure, rounded (angstrom).
C2HN = (["H", "C", "C", "N"], [[0.97, -1.85, 0.0], [0.0, -1.42, 0.0], [0.0, -0.04, 0.05], [0.03, 1.14, 0.1]])
PAPER = ["Fc1nocnc(=O)c1=O", "FC=C1C2CN2N=C1C=O"]
BASES = ["sto-3g", "6-31g", "6-31g*"]


def _batch(system: System, basis: str) -> Batch:
    source = QM9Source() if basis.endswith("qm9") else BasisSetExchangeSource(basis)
    return Batch.from_systems([system], BasisSet.from_source(source, system.atomic_numbers))


def _largest_error(batch: Batch) -> float:
    """Over every unique quartet of shells of a molecule, Cartesian components."""
    layout, structure, table = (
        batch.layout,
        ShellStructure.from_layout(batch.layout),
        molecule_table(batch, 0),
    )
    libcint = environment(batch, 0)
    atm, bas, env = libcint.atm, libcint.bas, libcint.env
    optimizer = moleintor.make_cintopt(atm, bas, env, "int2e_cart")
    start = layout.cartesian_offset
    shell = np.repeat(np.arange(layout.n_shells), np.diff(start))
    worst = 0.0
    for i in range(layout.n_shells):
        for j in range(i + 1):
            found = integrals_of_pair(structure, table, i, j)
            expected = moleintor.getints(
                "int2e_cart", atm, bas, env, shls_slice=(i, i + 1, j, j + 1, 0, i + 1, 0, i + 1), cintopt=optimizer
            )  # fmt: skip
            assert found.shape == expected.shape
            high, low = np.maximum.outer(shell, shell), np.minimum.outer(shell, shell)
            n = start[i + 1]
            unique = ((high < i) | ((high == i) & (low <= j)))[:n, :n]
            worst = max(worst, float(np.abs(found - expected)[:, :, unique].max()))
    return worst


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("name", ["H2O", "H2CO", "C2HN"])
def test_every_integral_of_small_molecules_is_libcints_to_float32(name, basis):
    symbols, positions = C2HN if name == "C2HN" else GEOMETRIES[name]
    system = System.from_arrays(symbols, np.array(positions, dtype=float), multiplicity=None)
    error = _largest_error(_batch(system, basis))
    print(f"{name} in {basis}: {error:.1e} hartree")
    assert error <= ERROR


@pytest.mark.slow
@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("smiles", PAPER)
def test_every_integral_of_the_papers_molecules_is_libcints_to_float32(smiles, basis):
    error = _largest_error(_batch(System.from_smiles(smiles, seed=42), basis))
    print(f"{smiles} in {basis}: {error:.1e} hartree")
    assert error <= ERROR


def test_f_shells_and_mixed_kinds_are_covered():
    symbols, positions = GEOMETRIES["HF"]
    system = System.from_arrays(symbols, np.array(positions, dtype=float))
    assert _largest_error(_batch(system, "6-31g(2df,p)-qm9")) <= ERROR


@pytest.mark.parametrize("basis", ["sto-3g", "6-31g"])
@pytest.mark.parametrize("symbol", ["C", "N", "O", "F"])
def test_a_core_integral_is_right_to_the_last_place(symbol, basis):
    # The same in every molecule, so its error would have one sign in a whole data set (benchmarks/ipu_rounding.py).
    batch = _batch(System.from_arrays([symbol], np.zeros((1, 3)), multiplicity=None), basis)
    libcint = environment(batch, 0)
    exact = moleintor.getints("int2e_cart", libcint.atm, libcint.bas, libcint.env, shls_slice=(0, 1) * 4)
    found = integrals_of_pair(ShellStructure.from_layout(batch.layout), molecule_table(batch, 0), 0, 0)
    # A unit in the last place of a float32 is at most 1.2e-7 of it.
    assert abs(found.item() / exact.item() - 1.0) <= 1.2e-7


@pytest.mark.parametrize("distance", [0.3, 2.0, 5.0, 40.0])
@pytest.mark.parametrize("exponent", [0.15, 3.0, 900.0])
def test_roots_hold_from_one_centre_to_far_away(distance, exponent):
    # Bra and ket on one centre each: X = ρ distance² runs from 0 through the tables into the asymptote.
    shells = tuple(Shell.normalised(l, [exponent * (1.0 + 0.3 * l)], [1.0], cartesian=True) for l in range(3))
    basis = BasisSet("roots", {2: shells})
    system = System(np.array([2, 2], dtype=np.int32), np.array([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]]))
    batch = Batch.from_systems([system], basis)
    # Integrals grow as the root of the exponent, and so may their errors.
    assert _largest_error(batch) <= 1e-6 * max(4.0, 4.0 * exponent**0.5)


def test_a_molecule_far_from_the_origin_keeps_its_integrals():
    symbols, positions = GEOMETRIES["H2O"]
    moved = np.array(positions) + 50.0  # ångström; float32 coordinates alone would be off by 4e-6 bohr
    assert _largest_error(_batch(System.from_arrays(symbols, moved), "6-31g")) <= ERROR


@pytest.mark.parametrize("variant", native.VARIANTS)
def test_every_variant_of_the_kernels_gives_the_same_bits(variant, monkeypatch):
    # Nothing is fused or reordered, as on the hardware.
    symbols, positions = GEOMETRIES["H2CO"]
    batch = _batch(System.from_arrays(symbols, np.array(positions)), "6-31g*")
    structure, table = ShellStructure.from_layout(batch.layout), molecule_table(batch, 0)
    last = batch.layout.n_shells - 1
    expected = integrals_of_pair(structure, table, last, 0)
    monkeypatch.setenv("SCFX_CPU_VARIANT", variant)
    try:
        native.load.cache_clear()
        library.cache_clear()
        found = integrals_of_pair(structure, table, last, 0)
    except PluginUnavailableError as error:
        pytest.skip(str(error))
    finally:
        native.load.cache_clear()
        library.cache_clear()
    assert (found == expected).all()


def test_codelets_include_nothing_from_outside_their_folder():
    own = {path.name for path in CODELETS.iterdir()}
    for path in [*CODELETS.glob("*.cpp"), *CODELETS.glob("*.hpp")]:
        for included in re.findall(r'#include ["<]([^">]+)[">]', path.read_text()):
            assert included in own | {"cmath", "poplar/Vertex.hpp"}, f"{path.name} includes {included}"
        assert "double" not in path.read_text(), f"{path.name} mentions double: the hardware has none"


@pytest.mark.slow
def test_the_committed_tables_are_what_their_script_writes():
    script = CODELETS / "generate_tables.py"
    written = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    number = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?(?=f)")
    old = [float(x) for x in number.findall((CODELETS / "rys_tables.hpp").read_text())]
    new = [float(x) for x in number.findall(written)]
    # Another LAPACK may round the last digit of the smallest coefficients otherwise.
    np.testing.assert_allclose(new, old, rtol=1e-4, atol=2e-9)
