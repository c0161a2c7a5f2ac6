"""`register`: scfx as a program of QCEngine, which reads and writes QCSchema.

    import qcengine
    import scfx.qcengine

    scfx.qcengine.register()
    qcengine.compute({"molecule": ..., "driver": "gradient", "model": {"method": "b3lyp", "basis": "6-31g*"}}, "scfx")

QCEngine is needed for this module alone: `pip install scfx[qcengine]`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from qcelemental.models.v2 import AtomicInput, AtomicProperties, AtomicResult, Provenance
from qcengine import exceptions, list_all_programs, register_program
from qcengine.programs.model import ProgramHarness

import scfx
from scfx import errors
from scfx.config.spec import SCFSpec
from scfx.config.toml import unknown_key
from scfx.config.values import name_of
from scfx.contracts.property import plain
from scfx.driver import Solver
from scfx.hessian import hessian
from scfx.model.basis import BasisSet
from scfx.model.system import System
from scfx.wavefunction import check_sayable, qcschema_wavefunction

if TYPE_CHECKING:
    from qcengine.config import TaskConfig

    from scfx.results import SCFResult

#: Keys of `[scf]` that QCSchema or QCEngine has its own place for: it would be said twice.
_SAID_ELSEWHERE = {
    "functional": "model.method",
    "basis": "model.basis",
    "level": "model.method and model.basis, and as keywords the other keys that `scfx level NAME` prints",
    "threads": "task_config = {'ncores': ...}",
    "memory_budget": "task_config = {'memory': ...} (GiB)",
}
#: The part of a task's memory that integrals and AO values may take; the rest is for all that comes and goes.
_STORED = 0.7
#: So many solvers are kept with their atomic guesses, for callers that ask one after the other (geomeTRIC).
_KEPT = 4


class SCFXHarness(ProgramHarness):
    """Hartree-Fock and Kohn-Sham energies, gradients, Hessians and properties of one molecule.

    `model.method` is a functional and `model.basis` a basis set, by the names that `[scf]` takes; `keywords` are the
    other keys of `[scf]` (`grid`, `reference`, `convergence`, `precision`, `properties`...). Results are in the
    molecule's own frame and order of atoms. `task_config` gives threads (`ncores`) and memory.

    The driver "properties" returns dipole, charges, bond orders, orbital energies and what `keywords.properties` names;
    with other drivers the latter are in `extras["scfx"]["properties"]`. A Hessian is made of differences of gradients
    (`scfx.hessian`), all in one batch; its asymmetry is in `extras["scfx"]`. `protocols.wavefunction` gives basis set,
    orbitals, their energies and occupations, and densities, but for Cartesian shells and core potentials.
    """

    _defaults: ClassVar[dict[str, Any]] = {
        "name": "scfx",
        "scratch": False,
        "thread_safe": True,
        "thread_parallel": True,
        "node_parallel": False,
        "managed_memory": True,
    }

    @staticmethod
    def found(raise_error: bool = False) -> bool:
        """Return True: this module is part of the program."""
        return True

    def get_version(self) -> str:
        """Return the version of scfx."""
        return scfx.__version__

    def compute(self, input_data: AtomicInput, config: TaskConfig) -> AtomicResult:
        """Return the result that `input_data` asks for, or one of QCEngine's exceptions.

        `InputError` for what cannot be computed as asked, `ConvergenceError` where the SCF does not converge,
        `ResourceError` where it does not fit the memory, `RandomError` for what the operating system refused,
        `UnknownError` for other failures.
        """
        try:
            return _computed(input_data, config)
        except errors.InputError as error:
            raise exceptions.InputError(str(error)) from error
        except errors.ResourceError as error:
            raise exceptions.ResourceError(str(error)) from error
        except errors.ConvergenceError as error:
            raise exceptions.ConvergenceError(str(error)) from error
        except errors.ScfxError as error:
            raise exceptions.UnknownError(str(error)) from error
        except OSError as error:
            raise exceptions.RandomError(str(error)) from error


def register() -> None:
    """Make the program "scfx" known to QCEngine in this process; again has no effect."""
    if "scfx" not in list_all_programs():
        register_program(SCFXHarness())  # pyright: ignore[reportCallIssue] its fields are in _defaults


def _computed(input_data: AtomicInput, config: TaskConfig) -> AtomicResult:
    specification = input_data.specification
    driver = specification.driver.value
    _refuse_what_there_is_not(specification, config)
    scf = _scf(specification)
    system = System.from_qcschema(input_data.molecule)
    wants_gradient = driver in ("gradient", "hessian")
    solver = _solver(scf, wants_gradient, system, config)
    extras: dict[str, Any] = {"spec_hash": solver.spec_hash}
    matrix = wavefunction = None
    if driver == "hessian":
        differences = hessian(solver, system)
        result, matrix = differences.result, differences.matrix
        extras |= {
            "hessian_asymmetry": differences.asymmetry,
            "hessian_step": differences.step,
            "hessian_gradients": len(differences.forth) + len(differences.back),
        }
    else:
        wants_orbitals = specification.protocols.wavefunction.value != "none"
        if wants_orbitals:
            check_sayable(BasisSet.from_source(solver.resolved.basis, set(system.atomic_numbers.tolist())))
        result = solver.solve([system], return_density=wants_orbitals)
        _raise_for(result)
        if wants_orbitals:
            wavefunction = qcschema_wavefunction(result)
    gradient = _gradient(result) if wants_gradient else None
    asked = {name: _plain(values[0]) for name, values in result.properties.items()}
    reasons = {name: why[0] for name, why in result.property_reasons.items() if why[0]}
    extras |= {"rung": result.rung[0], "properties": asked, "property_reasons": reasons}
    extras["provenance"] = result.provenance
    returned = {
        "energy": float(result.energy[0]),
        "gradient": gradient,
        "hessian": matrix,
        "properties": _returned_properties(result, asked),
    }
    return AtomicResult(  # pyright: ignore[reportCallIssue] the others have defaults
        input_data=input_data,
        molecule=input_data.molecule,
        properties=_properties(result, system, gradient, matrix),
        return_result=returned[driver],
        wavefunction=wavefunction,
        provenance=Provenance(creator="scfx", version=scfx.__version__, routine="scfx.solve"),
        extras={"scfx": extras},
        success=True,
    )


# ---- what is asked -----------------------------------------------------------------------------------------------


def _refuse_what_there_is_not(specification: Any, config: TaskConfig) -> None:
    protocols = specification.protocols
    if protocols.wavefunction.value != "none" and specification.driver.value == "hessian":
        raise errors.ConfigError(
            "protocols.wavefunction",
            f"got {protocols.wavefunction.value!r}: a Hessian is of many geometries; use 'none' or another driver",
        )
    if protocols.native_files.value != "none":
        raise errors.ConfigError(
            "protocols.native_files",
            f"got {protocols.native_files.value!r}: scfx writes no files of its own; use 'none'",
        )
    if config.nnodes and config.nnodes > 1:
        raise errors.ConfigError(
            "task_config.nnodes", f"got {config.nnodes}: one molecule is computed on one node; use 1"
        )
    extra = sorted(specification.model.model_extra or {})
    if extra:
        raise errors.ConfigError(
            f"model.{extra[0]}",
            "scfx reads method and basis of a model; give the rest as keywords, which are the keys of [scf]",
        )


def _scf(specification: Any) -> dict[str, Any]:
    """The `[scf]` table that model and keywords amount to."""
    basis = specification.model.basis
    if not isinstance(basis, str) or not basis.strip():
        got = "none" if basis is None or isinstance(basis, str) else "a QCSchema BasisSet"
        raise errors.ConfigError("model.basis", f"got {got}, expected the name of a basis set, as '6-31g*'")
    keywords = {str(key): _plain(value) for key, value in specification.keywords.items()}
    for key in keywords:
        if key in _SAID_ELSEWHERE:
            raise errors.ConfigError(f"keywords.{key}", f"is not a keyword here; use {_SAID_ELSEWHERE[key]}")
        if key not in SCFSpec.model_fields:
            known = [name for name in SCFSpec.model_fields if name not in _SAID_ELSEWHERE]
            raise errors.ConfigError(
                f"keywords.{key}", f"{unknown_key(key, known)}: keywords are those of [scf]"
            )
    return {**keywords, "functional": specification.model.method, "basis": basis}


_solvers: OrderedDict[str, Solver] = OrderedDict()
_lock = Lock()


def _solver(scf: dict[str, Any], gradient: bool, system: System, config: TaskConfig) -> Solver:
    named = list(SCFSpec.create(scf, key="keywords").properties)
    if gradient and "gradient" not in map(name_of, named):
        named.append("gradient")
    shared = {"properties": named, "threads": config.ncores or None}
    if config.memory:
        shared["memory_budget"] = int(_STORED * config.memory * 2**30)
    spec = SCFSpec.create({**scf, **shared}, key="keywords")
    elements = sorted({int(z) for z in system.atomic_numbers})
    key = f"{elements} {spec.model_dump_json()} {'convergence' in scf}"
    with _lock:
        if key not in _solvers:
            _solvers[key] = Solver(spec, atomic_numbers=elements)
        _solvers.move_to_end(key)
        while len(_solvers) > _KEPT:
            _solvers.popitem(last=False)
        return _solvers[key]


# ---- what is returned --------------------------------------------------------------------------------------------


def _raise_for(result: SCFResult) -> None:
    if result.converged[0]:
        return
    status = result.status[0]
    message = f"{status.value}: {result.reason[0] or status.explain()}"
    if status is scfx.Status.FAILED:
        raise errors.ScfxError(message)
    raise errors.ConvergenceError(message)


def _gradient(result: SCFResult) -> np.ndarray:
    gradient = result.gradient[0] if result.gradient is not None else None
    if gradient is None:
        raise errors.ScfxError(f"no gradient: {result.property_reasons['gradient'][0]}")
    return gradient


def _properties(
    result: SCFResult, system: System, gradient: np.ndarray | None, matrix: np.ndarray | None
) -> AtomicProperties:
    """Entry 0 under the names of QCSchema; what there is not stays out."""
    parts = (result.energy_components or [{}])[0]
    energy = float(result.energy[0])
    derivatives = {"gradient": gradient, "hessian": matrix}
    optional = {
        "scf_xc_energy": parts.get("exchange_correlation"),
        "scf_vv10_energy": parts.get("nonlocal_correlation"),
        "scf_dispersion_correction_energy": parts.get("dispersion"),
        **{f"return_{name}": value for name, value in derivatives.items()},
        **{f"scf_total_{name}": value for name, value in derivatives.items()},
    }
    return AtomicProperties(
        calcinfo_nbasis=int(result.nao[0]),
        calcinfo_nmo=int(result.n_orbitals[0]),
        calcinfo_nalpha=system.n_alpha,
        calcinfo_nbeta=system.n_beta,
        calcinfo_natom=system.natm,
        nuclear_repulsion_energy=parts["nuclear_repulsion"],
        return_energy=energy,
        scf_one_electron_energy=parts["kinetic"] + parts["nuclear_attraction"],
        scf_two_electron_energy=parts["coulomb"] + parts.get("exchange", 0.0),
        scf_dipole_moment=np.asarray(result.dipole[0]),
        scf_total_energy=energy,
        scf_iterations=int(result.iterations[0]),
        **{name: value for name, value in optional.items() if value is not None},
    )


def _returned_properties(result: SCFResult, asked: dict[str, Any]) -> dict[str, Any]:
    """What the driver "properties" returns, in atomic units."""
    found: dict[str, Any] = {
        "dipole": _plain(result.dipole[0]),
        "orbital_energies": _plain(result.orbital_energies[0]),
        "s_squared": float(result.s_squared[0]),
    }
    for name in ("mulliken_charges", "loewdin_charges", "bond_orders"):
        values = getattr(result, name)
        if values is not None:
            found[name] = _plain(values[0])
    return found | asked


def _plain(value: Any) -> Any:
    """Numbers, lists and text, as JSON has them: QCElemental flattens arrays when it writes them."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return plain(value) if isinstance(value, (np.ndarray, np.generic)) else value
