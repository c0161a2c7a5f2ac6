"""Where xyz files are: one file, a folder of them, or a tar archive as QM9 is published."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from scfx.errors import InputError
from scfx.model.xyz import decoded, open_xyz

if TYPE_CHECKING:
    from typing import TextIO

ENDINGS = (".xyz", ".extxyz")


def xyz_files(path: Path, recursive: bool = False) -> Iterator[tuple[str, TextIO]]:
    """Yield (name, text) of an xyz file, of every .xyz file of a folder (by name), or of every .xyz member of a tar
    archive.

    `recursive`: those of the folders in it too. Raises `InputError` for an archive that cannot be read.
    """
    if path.is_dir():
        for file in sorted(path.rglob("*") if recursive else path.iterdir()):
            if file.suffix in ENDINGS:
                with open_xyz(file) as handle:
                    yield file.name, handle
    elif any(suffix in (".tar", ".tgz", ".tbz2") for suffix in path.suffixes):
        try:
            with tarfile.open(path, "r|*") as archive:  # as a stream: in order, nothing is unpacked
                for member in archive:
                    content = archive.extractfile(member) if member.name.endswith(ENDINGS) else None
                    if content is not None:
                        yield member.name.rpartition("/")[2], decoded(io.BytesIO(content.read()))
        except tarfile.TarError as error:
            raise InputError(f"cannot read {str(path)!r} as an archive: {error}") from error
    else:
        with open_xyz(path) as handle:
            yield path.name, handle
