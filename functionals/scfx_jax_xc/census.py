"""Which libxc functionals jax-xc's kernels compute rightly: every one is compared with libxc itself (PySCF's).

    python -m scfx_jax_xc.census            compare all, write census.json (an hour on one core)
    python -m scfx_jax_xc.census NAME...    compare some, and write what is found about them

Compared at `points()`: energy per volume and its derivatives by every density variable, polarised and not. A
functional passes if each agrees to `TOLERANCE` of the largest magnitude that the quantity takes at points of the
same density, and all are finite, there and where a density or one of its spins vanishes
(`scfx.testing.functional.vanishing_densities`). Only what passed is resolved by name through the kernels (`passed`).
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

TOLERANCE = {"value": 1e-10, "derivative": 1e-8}
_TABLE = Path(__file__).parent / "census.json"
#: Seconds within which a functional must be compared: slower kernels would stall a calculation.
LIMIT_S = 120.0


@lru_cache(maxsize=1)
def table() -> dict[str, dict[str, Any]]:
    """Return the census: by name `verdict` ("agrees", or why not) and the largest deviations found."""
    with _TABLE.open(encoding="utf-8") as file:
        return json.load(file)["functionals"]


def passed(name: str) -> bool:
    """Return whether the kernels compute this libxc functional rightly."""
    return table().get(name, {}).get("verdict") == "agrees"


def points() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return spin densities [n, 2], gradient invariants [n, 3], kinetic-energy densities [n, 2] like those of
    molecules.

    Densities from 1e-6 to 30 bohr^-3 (tails to cores of second-row atoms), polarised up to 9 to 1; reduced gradients
    0.01 to 10; tau from its von Weizsäcker bound to five times the uniform gas above it.
    """
    rng = np.random.default_rng(7)
    n = 96
    total = np.exp(rng.uniform(np.log(1e-6), np.log(30.0), n))
    share = rng.uniform(0.1, 0.9, n)
    rho = np.stack([total * share, total * (1.0 - share)], axis=1)
    reduced = np.exp(rng.uniform(np.log(0.01), np.log(10.0), (n, 2)))
    # s = |grad rho| / (2 (3 pi^2)^(1/3) rho^(4/3)) of each spin, as if both spins were like it
    gradient = reduced * 2.0 * (3.0 * np.pi**2) ** (1 / 3) * (2.0 * rho) ** (4 / 3) / 2.0
    cosine = rng.uniform(-0.9, 0.9, n)
    sigma = np.stack(
        [gradient[:, 0] ** 2, gradient[:, 0] * gradient[:, 1] * cosine, gradient[:, 1] ** 2], axis=1
    )
    uniform = 0.3 * (6.0 * np.pi**2) ** (2 / 3) * rho ** (5 / 3)
    tau = sigma[:, [0, 2]] / (8.0 * rho) + uniform * rng.uniform(0.02, 5.0, (n, 2))
    return rho, sigma, tau


def compare(name: str) -> dict[str, Any]:
    """Return `verdict` and deviations of one functional; never raises for what a functional does."""
    from scfx_jax_xc.library import functional
    from scfx_jax_xc.names import number_of

    try:
        number_of(name)
    except KeyError:
        return {"verdict": "PySCF's libxc does not have it"}
    theirs = functional(name, True)
    if theirs.unusable:
        return {"verdict": theirs.unusable}
    record: dict[str, Any] = {}
    for polarised in (True, False):
        try:
            worst = _deviations(name, polarised)
        except Exception as error:  # whatever a kernel raises is its verdict
            return {
                "verdict": f"its kernel fails: {type(error).__name__}: {str(error).splitlines()[0][:120]}"
            }
        for key, deviation in worst.items():
            record[key] = max(record.get(key, 0.0), deviation)
    if not all(np.isfinite(v) for v in record.values()):
        return {"verdict": "its kernel is not finite everywhere"}
    record = {key: float(f"{v:.1e}") for key, v in record.items()}
    if record["value"] > TOLERANCE["value"] or record["derivative"] > TOLERANCE["derivative"]:
        return {"verdict": "its kernel disagrees with libxc", **record}
    if not finite_where_densities_vanish(name):
        return {"verdict": "its kernel is not finite where a density or a spin vanishes", **record}
    return {"verdict": "agrees", **record}


