"""Checkpoints: whole or not there, and with all that the rest of a training depends on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from scfx.errors import InputError


def save(path: Path, content: dict[str, Any]) -> None:
    """Write beside and rename: a kill leaves the earlier checkpoint."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def load(path: Path, identity: str, device: torch.device) -> dict[str, Any] | None:
    """Return the checkpoint, or None if there is none. Raises `InputError` if it belongs to another training."""
    if not path.exists():
        return None
    content = torch.load(path, map_location=device, weights_only=True)
    if content["identity"] != identity:
        raise InputError(
            f"{path} is of another training (other data, model, seed or options). Remove it, or use another folder"
        )
    return content


def load_model(
    path: str | os.PathLike[str], registry: Any = None
) -> tuple[torch.nn.Module, Any, tuple[str, ...]]:
    """Return a trained network from `model.pt`: (module with averaged weights, `Standardiser`, targets).

    `standardiser.to_ev(module(batch).numpy(), counts)` gives eV. Forces, where they are among the targets, are what
    `scfx_schnet.forces.WithForces` and `scfx_schnet.potential.Potential` make of the energy.
    """
    from scfx.registry import Registry
    from scfx_schnet.fidelity import Form
    from scfx_schnet.targets import Standardiser, scalars

    content = torch.load(path, map_location="cpu", weights_only=True)
    registry = registry or Registry.discover()
    form = Form(**content.get("form", {}))
    model = form.build(content["model_choice"], len(scalars(content["targets"])), registry)
    model.load_state_dict(content["model"])
    return model.eval(), Standardiser.from_state(content["standardiser"]), tuple(content["targets"])
