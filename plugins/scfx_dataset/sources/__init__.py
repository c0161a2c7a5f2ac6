"""Reading molecule and geometry files record by record, in bounded memory.

Every reader yields `Record`s in the order of its file. What is wrong with one record travels in it as its `problem`;
what is wrong with the file as a whole is an `InputError`.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from scfx.errors import InputError
from scfx_dataset.options import Limits
from scfx_dataset.sources.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scfx_dataset.options import DatasetOptions

__all__ = ["Record", "Source", "resolve"]

_ENDINGS = {
    ".csv": "csv", ".sdf": "sdf", ".mol": "sdf", ".xyz": "xyz", ".extxyz": "xyz", ".parquet": "parquet",
    ".tar": "qm9", ".tgz": "qm9", ".tbz2": "qm9",
    ".db": "ase",
}  # fmt: skip
_COMPRESSED = (".gz", ".bz2")
#: Formats whose records hold positions.
_WITH_GEOMETRIES = ("csv", "sdf", "xyz", "qm9", "parquet", "dataset", "ase")


def resolve(path: str, config_path: str | None) -> Path:
    """Return `path` in the working directory, else beside the configuration file; `InputError` naming both
    otherwise.
    """
    tried = [Path(path)]
    if config_path is not None and not Path(path).is_absolute():
        tried.append(Path(config_path).resolve().parent / path)
    for candidate in tried:
        if candidate.exists():
            return candidate
    places = " and ".join(str(p.absolute()) for p in tried)
    raise InputError(f"task.molecules: no file {path!r}; looked at {places}")


@dataclass(frozen=True)
class Source:
    """A file or folder and how to read it. `format` is resolved, never "auto"."""

    path: Path
    format: str
    column: str = "smiles"
    positions_column: str = ""
    positions_unit: str = ""
    limits: Limits = field(default_factory=lambda: Limits())  # type: ignore[call-arg]

    @classmethod
    def from_options(cls, path: Path, options: DatasetOptions) -> Source:
        """Return the source of a task. Raises `InputError` if geometries are asked of a format that has none."""
        form = options.format if options.format != "auto" else _detect(path)
        if options.geometry == "given" and form not in _WITH_GEOMETRIES:
            raise InputError(
                f"task.geometry = 'given': {str(path)!r} is read as {form!r}, which has no geometries; formats that "
                f"have: {', '.join(_WITH_GEOMETRIES)}. Set task.format if it is one of them, or geometry = 'embed'"
            )
        return cls(
            path, form, options.column, options.positions_column, options.positions_unit, options.limits
        )

    def records(self) -> Iterator[Record]:
        """Yield every record of the source, in its order. What breaks off after some of them ends with one that says
        so.
        """
        last = 0
        try:
            for record in self._reader():
                last = record.line
                yield record
        except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
            # An error with a number is the machine's, not the file's.
            if not last or getattr(error, "errno", None) is not None:
                raise InputError(
                    f"task.molecules: cannot read {str(self.path)!r} as a {self.format} file: {error}"
                ) from error
            problem = (
                f"the source breaks off after this record's predecessor: {error}; what follows is not read"
            )
            yield Record(last + 1, "", problem=problem)

    def _reader(self) -> Iterator[Record]:
        # Imported when used: a SMILES file needs neither pyarrow's readers nor RDKit's.
        if self.format == "smiles":
            from scfx_dataset.sources.text import read_smiles

            return read_smiles(self.path, self.limits)
        if self.format == "csv":
            from scfx_dataset.sources.text import read_csv

            return read_csv(self.path, self.column, self.limits, self.positions_column, self.positions_unit)
        if self.format == "sdf":
            from scfx_dataset.sources.sdf import read_sdf

            return read_sdf(self.path, self.limits)
        if self.format in ("xyz", "qm9"):
            from scfx_dataset.sources.xyz import read_xyz_files

            return read_xyz_files(self.path, self.format == "qm9", self.positions_unit)
        if self.format == "parquet":
            from scfx_dataset.sources.table import read_parquet

            return read_parquet(
                self.path, self.column, self.limits, self.positions_column, self.positions_unit
            )
        if self.format == "ase":
            from scfx_dataset.sources.ase_database import read_ase_database

            return read_ase_database(self.path, self.limits)
        from scfx_dataset.sources.table import read_dataset

        return read_dataset(self.path)

    def sha256(self) -> str:
        """Return the digest of what the source holds: of a file's bytes, of a folder's file names and bytes.

        Of a dataset: of its committed rows, so that one that has grown is another source.
        """
        if self.format == "dataset":
            import scfx_dataset

            return scfx_dataset.open(self.path).digest()
        if self.path.is_dir():
            total = hashlib.sha256()
            for file in sorted(self.path.iterdir()):
                if file.is_file():
                    total.update(f"{file.name}\0{_digest(file)}\n".encode())
            return total.hexdigest()
        return _digest(self.path)


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _detect(path: Path) -> str:
    """The format that a name stands for; xyz files are looked into, since QM9's own have lines after the atoms."""
    if path.is_dir():
        if (path / "plan.json").exists():
            return "dataset"
        first = next((p for p in sorted(path.iterdir()) if p.suffix == ".xyz"), None)
        if first is None:
            raise InputError(
                f"task.molecules: the folder {str(path)!r} holds neither an scfx dataset nor .xyz files"
            )
        return _detect(first)
    stem = Path(path.stem) if path.suffix.lower() in _COMPRESSED else path
    form = _ENDINGS.get(stem.suffix.lower(), "smiles")
    if form == "xyz":
        from scfx_dataset.sources.xyz import looks_like_qm9

        return "qm9" if looks_like_qm9(path) else "xyz"
    return form