def finite_where_densities_vanish(name: str) -> bool:
    """Return whether the kernel's energy has finite derivatives at the driver's hard points."""
    import jax

    from scfx.energy.exchange_correlation.functional_at_points import (
        evaluate_closed_shell,
        evaluate_spin_resolved,
    )
    from scfx.testing.functional import vanishing_densities
    from scfx_jax_xc.kernels import KernelFunctional

    functional = KernelFunctional(f"bare({name})")
    with jax.enable_x64(True):
        one, two = vanishing_densities(functional.family, "float64")
        weights = jax.numpy.ones(one.shape[-1])
        found = [evaluate_closed_shell(functional, one, weights)]
        found += [evaluate_spin_resolved(functional, values, weights) for values in two.values()]
    return all(np.isfinite(np.asarray(f.derivative)).all() for f in found)


def _deviations(name: str, polarised: bool) -> dict[str, float]:
    import jax

    from scfx_jax_xc.kernels import parameters, per_particle
    from scfx_jax_xc.library import functional

    rho, sigma, tau = points()
    if not polarised:
        rho, tau = rho.sum(axis=1, keepdims=True), tau.sum(axis=1, keepdims=True)
        sigma = sigma[:, :1] + 2.0 * sigma[:, 1:2] + sigma[:, 2:]
        tau = np.maximum(tau, sigma / (8.0 * rho) * 1.02)
    theirs = functional(name, polarised)
    energy, *slopes = theirs.evaluate(rho, sigma, tau)
    family = theirs.family or "lda"
    used = {"lda": 1, "gga": 2, "mgga": 3}[family]
    record = parameters()[name]
    with jax.enable_x64(True):

        def per_volume(*columns: Any) -> Any:
            split = [columns[0:2], columns[2:5], columns[5:7]] if polarised else [(c,) for c in columns]
            given: list[Any] = [None, None, None]
            for index in range(used):
                given[index] = tuple(split[index]) if polarised else split[index][0]
            if polarised:
                given = [g if g is not None else (None,) * n for g, n in zip(given, (2, 3, 2), strict=True)]
            total = given[0][0] + given[0][1] if polarised else given[0]
            return total * per_particle(record, polarised, *given)

        arrays = np.concatenate([rho, sigma, tau][:used], axis=1).T
        value, pullback = jax.vjp(per_volume, *(jax.numpy.asarray(a) for a in arrays))
        derivatives = np.stack([np.asarray(d) for d in pullback(jax.numpy.ones_like(value))], axis=1)
    expected = np.concatenate(slopes[:used], axis=1)
    scale = np.maximum(np.abs(energy), 1e-3 * np.abs(rho.sum(axis=1)))
    deviation = {"value": float(np.max(np.abs(np.asarray(value) - energy) / scale))}
    # Each derivative in units of its own size, or of its share of the energy where it vanishes.
    variables = np.concatenate([rho, sigma, tau][:used], axis=1)
    size = np.maximum(np.abs(expected), scale[:, None] / np.maximum(np.abs(variables), 1e-30))
    deviation["derivative"] = float(np.max(np.abs(derivatives - expected) / size))
    return deviation


class _Worker:
    """A process that compares, so that one that takes too long can be stopped."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def compare(self, name: str) -> dict[str, Any]:
        """`compare(name)`, or the verdict that it takes too long."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "scfx_jax_xc.census", "--serve"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(name + "\n")
        ready, _, _ = select.select([self._process.stdout], [], [], LIMIT_S)
        if ready:
            return json.loads(self._process.stdout.readline())
        self.close()
        return {"verdict": f"its kernel takes over {LIMIT_S:.0f} s to differentiate"}

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def main(names: list[str]) -> None:
    """Compare, print, and bring the table up to date after every functional."""
    from importlib.metadata import version

    from scfx_jax_xc.kernels import parameters

    found = dict(table()) if _TABLE.exists() else {}
    worker = _Worker()
    for name in names or sorted(parameters()):
        found[name] = worker.compare(name)
        print(name, found[name], flush=True)
        head = {
            "jax-xc": version("jax-xc"), "pyscf": version("pyscf"), "tolerance": TOLERANCE,
            "agree": sum(r["verdict"] == "agrees" for r in found.values()), "compared": len(found),
        }  # fmt: skip
        rows = ",\n".join(f"{json.dumps(n)}:{json.dumps(found[n])}" for n in sorted(found))
        _TABLE.write_text(json.dumps(head)[:-1] + ', "functionals": {\n' + rows + "\n}}\n", encoding="utf-8")
    worker.close()
    agree = sum(record["verdict"] == "agrees" for record in found.values())
    print(f"{agree} of {len(found)} agree -> {_TABLE}")


def serve() -> None:
    """Read names on standard input and write verdicts on standard output."""
    for line in sys.stdin:
        print(json.dumps(compare(line.strip())), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        main(sys.argv[1:])
