"""Training networks on generated labels: SchNet, PaiNN, scaling curves, fine-tuning, potentials (docs/schnet.md).

Only hook implementations and `build` live here: torch is imported when a model is made or a task runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import scfx
from scfx_schnet.presets import PRESETS

if TYPE_CHECKING:
    import torch

__all__ = ["build"]


def build(
    name: str = "schnet-laptop", *, registry: scfx.Registry | None = None, **options: Any
) -> torch.nn.Module:
    """Return a model by name, untrained: one of the presets here, or any other plugin's (`scfx_register_models`).

    `options` replace the preset's constructor arguments. The module maps a `scfx_schnet.batch.PackedMolecules` to
    [molecule, target]. Raises `scfx.ConfigError` for an unknown name or option.
    """
    registry = registry or scfx.Registry.discover()
    return cast("torch.nn.Module", registry.model({"name": name, **options}, key="model"))


@scfx.hookimpl
def scfx_register_models() -> list[scfx.Offer]:
    """Offer the presets of SchNet and PaiNN."""
    return [
        scfx.Offer(name, target, summary=summary, requires=("torch",), options=options)
        for name, (target, summary, options) in PRESETS.items()
    ]


@scfx.hookimpl
def scfx_register_tasks() -> list[scfx.Offer]:
    """Offer the tasks `scaling` and `finetune`."""
    return [
        scfx.Offer(
            "scaling",
            "scfx_schnet.scaling:ScalingTask",
            summary="error of a network against the number of labels; models, budgets, kinds of labels",
            requires=("torch", "pyarrow"),
        ),
        scfx.Offer(
            "potential",
            "scfx_schnet.potential_task:PotentialTask",
            summary="train a network on energies and forces, for ASE",
            requires=("torch", "pyarrow"),
        ),
        scfx.Offer(
            "finetune",
            "scfx_schnet.finetune:FinetuneTask",
            summary="pre-train on generated labels, fine-tune on better ones, against from scratch",
            requires=("torch", "pyarrow", "rdkit"),
        ),
    ]
