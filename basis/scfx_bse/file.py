"""Basis sets from files, in the formats that people exchange them in: NWChem's, Gaussian's and others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from scfx.errors import ConfigError
from scfx_bse.source import AbstractPublishedSource, PublishedBasis, parsed

#: Formats by the ending of the file's name; `format` overrides. The Basis Set Exchange reads some more.
_FORMATS = {".nw": "nwchem", ".nwchem": "nwchem", ".gbs": "gaussian94", ".g94": "gaussian94", ".json": "json"}
#: Formats that say of each basis set whether its d functions are Cartesian.
_SAYS_CARTESIAN = ("nwchem", "json")


class BasisFileSource(AbstractPublishedSource):
    """A basis set, with its effective core potentials if it has any, from a file.

    `path` is relative to the working directory. `format`: "nwchem", "gaussian94", "json" (the Basis Set Exchange's)
    or another that its readers know; None goes by the ending. `cartesian` True or False makes every shell of d and
    above Cartesian or spherical; None takes what the file says. Gaussian's format cannot say, so there it must be
    given for a basis with d functions or above. Raises `ConfigError` for a file that is missing or cannot be read.
    """

    def __init__(self, path: str, format: str | None = None, cartesian: bool | None = None):
        from basis_set_exchange import readers

        file = Path(path)
        if not file.is_file():
            raise ConfigError(
                "scf.basis.path", f"there is no file {path!r} (relative to the working directory)"
            )
        kind = _FORMATS.get(file.suffix.lower()) if format is None else format
        if kind is None:
            raise ConfigError(
                "scf.basis.format",
                f"the ending of {path!r} does not tell its format; "
                f"say one of {', '.join(sorted(set(_FORMATS.values())))}",
            )
        try:
            data = readers.read_formatted_basis_file(str(file), kind)
            found = parsed(data)
        except Exception as error:  # the readers raise whatever their parsing met
            raise ConfigError("scf.basis.path", f"{path!r} cannot be read as {kind}: {error}") from error
        if not found.shells:
            raise ConfigError("scf.basis.path", f"{path!r} holds no shells in format {kind}")
        if cartesian is None and kind not in _SAYS_CARTESIAN and _highest(found) > 1:
            raise ConfigError(
                "scf.basis.cartesian",
                f"{path!r} has d functions or above, and format {kind} does not say whether "
                "they are Cartesian (6D) or spherical (5D); set cartesian = true or false",
            )
        self.name = file.name
        self.cartesian = cartesian
        # What a file is called does not change what it defines.
        self._published = replace(found, name="file", version="")


def _highest(basis: PublishedBasis) -> int:
    return max(shell[0] for shells in basis.shells.values() for shell in shells)
