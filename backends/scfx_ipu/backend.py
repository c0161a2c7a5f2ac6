"""`IpuBackend`: two-electron integrals in float32 on IPUs, or on the host's model of them."""

from __future__ import annotations

import os
from collections import defaultdict
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from scfx.abstract import AbstractIntegralBackend, AbstractTwoElectron, OneElectron
from scfx.config.precision import PrecisionPolicy
from scfx.errors import CapabilityError, InputError, PluginUnavailableError, ResourceError
from scfx_ipu.cost_model import schedule
from scfx_ipu.library import Machine, Program, built_for_hardware
from scfx_ipu.molecule import ShellStructure
from scfx_ipu.two_electron import IpuTwoElectron

if TYPE_CHECKING:
    from scfx.contracts.construction import ConstructionContext
    from scfx.model.batch import Batch, ShellLayout

Strategy = Literal["auto", "store", "recompute"]
_STRATEGIES = ("auto", "store", "recompute")
_DEVICES = ("auto", "hardware", "host")

#: What the codelets can serve best: float32 integrals, all else in float64. J and K then carry the integrals'
#: rounding, which leaves the residual at a few 1e-6 hartree.
BEST_POLICY = PrecisionPolicy(
    "float32-integrals", integrals="float32", gradient_floor=5e-6, energy_floor=5e-6
)


