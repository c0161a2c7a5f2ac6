"""From planned rows to labelled rows: geometry, solve, and pair every label with the geometry it belongs to."""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import groupby
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

import scfx
from scfx.errors import ConfigError, InputError, ResourceError
from scfx.model.same_molecule import inchikey_of
from scfx.model.system import DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV
from scfx.results import Status
from scfx_dataset.conformers import Conformer, displace
from scfx_dataset.embedding import embedder
from scfx_dataset.property_columns import matrix_columns, property_values
from scfx_dataset.schema import row_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from scfx_dataset.options import Embedding
    from scfx_dataset.solvers import LabelSolver

#: Seconds between two reports of one call of the solver, at least.
_EVERY = 0.25
#: What the solver calls the end of a system, in the words of a row.
_STATUSES = {"converged": "ok", "not_converged": "not_converged", "failed": "failed"}

#: A row without labels yet, and the geometry that its labels will belong to.
_Pending = tuple[dict[str, Any], scfx.System]


def label_rows(
    planned: Sequence[dict[str, Any]],
    solver: Callable[[], LabelSolver],
    embedding: Embedding,
    batch_size: int,
    identity: Mapping[str, Any],
    report: Callable[[Counter[str]], None],
    seconds: dict[str, float],
    wanted: frozenset[int] | None = None,
    known: Mapping[int, dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of one shard with their labels, in the plan's order and exactly as many; columns as `row_schema`
    says.

    `identity` is that of the plan with the versions that are here: it has the spec hash and the optional columns.

    `report` hears of finished rows by status as they come; `seconds` gains the processor time spent on embedding,
    which goes on beside the solver. `solver` is called only if some row has a geometry. Rows that cannot be computed
    are kept with their reason. `wanted`: only the rows with these ids are solved and returned, each with its own
    status (the others of their molecules may be embedded, since a conformer can depend on earlier ones). `known`:
    columns by row_id of rows that were computed before; they are not computed again.
    """
    known = known or {}
    rows = [blank_row(row, identity) | known.get(row["row_id"], {}) for row in planned]
    report(Counter(row["status"] for row in rows if row["status"]))
    shapes = [row["shape"] for row in planned]
    unexpected: list[Exception] = []
    with closing(_batches(rows, shapes, embedding, batch_size, seconds, wanted)) as batches:
        for settled, pending in batches:
            report(settled)
            if pending:
                batch, systems = [row for row, _ in pending], [system for _, system in pending]
                reporter = _Reporter(report)
                _solve(batch, systems, solver(), unexpected, reporter)
                reporter.settle(batch)
    if wanted is not None:
        rows = [row for row in rows if row["row_id"] in wanted]
    elif unexpected and not any(row["status"] in ("ok", "not_converged") for row in rows):
        # Nothing in the shard worked and the reason is no property of a molecule: do not blame the rows.
        raise unexpected[0]
    if not all(row["status"] for row in rows):
        raise AssertionError("a shard's rows are not the planned ones")
    return rows


class _Reporter:
    """Reports the rows of one batch while they are solved, as the solver counts them; then as they are.

    A report is what changed since the one before, also where the solver's last word on a system is another one.
    """

    def __init__(self, report: Callable[[Counter[str]], None]):
        self._report = report
        self._reported: Counter[str] = Counter()
        self._said = time.monotonic()

    def __call__(self, done: int, total: int, statuses: Mapping[str, int]) -> None:
        if time.monotonic() - self._said >= _EVERY:
            self._say(Counter({_STATUSES[status]: count for status, count in statuses.items()}))

    def settle(self, rows: Sequence[dict[str, Any]]) -> None:
        """These rows of the batch are settled, and no other."""
        self._say(Counter(row["status"] for row in rows if row["status"]))

    def _say(self, counts: Counter[str]) -> None:
        change = counts.copy()
        change.subtract(self._reported)
        self._reported, self._said = counts, time.monotonic()
        if change := Counter({status: count for status, count in change.items() if count}):
            self._report(change)


def blank_row(planned: dict[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return a planned row as it stands before any work: no status, no labels; failed already if planning says so."""
    row: dict[str, Any] = dict.fromkeys(row_schema(identity).names)
    row |= dict.fromkeys(
        column["column"] for column in matrix_columns(identity["options"].get("columns") or ())
    )
    for name in planned.keys() & row.keys():
        row[name] = planned[name]
    versions = json.dumps(identity["versions"], sort_keys=True, separators=(",", ":"))
    constant = {"spec_hash": identity["spec_hash"], "versions": versions}
    return row | {"status": "failed" if planned["reason"] else "", **constant}


def _batches(
    rows: list[dict[str, Any]],
    shapes: list[str],
    embedding: Embedding,
    batch_size: int,
    seconds: dict[str, float],
    wanted: frozenset[int] | None,
) -> Generator[tuple[Counter[str], list[_Pending]]]:
    """Embed in a thread, one batch ahead of the caller. Yields (rows settled by status, rows with their systems).

    Shape by shape, because equal shapes fill the solver's lanes: a batch has `batch_size` rows of one shape, or what
    is left of several. The order changes no label. Embedding and SCF leave the interpreter to each other.
    """
    readable = sorted(
        ((shape, row) for shape, row in zip(shapes, rows, strict=True) if not row["status"]),
        key=lambda item: (item[0], item[1]["row_id"]),
    )
    stop = Event()
    if wanted is not None:
        molecules = {row["molecule"] for row in rows if row["row_id"] in wanted}
        readable = [(shape, row) for shape, row in readable if row["molecule"] in molecules]
    pieces = _cut(readable, embedding, batch_size, stop, seconds, wanted)
    # next() on one thread at a time: a piece is asked for after the one before has been handed over.
    pool = ThreadPoolExecutor(1, thread_name_prefix="scfx-embedding")
    try:
        ahead: Future[tuple[Counter[str], list[_Pending]] | None] = pool.submit(next, pieces, None)
        while (piece := ahead.result()) is not None:
            ahead = pool.submit(next, pieces, None)
            yield piece
    finally:
        stop.set()
        embedder.cancel(stop)
        pool.shutdown(wait=False, cancel_futures=True)


def _cut(
    readable: list[tuple[str, dict[str, Any]]],
    embedding: Embedding,
    batch_size: int,
    stop: Event,
    seconds: dict[str, float],
    wanted: frozenset[int] | None,
) -> Iterator[tuple[Counter[str], list[_Pending]]]:
    settled: Counter[str] = Counter()
    ready: list[_Pending] = []
    for _, group in groupby(readable, key=lambda item: item[0]):
        of_shape: list[_Pending] = []
        for _, members in groupby((row for _, row in group), key=lambda row: row["molecule"]):
            if stop.is_set():
                return
            molecule = list(members)
            began = time.thread_time()
            of_shape += (
                (row, system)
                for row, system in _geometries(molecule, embedding, stop)
                if wanted is None or row["row_id"] in wanted
            )
            seconds["embedding"] += time.thread_time() - began
            settled.update(row["status"] for row in molecule if row["status"])
            while len(of_shape) >= batch_size:
                yield settled, of_shape[:batch_size]
                settled, of_shape = Counter(), of_shape[batch_size:]
        if len(ready) + len(of_shape) > batch_size:
            yield settled, ready
            settled, ready = Counter(), []
        ready += of_shape
    yield settled, ready


def _geometries(rows: list[dict[str, Any]], embedding: Embedding, stop: Event) -> Iterator[_Pending]:
    """The geometries of one molecule's rows: yields (row, System) where there is one, and settles the other rows."""
    for row, numbers, conformer in _conformers(rows, embedding, stop):
        if conformer.positions is None:
            _fail(row, conformer.reason)
            continue
        try:
            system = scfx.System.from_arrays(
                numbers,
                conformer.positions,
                "angstrom",
                charge=row["charge"],
                multiplicity=row["multiplicity"],
                name=f"{row['smiles'] or row['name']} conformer {row['conformer']}",
            )
        except InputError as error:
            _fail(row, str(error))
            continue
        row["atomic_numbers"] = system.atomic_numbers.tolist()
        row["positions_angstrom"] = system.positions_angstrom.tolist()
        yield row, system


def _conformers(
    rows: list[dict[str, Any]], embedding: Embedding, stop: Event
) -> Iterator[tuple[dict[str, Any], Sequence[int], Conformer]]:
    """Each row with its atomic numbers and its geometry, embedded or given by the plan, and the InChIKey set."""
    smiles = rows[0]["smiles"]
    if rows[0]["positions_angstrom"] is None:
        molecule = embedder.embed(smiles, [row["embedding_seed"] for row in rows], embedding, stop)
        for row, conformer in zip(rows, molecule.conformers, strict=True):
            row["inchikey"] = molecule.inchikey or None
            yield row, molecule.atomic_numbers, conformer
        return
    key = inchikey_of(smiles) if smiles is not None else ""
    for row in rows:
        row["inchikey"] = key or None
        positions = np.array(row["positions_angstrom"], dtype=np.float64)
        if row["embedding_seed"] is not None:
            positions = displace(positions, row["embedding_seed"], embedding.displacement_angstrom)
        yield row, row["atomic_numbers"], Conformer(positions)


def _fail(row: dict[str, Any], reason: str) -> None:
    row |= {"status": "failed", "reason": reason}


def _solve(
    rows: list[dict[str, Any]],
    systems: list[scfx.System],
    solver: LabelSolver,
    unexpected: list[Exception],
    reporter: _Reporter | None,
) -> None:
    """Solve together; if that raises, one by one, so that a bad row takes no other with it.

    Faults of the configuration and of the machine are raised: they say nothing about a molecule.
    """
    try:
        result = solver.solve(systems, progress=reporter)
    except ConfigError:
        raise
    except Exception as error:
        if isinstance(error, (OSError, MemoryError)) and not isinstance(error, ResourceError):
            raise
        if len(systems) > 1:
            for row, system in zip(rows, systems, strict=True):
                _solve([row], [system], solver, unexpected, None)
                if reporter is not None:
                    reporter.settle(rows)
            return
        if not isinstance(error, (InputError, ResourceError)):
            unexpected.append(error)
        _fail(rows[0], f"{type(error).__name__}: {error}")
        return
    _record(rows, systems, result)


def _record(rows: list[dict[str, Any]], systems: Sequence[scfx.System], result: scfx.SCFResult) -> None:
    if len(result) != len(systems):
        raise AssertionError(f"the solver returned {len(result)} results for {len(systems)} systems")
    provenance = result.provenance
    for i, (row, system) in enumerate(zip(rows, systems, strict=True)):
        solved = result.systems[i]
        # A label belongs to the geometry that was solved, not to the place in a list.
        if not np.array_equal(solved.positions, system.positions) or not np.array_equal(
            solved.atomic_numbers, system.atomic_numbers
        ):
            raise AssertionError(f"the solver's entry {i} is not the system it was given ({system.name})")
        row |= {
            "rung": result.rung[i],
            "iterations": int(result.iterations[i]),
            "residual": _finite(result.residual[i]),
            "nao": int(result.nao[i]),
            "n_grid": int(result.n_grid[i]),
            "backend": provenance.get("backend"),
            "device": provenance.get("device"),
            "precision": provenance.get("precision"),
        }
        status, reason = result.status[i], result.reason[i]
        if status is Status.CONVERGED and not np.isfinite(result.energy[i]):
            status, reason = Status.FAILED, f"the energy is {result.energy[i]}"
        if status is Status.CONVERGED:
            labels = (
                property_values(result, i, row.keys()) | _labels(result, i) | _extras(result, i, row.keys())
            )
            row |= {"status": "ok", "reason": "", **labels}
        else:
            row |= {
                "status": "not_converged" if status is Status.NOT_CONVERGED else "failed",
                "reason": reason or status.explain(),
            }


def _labels(result: scfx.SCFResult, i: int) -> dict[str, Any]:
    dipole = np.asarray(result.dipole[i], dtype=np.float64) * DIPOLE_AU_IN_DEBYE
    homo, lumo = float(result.homo[i]) * HARTREE_IN_EV, float(result.lumo[i]) * HARTREE_IN_EV
    return {
        "energy_ev": float(result.energy[i]) * HARTREE_IN_EV,
        "homo_ev": _finite(homo),
        "lumo_ev": _finite(lumo),
        "gap_ev": _finite(lumo - homo),
        "dipole_debye": _finite(np.linalg.norm(dipole)),
        "dipole_vector_debye": dipole.tolist() if np.isfinite(dipole).all() else None,
    }


def _extras(result: scfx.SCFResult, i: int, columns: Collection[str]) -> dict[str, Any]:
    """The optional columns among `columns`."""
    extras: dict[str, Any] = {}
    if "orbital_energies_ev" in columns:
        # Padded with NaN to the largest molecule of the batch, and left out combinations of AOs are NaN too.
        spins = np.atleast_2d(np.asarray(result.orbital_energies[i], dtype=np.float64)) * HARTREE_IN_EV
        kept = [spin[np.isfinite(spin)].tolist() for spin in spins]
        # A closed shell in a batch with an open one comes with both spins: a row must not depend on its company.
        extras["orbital_energies_ev"] = kept[:1] if len(kept) == 1 or kept[0] == kept[1] else kept
    if "mulliken_charges" in columns:
        if result.mulliken_charges is None:
            raise InputError("task.extras: this solver gives no Mulliken charges; leave mulliken_charges out")
        extras["mulliken_charges"] = np.asarray(result.mulliken_charges[i], dtype=np.float64).tolist()
    return extras


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
