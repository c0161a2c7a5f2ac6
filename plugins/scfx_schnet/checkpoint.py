"""Checkpoints: whole or not there, and with all that the rest of a training depends on."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from scfx.errors import ConfigError, InputError

_NEEDED = ("identity", "model_choice", "targets", "model", "standardiser")


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


def read(path: str | os.PathLike[str], key: str | None = None) -> dict[str, Any]:
    """Return the content of a `model.pt`.

    Raises `ConfigError` with `key` (`InputError` without one) if there is none, or if it is something else.
    """

    def wrong(text: str) -> ConfigError | InputError:
        return InputError(text) if key is None else ConfigError(key, text)

    name = repr(os.fspath(path))
    if not os.path.isfile(path):
        raise wrong(f"{name} is no file; a training leaves model.pt in its folder")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise wrong(
            f"{name} cannot be read as a network ({type(error).__name__}); take the model.pt of a run"
        ) from error
    if not isinstance(content, dict) or not set(_NEEDED) <= set(content):
        raise wrong(f"{name} is not the model.pt of a run: it lacks what scfx writes beside the weights")
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

    content = read(path)
    registry = registry or Registry.discover()
    form = Form(**content.get("form", {}))
    model = form.build(content["model_choice"], len(scalars(content["targets"])), registry)
    model.load_state_dict(content["model"])
    return model.eval(), Standardiser.from_state(content["standardiser"]), tuple(content["targets"])
