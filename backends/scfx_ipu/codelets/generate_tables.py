"""Writes rys_tables.hpp: piecewise polynomials for the roots and weights of Rys quadrature, and their asymptotes.

    python generate_tables.py > rys_tables.hpp

Rys polynomials are orthogonal in x = t² with the weight exp(-X t²) dt on [0, 1] (Dupuis, Rys, King, J. Chem. Phys. 65,
111 (1976)). For each X the measure is discretised by Gauss-Legendre points in t, the Stieltjes procedure gives the
recurrence coefficients (Gautschi, Orthogonal Polynomials (2004), section 2.2.3.1), and the eigenvalues of the Jacobi
matrix are the roots (Golub, Welsch, Math. Comp. 23, 221 (1969)): stable in float64 for the few roots needed here.
Between X = 0 and a limit the roots and weights are Chebyshev interpolants on intervals of one width, rewritten as
powers of u in [-1, 1]; above it the upper end of the integral may go to infinity and they are those of Gauss-Hermite
quadrature, x = h²/X and w = w_h/√X.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.polynomial import chebyshev

MAX_ROOTS = 7
WIDTH = 2.0
DEGREE = 8
#: Relative error that the tables may have before rounding: well below float32's half unit of 6e-8.
TOLERANCE = 2e-9


def roots_and_weights(n: int, x: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the `n` roots t² and weights for one X."""
    points, weights = np.polynomial.legendre.leggauss(120)
    t = 0.5 * (points + 1.0)
    measure = 0.5 * weights * np.exp(-x * t * t)
    s = t * t
    total = measure.sum()
    alpha, beta = np.empty(n), np.empty(n)
    previous, current, norm_before = np.zeros_like(s), np.ones_like(s), 1.0
    for k in range(n):
        norm = (measure * current * current).sum()
        alpha[k] = (measure * s * current * current).sum() / norm
        beta[k] = norm / norm_before if k else total
        previous, current = current, (s - alpha[k]) * current - (beta[k] if k else 0.0) * previous
        norm_before = norm
    off = np.sqrt(beta[1:])
    values, vectors = np.linalg.eigh(np.diag(alpha) + np.diag(off, 1) + np.diag(off, -1))
    return values, total * vectors[0] ** 2


def hermite(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the positive half of the 2n-point Gauss-Hermite rule: squares of the roots, and weights."""
    h, w = np.polynomial.hermite.hermgauss(2 * n)
    return h[n:] ** 2, w[n:]


def limit(n: int) -> float:
    """Return the smallest multiple of the interval's width above which the asymptotic form is good to float32."""
    h, w = hermite(n)
    x = WIDTH
    while True:
        roots, weights = roots_and_weights(n, x)
        # The outermost root carries a weight of e^{-h²}: judge each weight against their sum.
        error = max(np.abs(h / x / roots - 1).max(), np.abs(w / np.sqrt(x) - weights).max() / weights.sum())
        if error < TOLERANCE:
            return x
        x += WIDTH


def polynomials(n: int, intervals: int) -> tuple[np.ndarray, float]:
    """Return the coefficients [interval, 2n, DEGREE + 1] of powers of u, and the largest relative error found between
    nodes.
    """
    out = np.empty((intervals, 2 * n, DEGREE + 1))
    worst = 0.0
    nodes = np.cos(np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))
    checks = np.linspace(-1.0, 1.0, 7)
    for i in range(intervals):
        middle, half = (i + 0.5) * WIDTH, 0.5 * WIDTH
        values = np.array([np.concatenate(roots_and_weights(n, middle + half * u)) for u in nodes])
        series = np.linalg.solve(chebyshev.chebvander(nodes, DEGREE), values)
        for k in range(2 * n):
            powers = chebyshev.cheb2poly(series[:, k])  # shorter where the last ones vanish
            out[i, k, : len(powers)] = powers
            out[i, k, len(powers) :] = 0.0
        exact = np.array([np.concatenate(roots_and_weights(n, middle + half * u)) for u in checks])
        error = np.abs(np.polynomial.polynomial.polyval(checks, out[i].T).T - exact)
        error[:, :n] /= exact[:, :n]
        error[:, n:] /= exact[:, n:].sum(axis=1, keepdims=True)
        worst = max(worst, error.max())
    return out, worst


def literal(value: float) -> str:
    """Return a float32 literal that reads back exactly."""
    text = f"{float(np.float32(value)):.9g}"
    return f"{text}f" if any(c in text for c in ".e") else f"{text}.0f"


def main() -> None:
    """Write the tables that the codelets read."""
    print("// Written by generate_tables.py, which explains what this is. Do not edit.")
    print("#ifndef SCFX_RYS_TABLES_HPP\n#define SCFX_RYS_TABLES_HPP\n\nnamespace scfx_rys {\n")
    print(f"constexpr int kMaxRoots = {MAX_ROOTS};")
    print(f"constexpr int kDegree = {DEGREE};  // of the polynomials")
    print(f"constexpr float kIntervalsPerUnit = {literal(1.0 / WIDTH)};\n")
    print(
        "// kPolynomials[interval][k][power]: k < n roots, then n weights. kHermite: squares of roots, then weights."
    )
    print("template <int N>\nstruct Table;\n")
    for n in range(1, MAX_ROOTS + 1):
        end = limit(n)
        intervals = round(end / WIDTH)
        coefficients, worst = polynomials(n, intervals)
        print(f"{n} roots: {intervals} intervals, relative error {worst:.1e}", file=sys.stderr)
        if worst > TOLERANCE:
            sys.exit(
                f"{n} roots: relative error {worst:.1e} exceeds {TOLERANCE:.1e}; raise DEGREE or lower WIDTH"
            )
        h, w = hermite(n)
        print(f"template <>\nstruct Table<{n}> {{")
        print(f"  static constexpr int kIntervals = {intervals};")
        print(f"  static constexpr float kLimit = {literal(end)};")
        print(f"  static constexpr float kHermite[{2 * n}] = {{{', '.join(literal(v) for v in [*h, *w])}}};")
        print(f"  static constexpr float kPolynomials[{intervals}][{2 * n}][{DEGREE + 1}] = {{")
        for interval in coefficients:
            print("      {")
            for row in interval:
                print(f"          {{{', '.join(literal(v) for v in row)}}},")
            print("      },")
        print("  };\n};\n")
    print("}  // namespace scfx_rys\n\n#endif")


if __name__ == "__main__":
    main()