class IpuBackend(AbstractIntegralBackend):
    """Rys quadrature over the tiles of `ipus` IPUs (docs/ipu.md).

    `device`: "hardware" (needs scfx built against Graphcore's Poplar SDK), "host" (a model of the IPU that runs the
    same program on CPU threads and enforces its memory), "auto" (hardware if there is some). `strategy`: "store" keeps
    the integrals on the tiles, "recompute" computes them anew for every Fock matrix, "auto" stores what fits. `tiles`
    of each IPU are used. `threads`: of the host's model; no number depends on it.
    """

    name = "ipu"

    def __init__(
        self,
        device: Literal["auto", "hardware", "host"] = "auto",
        strategy: Strategy = "auto",
        ipus: int = 1,
        tiles: int = 1472,
        threads: int = 1,
        context: ConstructionContext | None = None,
    ):
        """`context`: whose registry has the backend "libcint", which one-electron matrices come from."""
        if device not in _DEVICES:
            raise InputError(f"scf.backend.device: got {device!r}, expected 'auto', 'hardware' or 'host'")
        if strategy not in _STRATEGIES:
            raise InputError(
                f"scf.backend.strategy: got {strategy!r}, expected 'auto', 'store' or 'recompute'"
            )
        for key, value, most in (("ipus", ipus, 64), ("tiles", tiles, 1472), ("threads", threads, 4096)):
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
                raise InputError(f"scf.backend.{key}: got {value!r}, expected a number from 1 to {most}")
        if device == "hardware" and not built_for_hardware():
            raise PluginUnavailableError(
                "scf.backend.device",
                "'hardware' needs scfx built against Graphcore's Poplar SDK, and this build is not. Install the SDK "
                "(Graphcore's support portal; it is in no package registry), `source <sdk>/enable`, which sets "
                "POPLAR_SDK_ENABLED, and install scfx from source again; or use device = 'host'",
            )
        self._hardware = device == "hardware" or (device == "auto" and built_for_hardware())
        self._strategy: Strategy = strategy
        self._machine = Machine(ipus, tiles)
        self._threads = min(threads, os.cpu_count() or 1)
        self._host = None if context is None else context.registry.backend("libcint", key=context.key)
        self._lock = Lock()
        self._plans: dict[ShellStructure, Program] = {}
        self._idle: dict[ShellStructure, list[Program]] = defaultdict(list)

    def definition(self) -> dict[str, Any]:
        """Return name and options: the order of sums, and so the last bits, depends on the tiles and on what each
        does.
        """
        return {
            "name": self.name,
            "strategy": self._strategy,
            "ipus": self._machine.ipus,
            "tiles": self._machine.tiles,
        }

    def device(self) -> str:
        """Return "ipu" or "ipu-host"."""
        return "ipu" if self._hardware else "ipu-host"

    def best_policy(self) -> PrecisionPolicy:
        """Return the precision policy that suits the device best, float32."""
        return BEST_POLICY

    def one_electron(self, batch: Batch) -> OneElectron:
        """Return overlap, kinetic, nuclear attraction and dipole in float64, on the host.

        They are a thousandth of the work and decide half of the energy's digits, so they have no codelet: the libcint
        backend gives them.
        """
        if self._host is None:
            raise InputError(
                "IpuBackend takes one-electron matrices from backend 'libcint' and was made without a registry to find "
                "it in; use Registry.discover().backend('ipu')"
            )
        return self._host.one_electron(batch)

    def two_electron(self, batch: Batch, policy: PrecisionPolicy, memory_budget: int) -> AbstractTwoElectron:
        """Return an operator whose integrals lie on the tiles.

        Raises `CapabilityError` unless the policy stores float32 integrals, and `ResourceError` if the molecule does
        not fit the tiles, before anything runs.
        """
        if policy.integrals != "float32" or policy.schwarz_float64 is not None:
            raise CapabilityError(
                "scf.precision",
                f"{policy.name!r} wants two-electron integrals in float64 and the IPU has no float64: use 'float32', "
                'or { name = "float64", integrals = "float32" } for float64 everywhere else, or backend = "libcint"',
            )
        structure = ShellStructure.from_layout(batch.layout)
        plan = self._plan(structure, memory_budget // len(batch), len(batch))
        with self._lock:
            idle = self._idle[structure]
            programs = [idle.pop() for _ in range(min(len(idle), len(batch)))]
        while len(programs) < len(batch):
            program = schedule(structure, self._machine, plan.recompute)
            program.build(self._hardware, self._threads)
            programs.append(program)
        return IpuTwoElectron(batch, programs, lambda given: self._keep(structure, given))

    def _keep(self, structure: ShellStructure, programs: list[Program]) -> None:
        # Building a graph takes longer than running it, so the last programs of a structure wait for its next molecule.
        with self._lock:
            others = [key for key, kept in self._idle.items() if kept and key != structure]
            for key in others[:-_STRUCTURES_KEPT]:
                del self._idle[key]
            self._idle[structure].extend(programs)

    def _schedule(self, structure: ShellStructure) -> Program:
        with self._lock:
            plan = self._plans.get(structure)
            if plan is None:
                plan = self._plans[structure] = self._chosen(structure)
        return plan

    def _plan(self, structure: ShellStructure, budget: int, entries: int) -> Program:
        plan = self._schedule(structure)
        needed = 0 if plan.recompute else 4 * plan.numbers().integrals
        if needed > budget:
            raise ResourceError(
                f"ipu: keeping the integrals of {entries} entries of {structure.n_functions} functions takes "
                f"{entries * needed:,} bytes, the budget is {entries * budget:,}; raise scf.memory_budget or set "
                'scf.backend = { name = "ipu", strategy = "recompute" }'
            )
        return plan

    def _chosen(self, structure: ShellStructure) -> Program:
        """The schedule of the strategy; with "auto" the kept one if it fits. `ResourceError` with the numbers."""
        asked = {"store": [False], "recompute": [True], "auto": [False, True]}[self._strategy]
        plans = [schedule(structure, self._machine, recompute) for recompute in asked]
        for plan in plans:
            if plan.numbers().fits:
                return plan
        raise ResourceError(refusal(structure, plans))

    def max_batch(self, layout: ShellLayout, policy: PrecisionPolicy, memory_budget: int) -> int | None:
        """Return 1: one entry at a time has the whole device; 0 if not even its integrals fit the budget.

        Raises `ResourceError` with the numbers if the molecule does not fit the tiles, which no budget would help.
        """
        plan = self._schedule(ShellStructure.from_layout(layout))
        return int(plan.recompute or 4 * plan.numbers().integrals <= memory_budget)


#: Shell structures whose built programs are kept for later batches.
_STRUCTURES_KEPT = 4


def refusal(structure: ShellStructure, plans: list[Program]) -> str:
    """Return why no schedule fits: bytes needed on the fullest tile, bytes there, and what would fit."""
    parts = []
    for plan in plans:
        numbers = plan.numbers()
        largest = max(numbers.bytes, key=lambda kind: numbers.bytes[kind])
        parts.append(
            f"{'recompute' if plan.recompute else 'store'} needs {numbers.needed:,} bytes on the fullest tile, of "
            f"which {numbers.bytes[largest]:,} for {largest}"
        )
    machine = plans[0].machine
    advice = []
    for ipus in (2, 4, 8, 16, 32, 64):
        if ipus <= machine.ipus:
            continue
        more = Machine(ipus, machine.tiles, machine.workers, machine.tile_bytes)
        if schedule(structure, more, plans[-1].recompute).numbers().fits:
            advice.append(f"ipus = {ipus}")
            break
    if not plans[-1].recompute and schedule(structure, machine, True).numbers().fits:
        advice.insert(0, 'strategy = "recompute"')
    advice.append("a smaller basis set or molecule")
    return (
        f"ipu: {structure.n_functions} Cartesian functions do not fit {machine.ipus} x {machine.tiles} tiles: "
        f"{'; '.join(parts)}; a tile has {machine.tile_bytes:,}. What would fit: {' or '.join(advice)}"
    )
