"""Integrals and Fock builds in SIMD lanes: conformers, or the shell pairs of one that would leave lanes empty."""

from scfx.hookspecs import hookimpl
from scfx.offer import Capabilities, Offer


@hookimpl
def scfx_register_backends() -> list[Offer]:
    """Offer the `simd` backend; nothing heavy is imported until it is chosen."""
    return [
        Offer(
            name="simd",
            target="scfx_simd.backend:SimdBackend",
            summary="compiled integrals and Fock builds, SIMD lanes = conformers or shell pairs",
            capabilities=Capabilities(
                platforms=("cpu",),
                dtypes=("float32", "float64"),
                max_angular_momentum=3,
                range_separation=True,
                derivatives=1,
                fitting=True,
                preference=20,
                borrows=("one_electron", "two_electron"),
            ),
        )
    ]
