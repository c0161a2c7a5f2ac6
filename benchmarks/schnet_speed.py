"""Training speed of scfx's SchNet against PyTorch Geometric's: same weights, batches, optimiser and threads.

    python benchmarks/schnet_speed.py --threads 1 --molecules 32 --rounds 15 --json out/schnet_speed.json
    python benchmarks/schnet_speed.py --forces --clock cpu --json out/schnet_force_speed.json

With `--forces` the loss is of energies and forces, minus their derivative: scfx's training then takes operations that
PyTorch differentiates twice. Only models without a limit of neighbours can do that.

Both take turns, update by update, so that what else the machine does hits both alike; the ratio is that of each
pair of updates, its median is reported with the quartiles. Molecules have the sizes of 9 to 11 heavy atoms with
hydrogens; positions are random at a molecule's density. PyTorch Geometric builds its graph by pyg-lib or torch-cluster,
which may not be installable: it is given `interaction_graph`, a function that has the pairs at hand, which spares it
the search. scfx finds its graph anew in every update. Before anything is timed, predictions must agree to 1e-5 and
gradients to 1e-4 of the largest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scfx_schnet import build
from scfx_schnet.batch import PackedMolecules, pack
from scfx_schnet.forces import WithForces
from scfx_schnet.presets import PRESETS


def molecules(count: int, seed: int) -> PackedMolecules:
    """Random molecules of 14 to 27 atoms, no two atoms closer than 0.95 angstrom, 8 cubic angstrom an atom."""
    random = np.random.default_rng(seed)
    numbers, positions = [], []
    for _ in range(count):
        natm = int(random.integers(14, 28))
        edge, placed = (8.0 * natm) ** (1 / 3), []
        while len(placed) < natm:
            point = random.uniform(0, edge, 3)
            if all(np.linalg.norm(point - other) > 0.95 for other in placed):
                placed.append(point)
        numbers.append(random.choice([1, 6, 7, 8, 9], size=natm, p=[0.5, 0.35, 0.07, 0.07, 0.01]))
        positions.append(np.array(placed))
    return pack(numbers, positions)


def graph_of(batch: PackedMolecules, cutoff: float):
    """What PyTorch Geometric's SchNet is given in place of its own search: all pairs within the cutoff."""
    source = torch.cat([batch.second, batch.first])
    target = torch.cat([batch.first, batch.second])

    def graph(positions: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        distance = (positions[source] - positions[target]).norm(dim=-1)
        inside = distance <= cutoff
        return torch.stack([source[inside], target[inside]]), distance[inside]

    return graph


def compare(
    name: str, batch: PackedMolecules, rounds: int, clock: Callable[[], float], with_forces: bool
) -> dict:
    from torch_geometric.nn.models import SchNet

    o = PRESETS[name][2]
    torch.manual_seed(0)
    theirs = SchNet(
        o["hidden_channels"], o["num_filters"], o["num_interactions"], o["num_gaussians"], o["cutoff"],
        interaction_graph=graph_of(batch, o["cutoff"]), readout=o["readout"],
    )  # fmt: skip
    ours = build(name).load_pyg(theirs.state_dict())  # type: ignore[operator]
    target, pushed = torch.randn(batch.n_molecules, 1), torch.randn(len(batch.numbers), 3)
    ours_with_forces = WithForces(ours, 0).train()
    optimizers = [torch.optim.AdamW(m.parameters(), lr=1e-5, fused=True) for m in (ours, theirs)]

    def predict(which: int) -> torch.Tensor:
        return ours(batch) if which == 0 else theirs(batch.numbers, batch.positions, batch.molecule)

    def forces(which: int) -> tuple[torch.Tensor, torch.Tensor]:
        if which == 0:
            return ours_with_forces(batch)
        positions = batch.positions.detach().requires_grad_(True)
        energies = theirs(batch.numbers, positions, batch.molecule)
        return energies, -torch.autograd.grad(energies.sum(), positions, create_graph=True)[0]

    def loss(which: int) -> torch.Tensor:
        if not with_forces:
            return (predict(which) - target).abs().mean()
        energies, found = forces(which)
        return (energies - target).abs().mean() + (found - pushed).abs().mean()

    def update(which: int) -> float:
        begun = clock()
        optimizers[which].zero_grad(set_to_none=True)
        loss(which).backward()
        optimizers[which].step()
        return clock() - begun

    with torch.no_grad():
        wrong = float((predict(0) - predict(1)).abs().max() / predict(1).abs().max().clamp_min(1))
    assert wrong < 1e-5, f"{name}: predictions differ by {wrong}"
    if with_forces:
        own, other = (forces(which)[1].detach() for which in (0, 1))
        assert (own - other).abs().max() <= 1e-4 * other.abs().max(), f"{name}: forces"
    for which in (0, 1):
        loss(which).backward()
    gradients = {k: p.grad for k, p in theirs.named_parameters()}
    for k, p in ours.named_parameters():
        assert (p.grad - gradients[k]).abs().max() <= 1e-4 * gradients[k].abs().max() + 1e-9, (
            f"{name}: gradient of {k}"
        )
    for which in (0, 1, 0, 1):
        update(which)
    seconds = [(update(0), update(1)) for _ in range(rounds)]
    ratios = sorted(theirs_s / ours_s for ours_s, theirs_s in seconds)
    quartiles = statistics.quantiles(ratios, n=4) if rounds > 1 else [ratios[0]] * 3
    best = [min(pair[which] for pair in seconds) for which in (0, 1)]
    return {
        "preset": name,
        "parameters": sum(p.numel() for p in ours.parameters()),
        "molecules_per_second": batch.n_molecules / best[0],
        "pyg_molecules_per_second": batch.n_molecules / best[1],
        "ratio_of_fastest": best[1] / best[0],
        "ratio_median": quartiles[1],
        "ratio_quartiles": [quartiles[0], quartiles[2]],
        "prediction_difference": wrong,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", help="default: every SchNet that can do what is asked")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--molecules", type=int, default=32, help="in a batch")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--forces", action="store_true", help="train on energies and forces")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: processor time, for one thread on a busy machine",
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.clock == "cpu" and options.threads > 1:
        parser.error("--clock cpu adds up threads: take --threads 1")
    schnets = [name for name in PRESETS if name.startswith("schnet")]
    able = [n for n in schnets if not (options.forces and PRESETS[n][2].get("max_neighbors"))]
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    batch = molecules(options.molecules, seed=0)
    print(f"torch {torch.__version__}, {options.threads} threads, {options.molecules} molecules, "
          f"{len(batch.numbers)} atoms; updates a second of each in turn")  # fmt: skip
    rows = []
    for name in options.presets or able:
        rounds = max(3, options.rounds // 4) if name == "schnet-9m" else options.rounds
        row = compare(name, batch, rounds, clock, options.forces)
        rows.append(row)
        low, high = row["ratio_quartiles"]
        print(
            f"{name:<16} {row['parameters']:>9,} parameters  {row['molecules_per_second']:8.0f} molecules/s  "
            f"PyG {row['pyg_molecules_per_second']:8.0f}  ratio {row['ratio_median']:.2f} [{low:.2f}, {high:.2f}]",
            flush=True,
        )
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(
            json.dumps({"threads": options.threads, "clock": options.clock, "rows": rows}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
