"""Named sizes of the models: constructor arguments as plain data, so that listing them imports no torch."""

from __future__ import annotations

from typing import Any

#: name -> (target, summary, constructor arguments). `schnet-9m` is that of Mathiasen et al. 2023 (arXiv 2311.01135);
#: `schnet-original` that of Schütt et al. 2018 (J. Chem. Phys. 148, 241722) with six interactions.
PRESETS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "schnet-9m": (
        "scfx_schnet.schnet:SchNet",
        "SchNet of the QM1B paper: 9,088,513 parameters, 28 nearest neighbours within 15 angstrom",
        {
            "hidden_channels": 1024,
            "num_filters": 256,
            "num_interactions": 5,
            "num_gaussians": 200,
            "cutoff": 15.0,
            "max_neighbors": 28,
            "readout": "add",
        },
    ),
    "schnet-original": (
        "scfx_schnet.schnet:SchNet",
        "SchNet at PyTorch Geometric's default size: 456 thousand parameters",
        {
            "hidden_channels": 128,
            "num_filters": 128,
            "num_interactions": 6,
            "num_gaussians": 50,
            "cutoff": 10.0,
            "readout": "mean",
        },
    ),
    "schnet-laptop": (
        "scfx_schnet.schnet:SchNet",
        "SchNet that trains in about a minute on a laptop: 128 thousand parameters",
        {
            "hidden_channels": 64,
            "num_filters": 64,
            "num_interactions": 6,
            "num_gaussians": 50,
            "cutoff": 7.0,
            "readout": "mean",
            "filter_gain": 3.0,
        },
    ),
    "schnet-tiny": (
        "scfx_schnet.schnet:SchNet",
        "SchNet for trying things out: 19 thousand parameters",
        {
            "hidden_channels": 32,
            "num_filters": 32,
            "num_interactions": 3,
            "num_gaussians": 25,
            "cutoff": 5.0,
            "readout": "mean",
            "filter_gain": 6.0,
        },
    ),
    "painn-small": (
        "scfx_schnet.painn:PaiNN",
        "PaiNN (equivariant vectors beside the scalars) of 64 features and 3 interactions",
        {
            "hidden_channels": 64,
            "num_interactions": 3,
            "num_radial": 20,
            "cutoff": 5.0,
            "readout": "mean",
        },
    ),
    "painn-potential": (
        "scfx_schnet.painn:PaiNN",
        "PaiNN for energies and forces: 64 features, 3 interactions, sums over atoms",
        {
            "hidden_channels": 64,
            "num_interactions": 3,
            "num_radial": 20,
            "cutoff": 5.0,
            "readout": "add",
        },
    ),
    "schnet-potential": (
        "scfx_schnet.schnet:SchNet",
        "SchNet for energies and forces: 64 features, 3 interactions, sums over atoms",
        {
            "hidden_channels": 64,
            "num_filters": 64,
            "num_interactions": 3,
            "num_gaussians": 40,
            "cutoff": 5.0,
            "readout": "add",
            "filter_gain": 3.0,
        },
    ),
}
