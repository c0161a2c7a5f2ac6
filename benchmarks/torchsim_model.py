"""`scfx.torchsim.SCFXModel` under TorchSim: its own consistency check, static runs, batched relaxation.

    python3.12 benchmarks/torchsim_model.py

Needs Python 3.12 and `pip install scfx[torchsim]`. Prints one line a check; docs/measurements/trainers.md has them.
"""

from __future__ import annotations

import numpy as np
import torch
import torch_sim as ts  # pyright: ignore[reportMissingImports]
from ase import Atoms
from ase.optimize import BFGS
from torch_sim.testing import assert_model_calculator_consistency  # pyright: ignore[reportMissingImports]

from scfx.ase import SCFX
from scfx.torchsim import SCFXModel

LEVEL = {"functional": "hf", "basis": "sto-3g", "threads": 1}
WATER = Atoms("OH2", [[0, 0, 0.1], [0, 0.8, -0.5], [0, -0.7, -0.5]])
HYDROGEN = Atoms("H2", [[0, 0, 0], [0, 0, 0.8]])
FLUORIDE = Atoms("HF", [[0, 0, 0], [0, 0, 1.0]])


def main() -> None:
    """Run each check; an assertion says which failed."""
    model = SCFXModel(**LEVEL)
    state = ts.io.atoms_to_state([WATER], torch.device("cpu"), torch.float64)
    assert_model_calculator_consistency(model, SCFX(**LEVEL), state)
    print("assert_model_calculator_consistency: passed")

    found = ts.static([WATER, HYDROGEN, FLUORIDE], model)
    for atoms, each in zip((WATER, HYDROGEN, FLUORIDE), found, strict=True):
        alone = atoms.copy()
        alone.calc = SCFX(**LEVEL)
        assert abs(float(each["potential_energy"]) - alone.get_potential_energy()) < 1e-9
        assert np.abs(each["forces"].numpy() - alone.get_forces()).max() < 1e-6
    print("static: three molecules of three formulas in one state, each as alone")

    relaxed = ts.optimize(
        [WATER, HYDROGEN, FLUORIDE],
        model,
        optimizer=ts.Optimizer.fire,
        convergence_fn=ts.generate_force_convergence_fn(force_tol=0.01, include_cell_forces=False),
        max_steps=200,
        steps_between_swaps=1,
    )
    for atoms, energy in zip((WATER, HYDROGEN, FLUORIDE), relaxed.energy.tolist(), strict=True):
        other = atoms.copy()
        other.calc = SCFX(**LEVEL)
        BFGS(other, logfile=None).run(fmax=0.01)
        difference = energy - other.get_potential_energy()
        print(
            f"relaxed {atoms.get_chemical_formula()}: {energy:.5f} eV, ASE's BFGS {difference:+.1e} eV away"
        )
        assert abs(difference) < 1e-3

    ion = ts.io.atoms_to_state(
        [Atoms("OH", [[0, 0, 0], [0, 0, 0.97]])] * 2, torch.device("cpu"), torch.float64
    )
    ion.store_model_extras({"charge": torch.tensor([-1.0, 0.0]), "spin": torch.tensor([1.0, 2.0])})
    energies = model(ion)["energy"].tolist()
    print(f"charge and spin from the state: hydroxide {energies[0]:.4f}, hydroxyl {energies[1]:.4f} eV")
    assert energies[0] != energies[1]


if __name__ == "__main__":
    main()
