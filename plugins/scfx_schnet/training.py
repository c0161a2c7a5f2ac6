"""One training: a loss of standardised targets, AdamW, averaged weights; resumes bit for bit on one machine."""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scfx.errors import ConfigError, InputError
from scfx_schnet import checkpoint
from scfx_schnet.fidelity import Joined
from scfx_schnet.forces import WithForces
from scfx_schnet.job import TrainingJob
from scfx_schnet.logs import MetricLog, TrainingProgress
from scfx_schnet.molecules import Molecules
from scfx_schnet.objective import Objective, check_reach
from scfx_schnet.processes import Processes, choose_device
from scfx_schnet.sampling import Sampler
from scfx_schnet.targets import FORCES, scalars


class Training:
    """A `TrainingJob` in a folder: `metrics.csv`, `checkpoint.pt` while it runs, `model.pt` at the end."""

    #: What `train` returns.
    RESULTS = ("train_mae_ev", "validation_mae_ev", "test_mae_ev", "seconds", "epochs", "examples")

    def __init__(
        self,
        job: TrainingJob,
        folder: Path,
        registry: Any,
        group: Processes | None = None,
        console: Any = None,
    ):
        self.job, self.folder, self.console = job, folder, console
        self.group = group or Processes()
        self.options = job.options
        self.group.check(self.options.batch_size)
        self.device = choose_device(self.options.device, self.group)
        if self.options.threads:
            torch.set_num_threads(self.options.threads)
        folder.mkdir(parents=True, exist_ok=True)
        self._objective = Objective(job.molecules, job.rows, job.targets, job.options, job.standardiser)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(job.seed)
            outputs = len(scalars(job.targets))
            self.model = job.form.build(job.model, outputs, registry)
        check_reach(self.model, job.molecules, self._objective.with_forces)
        self.model.to(self.device)
        if job.start is not None:
            self._begin(job.start)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=1.0, weight_decay=self.options.weight_decay, fused=True
        )
        on_gpu = self.device.type == "cuda"
        self.scaler = torch.amp.GradScaler("cuda", enabled=on_gpu and self.options.precision == "float16")
        self.step, self.seconds = 0, 0.0

    def _begin(self, start: dict[str, torch.Tensor]) -> None:
        """Take the weights to begin with; what has none keeps its random ones."""
        unknown = self.model.load_state_dict(start, strict=False).unexpected_keys
        missing = set(self.model.state_dict()) - set(start)
        if unknown or (missing and not self.job.form.plain()):
            raise InputError(
                f"the weights to begin with are of another network: {sorted(missing) or unknown}"
            )

    # ---- running -------------------------------------------------------------------------------------------------

    def train(self) -> dict[str, Any]:
        """Train to the end, from the checkpoint if there is one; returns errors, each in its target's unit (mostly eV).

        Keys are `RESULTS`, the errors lists, target by target.
        """
        self._resume()
        options, sampler = self.options, Sampler(self.job.rows, self.options.batch_size, self.job.seed)
        trained = self.group.wrap(self._trained(), self.device)
        if options.compile:
            trained = torch.compile(trained, dynamic=True)  # type: ignore[assignment]
        first = self.group.first
        log = MetricLog(self.folder, self.step, options.tensorboard) if first else None
        progress = TrainingProgress(
            self.console if first else None, self.folder.name, options.steps, self.step
        )
        evaluations, begun, last = options.evaluations(), time.perf_counter(), self.seconds
        try:
            while self.step < options.steps:
                loss = self._update(trained, sampler)
                self.step += 1
                self.seconds = last + time.perf_counter() - begun
                looked = self.step in evaluations and self.step < options.steps
                if log is not None and (looked or self.step % options.log_every == 0):
                    row = self._row(sampler, loss)
                    if options.precision != "float16":  # whose scaler passes over such updates
                        self._check_finite([row["loss"]])
                    if looked:
                        row |= self._glance()
                    log.add(row)
                    progress.update(self.step, f"loss {row['loss']:.3f}")
                elif self.step % 10 == 0:
                    progress.update(self.step)
                if self.step % options.checkpoint_every == 0 and self.step < options.steps:
                    self._save()
            self.group.share(self.average.buffers())
            result = self.errors(sampler)
            self._check_finite([e for kind in self.RESULTS[:3] for e in result[kind]])
            if log is not None:
                ends = {k: result[k][0] for k in ("train_mae_ev", "validation_mae_ev")}
                log.add({**self._row(sampler, None), **ends})
        finally:
            progress.close()
            if log is not None:
                log.close()
        if first:
            checkpoint.save(self.folder / "model.pt", self._final())
            (self.folder / "checkpoint.pt").unlink(missing_ok=True)
        self.group.wait()
        return result

    def _update(self, trained: Any, sampler: Sampler) -> torch.Tensor:
        rate, momentum = self.options.schedule.at(self.step, self.options.steps)
        for settings in self.optimizer.param_groups:
            settings["lr"], settings["betas"] = rate, (momentum, 0.999)
        rows = sampler.batch(self.step, self.group.rank, self.group.world)
        batch = self._objective.batch(rows).to(self.device)
        with self._chance():
            with self._precision():
                predicted = trained(batch)
            loss = self._objective.loss(predicted, batch)
            self.optimizer.zero_grad(set_to_none=True)
            self.scaler.scale(loss).backward()
        if self.options.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._average()
        return loss.detach()

    def _trained(self) -> torch.nn.Module:
        """What an update calls: without derivatives where no force is learnt."""
        return self._with_forces(self.model) if self.options.force_weight else self.model

    def _with_forces(self, network: torch.nn.Module) -> torch.nn.Module:
        energy = self._objective.energy
        return network if energy is None else WithForces(network, energy).train(network.training)

    def _precision(self) -> Any:
        if self.options.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, getattr(torch, self.options.precision))

    @contextmanager
    def _chance(self) -> Iterator[None]:
        """What a network draws in an update (dropout) is a function of seed, step and process, as the rows are.

        So a training that was cut off draws the same, and nobody else's generator is touched. The generators are
        seeded one by one: `torch.manual_seed` writes down the whole stack where CUDA was not used yet.
        """
        index = self.device.index if self.device.type == "cuda" else None
        text = f"{self.job.seed} {self.step} {self.group.rank}"
        seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
        with torch.random.fork_rng(devices=[] if index is None else [index]):
            torch.default_generator.manual_seed(seed)
            if index is not None:
                torch.cuda.default_generators[index].manual_seed(seed)
            yield

    @torch.no_grad()
    def _average(self) -> None:
        # The average forgets its random beginning faster than its decay says (as in Adam's bias correction).
        decay = min(self.options.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage] - there is no public name for it
            list(self.average.parameters()), list(self.model.parameters()), 1 - decay
        )
        # Buffers (statistics of a batch norm) are no weights: they are taken as they are, as torch's own averages do.
        for mine, trained in zip(self.average.buffers(), self.model.buffers(), strict=True):
            mine.copy_(trained)

    # ---- looking -------------------------------------------------------------------------------------------------

    def predict(self, molecules: Molecules, rows: np.ndarray) -> np.ndarray:
        """Return targets that are numbers, [row, target], each in its unit (mostly eV), by the averaged weights."""
        return self.predictions(molecules, rows)[0]

    @torch.no_grad()
    def predictions(self, molecules: Molecules | Joined, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return those, and the forces on the concatenated atoms of the rows, [atom, 3] in eV/angstrom.

        Of forces there are none, [0, 3], if they are not among the targets.
        """
        size, standardiser, energy = (
            self.options.evaluation_batch,
            self._objective.standardiser,
            self._objective.energy,
        )
        network = self._with_forces(self.average)
        out, forces = [np.empty((0, len(scalars(self.job.targets))))], [np.empty((0, 3))]
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            with self._precision():
                found = network(molecules.pack(part).to(self.device))
            if energy is not None:
                found, of_atoms = found
                forces.append(of_atoms.float().cpu().numpy() * standardiser.std[energy])
            out.append(standardiser.to_ev(found.float().cpu().numpy(), molecules.atom_counts(part)))
        return np.concatenate(out), np.concatenate(forces)

    def mae(self, rows: np.ndarray) -> list[float]:
        """Return the mean absolute error, target by target, each in its unit; of forces that of a component.

        Rows are shared out among the processes.
        """
        mine = rows[self.group.rank :: self.group.world]
        wrong = torch.from_numpy(self._absolute_errors(mine)).to(self.device)
        return (self.group.sum(wrong).cpu().numpy() / self._counts(rows)).tolist()

    def reopen(self) -> None:
        """Take the weights of the folder's `model.pt`, which this very job left there."""
        content = checkpoint.read(self.folder / "model.pt")
        if content["identity"] != self.job.identity():
            raise InputError(f"{self.folder / 'model.pt'} is of another training; remove its folder")
        self.average.load_state_dict(content["model"])

    def _absolute_errors(self, rows: np.ndarray) -> np.ndarray:
        """Summed over rows, or over components of forces: [target]."""
        molecules, names = self.job.molecules, self.job.targets
        found, forces = self.predictions(molecules, rows)
        wrong = np.abs(found - molecules.targets(rows, scalars(names))).sum(axis=0)
        if FORCES not in names:
            return wrong
        return np.insert(wrong, names.index(FORCES), np.abs(forces - molecules.forces(rows)).sum())

    def _counts(self, rows: np.ndarray) -> np.ndarray:
        """Over how many numbers the error of each target is a mean."""
        components = 3 * int(self.job.molecules.sizes[rows].sum())
        return np.array([components if name == FORCES else len(rows) for name in self.job.targets])

    def errors(self, sampler: Sampler) -> dict[str, Any]:
        """Return the errors at the end: of a part of the training subset, and of all validation and test rows."""
        return {
            **self.mean_errors(),
            "seconds": round(self.seconds, 2),
            "epochs": sampler.epochs(self.step),
            "examples": self.step * self.options.batch_size,
        }

    def mean_errors(self) -> dict[str, list[float]]:
        """Return those errors alone, lists target by target; the test's is empty where no rows are set apart for it."""
        seen = self.job.rows[: self.options.evaluate_rows]
        return {
            "train_mae_ev": self.mae(seen),
            "validation_mae_ev": self.mae(self.job.validation),
            "test_mae_ev": self.mae(self.job.test) if len(self.job.test) else [],
        }

    def _check_finite(self, numbers: list[float]) -> None:
        """Raise `ConfigError` if the training has left the finite; its checkpoint is of no use then."""
        if not np.isfinite(numbers).all():
            if self.group.first:
                (self.folder / "checkpoint.pt").unlink(missing_ok=True)
            raise ConfigError(
                "task.training.schedule",
                f"{self.folder.name}: the training diverged by update {self.step:,}. Take a lower `peak`, or set "
                "clip_norm",
            )

    def _glance(self) -> dict[str, Any]:
        """A look at the first target on the way, by the first process alone."""
        out = {}
        for name, rows in (("train_mae_ev", self.job.rows), ("validation_mae_ev", self.job.validation)):
            some = rows[: self.options.evaluate_rows]
            out[name] = float((self._absolute_errors(some) / self._counts(some))[0])
        return out

    def _row(self, sampler: Sampler, loss: torch.Tensor | None) -> dict[str, Any]:
        return {
            "step": self.step,
            "examples": self.step * self.options.batch_size,
            "epoch": round(sampler.epochs(self.step), 4),
            "learning_rate": self.options.schedule.at(self.step - 1, self.options.steps)[0],
            "loss": "" if loss is None else float(loss),
            "seconds": round(self.seconds, 3),
        }

    # ---- keeping -------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        if self.group.first:
            content = {
                "identity": self.job.identity(),
                "step": self.step,
                "seconds": self.seconds,
                "model": self.model.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
            }
            checkpoint.save(self.folder / "checkpoint.pt", content)
        self.group.wait()

    def _resume(self) -> None:
        found = checkpoint.load(self.folder / "checkpoint.pt", self.job.identity(), self.device)
        if found is not None:
            self.step, self.seconds = found["step"], found["seconds"]
            self.model.load_state_dict(found["model"])
            self.average.load_state_dict(found["average"])
            self.optimizer.load_state_dict(found["optimizer"])
            self.scaler.load_state_dict(found["scaler"])

    def _final(self) -> dict[str, Any]:
        return {
            "identity": self.job.identity(),
            "model_choice": self.job.model,
            "targets": list(self.job.targets),
            "form": self.job.form.plain(),
            "model": self.average.state_dict(),
            "standardiser": self._objective.standardiser.state(),
            "learnt": [*self.job.learnt, self.job.molecules.identity],
            "training": self.options.model_dump(mode="json"),
            "elements": self.job.molecules.elements(self.job.rows),
            "charges": self.job.molecules.description.get("charges", []),
        }
