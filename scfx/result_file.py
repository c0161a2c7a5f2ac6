"""Results in files: numpy's .npz with the arrays over systems under their names, and the rest in a document.

What has another shape for each system (densities, charges, properties...) lies end to end in one array by dtype, named
"values_float64" and so on; `document` is JSON that says where each piece is. No pickled object is written or read.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.contracts.property import AbstractProperty, Column
from scfx.errors import InputError, ScfxError
from scfx.model.basis import BasisSet, CorePotential, Shell
from scfx.model.system import System
from scfx.status import Stability, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx.results import SCFResult

#: Raised when files written before could not be read any more.
FORMAT = 1
_KIND = "scfx result"
_UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


class StoredProperty(AbstractProperty):
    """The description of a property in a result that was read from a file. It cannot be computed again."""

    summary = ""

    def __init__(self, described: Mapping[str, Any]):
        self.name = described["name"]
        self.unit = described["unit"]  # type: ignore[misc]
        self.axes = tuple(described["axes"])  # type: ignore[misc]
        self.summary = described["summary"]  # type: ignore[misc]
        column = described["column"]
        self.column = None if column is None else Column(**column)  # type: ignore[misc]

    def compute(self, entry: Any) -> Any:
        """Refuse: a result from a file has no density to compute with."""
        raise ScfxError(
            f"{self.name}: a property that was read from a file can be looked at, and not computed"
        )


class _Values:
    """Arrays of any shape, end to end by dtype."""

    def __init__(self) -> None:
        self._parts: dict[str, list[np.ndarray]] = {}
        self._length: dict[str, int] = {}

    def put(self, array: np.ndarray) -> dict[str, Any]:
        dtype, start = array.dtype.name, self._length.get(array.dtype.name, 0)
        self._parts.setdefault(dtype, []).append(np.ascontiguousarray(array).ravel())
        self._length[dtype] = start + array.size
        return {"dtype": dtype, "start": start, "shape": list(array.shape)}

    def arrays(self) -> dict[str, np.ndarray]:
        return {f"values_{dtype}": np.concatenate(parts) for dtype, parts in self._parts.items()}


def _packed(value: Any, values: _Values) -> Any:
    """A value as JSON, its arrays put into `values`. Mappings are marked, so that none is taken for a mark."""
    if isinstance(value, np.ndarray):
        return {"array": values.put(value)}
    if isinstance(value, Stability):
        return {"stability": [value.internal, value.external]}
    if isinstance(value, Mapping):
        return {"mapping": {str(key): _packed(each, values) for key, each in value.items()}}
    if isinstance(value, (list, tuple)):
        return [_packed(each, values) for each in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ScfxError(f"a result that holds a {type(value).__name__} cannot be saved: {value!r:.80}")


def _unpacked(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_unpacked(each, arrays) for each in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "array":
        size = int(np.prod(content["shape"], dtype=np.int64))
        flat = arrays[f"values_{content['dtype']}"][content["start"] : content["start"] + size]
        return flat.reshape(content["shape"]).copy()
    if kind == "stability":
        return Stability(*content)
    return {key: _unpacked(each, arrays) for key, each in content.items()}


def save(result: SCFResult, path: str | os.PathLike[str]) -> Path:
    """Write a result; see `SCFResult.save`. The file appears whole or not at all."""
    target = Path(path)
    if target.suffix != ".npz":
        raise InputError(
            f"save: results are written as .npz, and {target.name!r} does not end so; for a table use to_pandas()"
        )
    values = _Values()
    columns, document = {}, {"kind": _KIND, "format": FORMAT}
    for name in (each.name for each in fields(result)):
        value = getattr(result, name)
        if name == "systems":
            document[name] = [_system(system, values) for system in value]
        elif name == "descriptors":
            document[name] = {key: _described(each) for key, each in value.items()}
        elif name == "basis_set":
            document[name] = None if value is None else _basis(value, values)
        elif isinstance(value, np.ndarray):
            columns[name] = value
        else:
            document[name] = _packed(value, values)
    text = json.dumps(document)
    part = target.with_name(f".{target.name}.tmp")
    try:
        with part.open("wb") as handle:
            np.savez_compressed(handle, **columns, **values.arrays(), document=np.array(text))  # type: ignore[arg-type]
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"cannot write {str(target)!r}: {error}") from error
    return target


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the fields of a result that was saved; see `SCFResult.load`."""
    try:
        # Opened here: numpy leaves a file open that breaks off.
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        document = json.loads(str(arrays.pop("document")))
        kind, written = document.pop("kind"), document.pop("format")
    except (*_UNREADABLE, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{os.fspath(path)!r} is no result of scfx that can be read: {error}") from error
    if kind != _KIND or written > FORMAT:
        raise InputError(
            f"{os.fspath(path)!r} is a {kind!r} of format {written}, and this scfx reads {_KIND!r} up to {FORMAT}: "
            "update scfx"
        )
    own: dict[str, Any] = {name: value for name, value in arrays.items() if not name.startswith("values_")}
    for name, value in document.items():
        if name == "systems":
            own[name] = [_of_system(each, arrays) for each in value]
        elif name == "descriptors":
            own[name] = {key: StoredProperty(each) for key, each in value.items()}
        elif name == "basis_set":
            own[name] = None if value is None else _of_basis(value, arrays)
        elif name == "status":
            own[name] = [Status(each) for each in value]
        else:
            own[name] = _unpacked(value, arrays)
    return own


def _system(system: System, values: _Values) -> dict[str, Any]:
    return {
        "atomic_numbers": values.put(system.atomic_numbers),
        "positions": values.put(system.positions),
        "charge": system.charge,
        "multiplicity": system.multiplicity,
        "name": system.name,
        "ghosts": None if system.ghosts is None else system.ghosts.tolist(),
        "assumed": sorted(system.assumed),
        "labels": system.labels,
    }


def _of_system(stored: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> System:
    labels, ghosts = stored["labels"], stored["ghosts"]
    return System(
        _unpacked({"array": stored["atomic_numbers"]}, arrays),
        _unpacked({"array": stored["positions"]}, arrays),
        stored["charge"], stored["multiplicity"], stored["name"],
        None if ghosts is None else np.array(ghosts), frozenset(stored["assumed"]),
        None if labels is None else tuple(labels),
    )  # fmt: skip


def _described(descriptor: AbstractProperty) -> dict[str, Any]:
    return {
        "name": descriptor.name,
        "unit": descriptor.unit,
        "axes": list(descriptor.axes),
        "summary": descriptor.summary,
        "column": None if descriptor.column is None else asdict(descriptor.column),
    }


def _basis(basis: BasisSet, values: _Values) -> dict[str, Any]:
    def shell(each: Shell) -> dict[str, Any]:
        return {
            "l": each.angular_momentum, "cartesian": each.cartesian,
            "exponents": values.put(each.exponents), "coefficients": values.put(each.coefficients),
        }  # fmt: skip

    return {
        "name": basis.name,
        "definition": _packed(basis.definition, values),
        "shells": [[int(z), [shell(each) for each in shells]] for z, shells in basis.shells.items()],
        "core_potentials": [[int(z), p.n_core, list(p.terms)] for z, p in basis.core_potentials.items()],
        "labelled": {label: _basis(own, values) for label, own in basis.labelled.items()},
    }


def _of_basis(stored: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> BasisSet:
    def shells(entries: Sequence[Mapping[str, Any]]) -> tuple[Shell, ...]:
        return tuple(
            Shell(
                each["l"], _unpacked({"array": each["exponents"]}, arrays),
                _unpacked({"array": each["coefficients"]}, arrays), each["cartesian"],
            )
            for each in entries
        )  # fmt: skip

    potentials = {z: CorePotential(n, tuple(map(tuple, terms))) for z, n, terms in stored["core_potentials"]}
    return BasisSet(
        stored["name"],
        {z: shells(entries) for z, entries in stored["shells"]},
        _unpacked(stored["definition"], arrays),
        potentials,  # type: ignore[arg-type]
        {label: _of_basis(own, arrays) for label, own in stored["labelled"].items()},
    )
