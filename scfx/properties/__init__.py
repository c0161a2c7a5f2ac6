"""Properties of converged entries, one file each, registered as any plugin's are. docs/properties.md lists them."""

from __future__ import annotations

from scfx.hookspecs import hookimpl
from scfx.offer import Offer

# name, class in the file of its name (or "file:Class"), what it is
_OFFERS = (
    ("bond_orders", "BondOrders", "Mayer's bond orders between atoms"),
    ("density_matrix", "matrices:DensityMatrix", "density matrix of each spin over the atomic orbitals"),
    ("dipole", "Dipole", "dipole moment about the coordinate origin"),
    ("electronic_spatial_extent", "ElectronicSpatialExtent", "<r2> of the electrons, as QM9's R2"),
    ("electrons_on_grid", "ElectronsOnGrid", "number of electrons that the grid integrates to"),
    ("energy_components", "EnergyComponents", "kinetic, Coulomb, exchange... parts of the energy"),
    ("fock_matrix", "matrices:FockMatrix", "Fock matrix of each spin over the atomic orbitals"),
    ("frontier_orbital_energies", "FrontierOrbitalEnergies", "HOMO and LUMO of each spin"),
    ("gradient", "Gradient", "derivative of the energy by the nuclear positions: minus the forces"),
    ("hirshfeld_charges", "HirshfeldCharges", "atomic charges by Hirshfeld's stockholders"),
    (
        "isotropic_polarizability",
        "IsotropicPolarizability",
        "a third of the polarizability's trace, as QM9's alpha",
    ),
    ("loewdin_charges", "LoewdinCharges", "atomic charges in Loewdin's orthogonalised basis"),
    ("mbis_charges", "MBISCharges", "atomic charges of the minimal basis iterative stockholder"),
    ("mulliken_charges", "MullikenCharges", "Mulliken's atomic charges"),
    ("net_force", "NetForce", "sum of the forces: zero but for errors"),
    (
        "net_torque",
        "NetTorque",
        "torque of the forces about the centre of mass: zero but for the grid's noise",
    ),
    ("orbital_coefficients", "matrices:OrbitalCoefficients", "orbitals over the atomic orbitals"),
    ("orbital_energies", "OrbitalEnergies", "energies of all orbitals of each spin"),
    ("orbital_gradient", "OrbitalGradient", "largest element of the orbital gradient at the end"),
    ("overlap_matrix", "matrices:OverlapMatrix", "overlap matrix of the atomic orbitals"),
    (
        "polarizability",
        "Polarizability",
        "static dipole polarizability, coupled-perturbed or by finite fields",
    ),
    ("quadrupole", "Quadrupole", "traceless quadrupole moment about the centre of nuclear charge"),
    ("s_squared", "SpinSquared", "<S2> of the determinant"),
    ("s_squared_deviation", "SpinContamination", "<S2> less S(S+1): contamination by other spins"),
    ("spin_populations", "SpinPopulations", "Mulliken's alpha less beta electrons of each atom"),
    ("stability", "StabilityEigenvalues", "lowest eigenvalues of the orbital Hessian: is it a minimum"),
    ("wiberg_bond_orders", "WibergBondOrders", "Wiberg's bond orders in Loewdin's orthogonalised basis"),
)

_ALIASES = {
    "electronic_spatial_extent": ("r2",),
    "bond_orders": ("mayer_bond_orders",),
    "isotropic_polarizability": ("alpha",),
}


@hookimpl
def scfx_register_properties() -> list[Offer]:
    """Offer the properties that stand in this folder."""
    return [
        Offer(
            name,
            f"scfx.properties.{where if ':' in where else f'{name}:{where}'}",
            summary,
            aliases=_ALIASES.get(name, ()),
        )
        for name, where, summary in _OFFERS
    ]
