"""`SCFXModel`: scfx as a model of TorchSim, which moves many molecules at once.

    import torch_sim as ts
    from scfx.torchsim import SCFXModel

    model = SCFXModel(functional="b3lyp", basis="6-31g*")
    relaxed = ts.optimize(list_of_atoms, model, optimizer=ts.Optimizer.fire, init_kwargs={"cell_filter": None})

TorchSim is needed for this module alone, and it needs Python 3.12 or newer: `pip install scfx[torchsim]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch_sim.models.interface import ModelInterface  # pyright: ignore[reportMissingImports] not in every Python

from scfx.config.spec import SCFSpec
from scfx.driver import Solver
from scfx.errors import InputError
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV, System

if TYPE_CHECKING:
    from scfx.registry import Registry

#: Names under which a state may have the charges and multiplicities (2S + 1) of its systems.
_CHARGE, _MULTIPLICITY = ("charge",), ("multiplicity", "spin")


class SCFXModel(ModelInterface):
    """Energies (eV) and forces (eV/angstrom) of molecules, all systems of a state in batches.

    Keyword arguments are the keys of `[scf]`. Charge and multiplicity of each system are `charge` and `multiplicity`
    here, for all of them; else the state's own `charge` and `spin` (2S + 1; or `multiplicity`), which TorchSim does not
    take from `atoms.info`: `state.store_model_extras({"charge": ..., "spin": ...})` puts them there. Else they are 0
    and the lowest possible. What is said twice and differs is refused, and so are periodic states.

    Results are tensors on the state's device in `dtype`; scfx itself computes on the CPU. There is no stress. Raises
    `InputError` for what cannot be computed as asked, `ConvergenceError` naming the systems that do not converge.
    """

    def __init__(
        self,
        *,
        charge: int | None = None,
        multiplicity: int | None = None,
        compute_forces: bool = True,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float64,
        registry: Registry | None = None,
        **scf: Any,
    ):
        super().__init__()
        SCFSpec.create(scf)
        self._charge, self._multiplicity = charge, multiplicity
        self._device = torch.device("cpu") if device is None else device
        self._dtype = dtype
        self._compute_stress, self._compute_forces = False, compute_forces
        self._memory_scales_with = "n_atoms"
        self._registry = registry
        self._scf = scf
        self._solvers: dict[tuple[int, ...], Solver] = {}

    def forward(self, state: Any, **_: Any) -> dict[str, torch.Tensor]:
        """Return `energy` [n_systems], and `forces` [n_atoms, 3] unless `compute_forces` is False, of a `SimState`."""
        systems, atoms = self._systems(state)
        elements = tuple(sorted({int(z) for system in systems for z in system.atomic_numbers}))
        if elements not in self._solvers:
            self._solvers[elements] = self._solver(elements)
        result = self._solvers[elements].solve(systems).raise_for_status()
        out = {"energy": self._tensor(result.energy * HARTREE_IN_EV, state)}
        if self._compute_forces:
            forces = np.empty((len(state.positions), 3))
            for index, of_system in enumerate(atoms):
                gradient = (result.gradient or [])[index]
                if gradient is None:
                    why = result.property_reasons["gradient"][index]
                    raise InputError(f"system {index} ({systems[index]!r}) has no forces: {why}")
                forces[of_system] = -np.asarray(gradient) * HARTREE_IN_EV / BOHR_IN_ANGSTROM
            out["forces"] = self._tensor(forces, state)
        return out

    def _solver(self, elements: tuple[int, ...]) -> Solver:
        asked = self._scf.get("properties", ())
        named = [asked] if isinstance(asked, (str, dict)) else list(asked)
        if self._compute_forces and "gradient" not in named:
            named.append("gradient")
        spec = SCFSpec.create({**self._scf, "properties": named})
        return Solver(spec, self._registry, atomic_numbers=elements)

    def _tensor(self, values: Any, state: Any) -> torch.Tensor:
        return torch.as_tensor(np.array(values), dtype=self._dtype, device=state.positions.device)

    def _systems(self, state: Any) -> tuple[list[System], list[np.ndarray]]:
        """The molecules of a state, and which of its atoms each has."""
        if bool(torch.as_tensor(state.pbc).any()):
            raise InputError("the state is periodic, and scfx computes isolated molecules; set pbc = False")
        of_atom = state.system_idx.detach().cpu().numpy()
        numbers = state.atomic_numbers.detach().cpu().numpy()
        positions = state.positions.detach().cpu().numpy().astype(np.float64)
        count = int(of_atom.max()) + 1
        charges = self._stated(state, _CHARGE, self._charge, count)
        multiplicities = self._stated(state, _MULTIPLICITY, self._multiplicity, count)
        atoms = [np.flatnonzero(of_atom == index) for index in range(count)]
        systems = []
        for index, own in enumerate(atoms):
            try:
                stated: dict[str, Any] = {"multiplicity": multiplicities[index]}
                if charges[index] is not None:
                    stated["charge"] = charges[index]
                systems.append(System.from_arrays(numbers[own], positions[own], "angstrom", **stated))
            except InputError as error:
                raise InputError(f"system {index}: {error}") from error
        return systems, atoms

    def _stated(self, state: Any, names: tuple[str, ...], given: int | None, count: int) -> list[int | None]:
        """A whole number of each system, or None: the argument's, else what the state has under one of `names`."""
        out: list[int | None] = [given] * count
        for name in names:
            values = getattr(state, name, None)
            if values is None:
                continue
            for index, value in enumerate(torch.as_tensor(values).detach().cpu().reshape(-1).tolist()):
                if value != round(value):
                    raise InputError(f"state.{name}[{index}] is {value}, expected a whole number")
                if out[index] not in (None, round(value)):
                    raise InputError(
                        f"system {index}: {name} is {round(value)} in the state and {out[index]} elsewhere; say it once"
                    )
                out[index] = round(value)
        return out
