"""The model for TorchSim: units, order of atoms, charges. TorchSim needs Python 3.12: here its interface is a stand-in.

benchmarks/torchsim_model.py runs TorchSim itself: its consistency check, static runs and batched relaxation.
"""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch

import scfx
from scfx.errors import ConvergenceError
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV


@pytest.fixture
def model_class(monkeypatch):
    interface = types.ModuleType("torch_sim.models.interface")
    interface.ModelInterface = torch.nn.Module
    for name in ("torch_sim", "torch_sim.models"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "torch_sim.models.interface", interface)
    monkeypatch.delitem(sys.modules, "scfx.torchsim", raising=False)
    from scfx.torchsim import SCFXModel

    yield SCFXModel
    sys.modules.pop("scfx.torchsim", None)


def state(pbc=False, **more):
    """Hydrogen, and hydrogen fluoride whose atoms are not next to each other."""
    return types.SimpleNamespace(
        positions=torch.tensor([[0, 0, 0], [1.0, 0, 0], [0, 0, 0.8], [1.0, 0, 0.95]], dtype=torch.float64),
        atomic_numbers=torch.tensor([1, 9, 1, 1]),
        system_idx=torch.tensor([0, 1, 0, 1]),
        pbc=torch.tensor([pbc] * 3),
        **more,
    )


def test_each_system_is_as_alone_in_ev_and_angstrom(model_class):
    found = model_class(functional="hf", basis="sto-3g", threads=1)(state())
    hydrogen = scfx.System.from_arrays(["H", "H"], [[0, 0, 0], [0, 0, 0.8]], "angstrom")
    fluoride = scfx.System.from_arrays(["F", "H"], [[0, 0, 0], [0, 0, 0.95]], "angstrom")
    alone = scfx.solve([hydrogen, fluoride], "hf", "sto-3g", properties="gradient", threads=1)
    np.testing.assert_allclose(found["energy"].numpy(), alone.energy * HARTREE_IN_EV, atol=1e-6)
    unit = HARTREE_IN_EV / BOHR_IN_ANGSTROM
    for atoms, gradient in zip(([0, 2], [1, 3]), alone.gradient, strict=True):
        np.testing.assert_allclose(found["forces"].numpy()[atoms], -gradient * unit, atol=1e-6)
    assert (found["forces"].shape, found["forces"].dtype) == ((4, 3), torch.float64)
    model = model_class(functional="hf", basis="sto-3g", threads=1, compute_forces=False, dtype=torch.float32)
    energies = model(state())
    assert set(energies) == {"energy"}
    assert energies["energy"].dtype == torch.float32


def test_charge_and_spin_come_from_the_state_and_contradictions_are_refused(model_class):
    charged = state(charge=torch.tensor([1.0, 0.0]), spin=torch.tensor([2.0, 1.0]))
    model = model_class(functional="hf", basis="sto-3g", threads=1)
    systems, _ = model._systems(charged)
    assert [(s.charge, s.multiplicity) for s in systems] == [(1, 2), (0, 1)]
    with pytest.raises(scfx.InputError, match="system 0: charge is 1 in the state and 0 elsewhere"):
        model_class(charge=0, basis="sto-3g")(charged)
    with pytest.raises(scfx.InputError, match="expected a whole number"):
        model(state(charge=torch.tensor([0.5, 0.0])))
    with pytest.raises(scfx.InputError, match=r"system 1: .*multiplicity"):
        model(state(spin=torch.tensor([1.0, 2.0])))


def test_periodic_states_unknown_keys_and_unconverged_systems_are_refused(model_class):
    with pytest.raises(scfx.InputError, match="periodic"):
        model_class(basis="sto-3g")(state(pbc=True))
    with pytest.raises(scfx.ConfigError, match="did you mean 'functional'"):
        model_class(functionl="hf")
    few = model_class(
        functional="hf", basis="sto-3g", convergence={"max_iterations": 1}, recovery=False, threads=1,
        compute_forces=False,
    )  # fmt: skip
    with pytest.raises(ConvergenceError, match="entry 1"):
        few(state())
