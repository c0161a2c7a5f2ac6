"""A backend that only has the full tensor, from PySCF's integral library."""

import numpy as np
from pyscf.gto import moleintor

import scfx


class Dense(scfx.AbstractIntegralBackend):
    """s and p shells, whose Cartesian and spherical functions are the same."""

    def one_electron(self, batch):
        names = ("int1e_ovlp_sph", "int1e_kin_sph", "int1e_nuc_sph", "int1e_r_sph")
        return scfx.OneElectron(*(self._integrals(batch, name) for name in names))

    def two_electron(self, batch, policy, memory_budget):
        needed = len(batch) * batch.nao**4 * 8
        if needed > memory_budget:
            raise scfx.ResourceError(f"the tensors need {needed} bytes, scf.memory_budget is {memory_budget}")
        eri = self._integrals(batch, "int2e_sph").astype(policy.dtype("integrals"))
        return scfx.DenseTwoElectron(eri.astype(np.float64))

    def _integrals(self, batch, name):
        return np.stack([moleintor.getints(name, *_tables(batch, b)) for b in range(len(batch))])


def _tables(batch, entry):
    """libcint's atm, bas and env of one molecule; https://github.com/sunqm/libcint, doc/program_ref."""
    env, atm, bas = [0.0] * 20, [], []
    for charge, position in zip(batch.atomic_numbers[entry], batch.positions[entry], strict=True):
        atm.append([charge, len(env), 1, 0, 0, 0])
        env.extend(position)
    layout = batch.layout
    for s in range(layout.n_shells):
        primitives = slice(layout.primitive_offset[s], layout.primitive_offset[s + 1])
        count = layout.n_primitives[s]
        bas.append([layout.atom[s], layout.angular_momentum[s], count, 1, 0, len(env), len(env) + count, 0])
        env.extend(batch.exponents[entry, primitives])
        env.extend(batch.coefficients[entry, primitives])
    return np.array(atm, np.int32), np.array(bas, np.int32), np.array(env)
