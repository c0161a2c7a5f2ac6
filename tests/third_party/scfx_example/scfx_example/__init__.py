"""What this package offers to scfx. Only scfx's light names are imported: listing plugins stays fast."""

import scfx

SCFX_HOOK_API = 1


@scfx.hookimpl
def scfx_register_functionals():
    return [scfx.Offer("example-slater", "scfx_example.slater:Slater", summary="Slater exchange")]


@scfx.hookimpl
def scfx_register_basis_sets():
    return [scfx.Offer("example-sto-3g", "scfx_example.minimal:STO3G", summary="STO-3G of H and O, typed in")]


@scfx.hookimpl
def scfx_register_precision_policies():
    return [scfx.Offer("example-half", "scfx_example.policy:POLICY", summary="integrals stored in float32")]


@scfx.hookimpl
def scfx_register_backends():
    able = scfx.Capabilities(dtypes=("float32", "float64"), max_angular_momentum=1)
    return [
        scfx.Offer(
            "example-dense",
            "scfx_example.dense:Dense",
            summary="the full integral tensor, s and p shells",
            requires=("pyscf",),
            capabilities=able,
        )
    ]


@scfx.hookimpl
def scfx_register_properties():
    return [
        scfx.Offer(
            "example_charge_spread",
            "scfx_example.spread:ChargeSpread",
            summary="spread of the Mulliken charges",
        )
    ]


@scfx.hookimpl
def scfx_register_tasks():
    return [
        scfx.Offer(
            "example-spectrum",
            "scfx_example.spectrum:SpectrumTask",
            summary="spectra of Coulomb matrices; resumable",
        )
    ]


@scfx.hookimpl
def scfx_report_header():
    return "scfx-example: at your service"
