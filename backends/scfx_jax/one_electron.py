"""Overlap, kinetic energy, nuclear attraction and dipole of a batch."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from scfx.contracts.backend import OneElectron
from scfx.execution.device import running
from scfx.model.batch import Batch
from scfx_jax.boys import boys_table
from scfx_jax.pairs import (
    REPULSION_ROOT,
    PairClass,
    PairTables,
    Products,
    QuartetProgram,
    molecules_of,
    pair_tables,
    power_of_two,
    products_of_class,
)
from scfx_jax.repulsion import needs_expansion, quartets

#: Exponent of the Gaussian that stands for a nucleus: so large that sums with others' exponents are itself.
_POINT = 1e24
_SS = PairClass((0, True), (0, True))


def one_electron_matrices(batch: Batch, start: int, lanes: int, width: int) -> OneElectron:
    """Return the matrices of `lanes` entries from `start` on (fewer at the batch's end), side by side. Inside x64."""
    entries, n = min(lanes, len(batch) - start), batch.nao
    molecules = jax.tree.map(jax.device_put, molecules_of(batch, start, lanes))
    classes = pair_tables(batch.layout, width)
    nuclei, n_tiles = _nuclei(molecules, classes, width)
    out = np.zeros((6, entries, n, n))
    for tables in classes:
        products, moments = products_of_class(molecules, tables, needs_expansion([tables.kind, _SS]))
        nuclear = _nuclear(products, nuclei, tables, n_tiles, power_of_two(classes[0].n_tiles))
        made = [moments.overlap, moments.kinetic, *np.asarray(moments.position), nuclear]
        kept = tables.ao[0] >= 0
        i, j = tables.ao[0][kept], tables.ao[1][kept]
        for to, matrix in zip(out, made, strict=True):
            # [lane, tile, width, function], as `tables.ao`
            values = np.asarray(matrix)[:, : tables.n_tiles, :, :entries].transpose(3, 1, 2, 0)[:, kept]
            to[:, i, j] = values
            to[:, j, i] = values
    overlap, kinetic, nuclear = out[0], out[1], out[5]
    centre = batch.positions[start : start + entries].mean(axis=1)
    dipole = np.moveaxis(out[2:5], 0, 1) + centre[:, :, None, None] * overlap[:, None]
    return OneElectron(overlap, kinetic, nuclear, dipole)


def _nuclei(molecules: Any, classes: tuple[PairTables, ...], width: int) -> tuple[Products, int]:
    """Return nuclei as pairs of two s shells, in arrays of the shape that this molecule's have, and their tiles.

    (ab|C) with a normalised Gaussian of infinite exponent in C is the attraction to a point charge, so repulsion's
    program computes it, and none is compiled for it.
    """
    lanes, atoms = molecules.charge.shape
    n_tiles = -(-atoms // width)
    slabs = max(power_of_two(n_tiles), len(classes[0].slab_tile))
    charge, position = np.zeros((slabs * width, lanes)), np.zeros((slabs * width, lanes, 3))
    charge[:atoms], position[:atoms] = molecules.charge.T, np.swapaxes(molecules.position, 0, 1)
    values = np.zeros((slabs, 9, width, lanes))
    values[:, 0], values[:, 1] = _POINT, 0.5 / _POINT
    # 4π: the transform of two s functions divides by it.
    factor = 4.0 * np.pi * (_POINT / np.pi) ** 1.5 * REPULSION_ROOT / _POINT
    values[:, 2] = -factor * charge.reshape(slabs, width, lanes)
    return Products(
        values,
        np.moveaxis(position.reshape(slabs, width, lanes, 3), 3, 1),
        np.full((slabs, 1, 1, width, lanes), _SS.transform.item()),
    ), n_tiles


def _nuclear(
    products: Products, nuclei: Products, tables: PairTables, n_tiles: int, n_items: int
) -> np.ndarray:
    """Return the attraction to the nuclei [function, tile, width, lane]. `n_items`: least length of a list of tiles."""
    out = []
    for tile in range(tables.n_tiles):
        items = np.zeros((power_of_two(n_tiles, n_items), 6), dtype=np.int32)
        items[:n_tiles, :3] = tables.slabs(tile)
        items[:n_tiles, 3], items[:n_tiles, 4:] = np.arange(n_tiles), (1, tables.ao.shape[2])
        made = quartets(
            products,
            nuclei,
            items,
            n_tiles,
            0.0,
            boys_table(tables.kind.order),
            program=QuartetProgram(tables.kind, _SS, "float64", running().platform == "gpu"),
        )
        # [item, function, 1, width, nucleus, lane]: few nuclei, added up in their order
        out.append(np.asarray(made)[:, :, 0].sum(axis=(0, 3)))
    return np.stack(out, axis=1)
