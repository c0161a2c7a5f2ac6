"""The reference backend: integrals from libcint (through `pyscf.gto`), J and K from a compiled streaming
kernel.

Only the hook is here, so that listing plugins imports neither PySCF nor the kernel.
"""

from __future__ import annotations

import scfx


@scfx.hookimpl
def scfx_register_backends() -> list[scfx.Offer]:
    """Offer `libcint`: float64 on the CPU, any contraction, s to i shells, Cartesian and spherical mixed as the basis
    says.
    """
    return [
        scfx.Offer(
            "libcint",
            "scfx_libcint.backend:LibcintBackend",
            summary="reference integrals from PySCF's libcint, on the CPU",
            requires=("pyscf",),
            capabilities=scfx.Capabilities(
                platforms=("cpu",),
                dtypes=("float64", "float32"),
                max_angular_momentum=6,
                derivatives=1,
                fitting=True,
                range_separation=True,
                ecp=True,
                preference=10,
            ),
        )
    ]
