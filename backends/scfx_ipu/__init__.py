"""The IPU backend: Rys-quadrature codelets driven through Poplar (docs/ipu.md).

Only the hooks are here, so that listing plugins imports neither PySCF nor the compiled program.
"""

from __future__ import annotations

from typing import Any

import scfx


@scfx.hookimpl
def scfx_register_backends() -> list[scfx.Offer]:
    """Offer `ipu`: float32 on Graphcore IPUs or on the host's model of them, s to f shells, Cartesian and spherical
    mixed.
    """
    return [
        scfx.Offer(
            "ipu",
            "scfx_ipu.backend:IpuBackend",
            summary="Rys quadrature in float32 as Poplar codelets, on IPUs or on a host model of them",
            requires=("pyscf",),
            capabilities=scfx.Capabilities(
                platforms=("cpu", "ipu"),
                dtypes=("float32",),
                max_angular_momentum=3,
                # The host model exists for parity and planning, so `backend = "auto"` never takes it.
                preference=0,
            ),
        )
    ]


@scfx.hookimpl
def scfx_register_commands(group: Any) -> None:
    """Offer the command `scfx ipu plan`."""
    from scfx_ipu.command import ipu

    group.add_command(ipu)
