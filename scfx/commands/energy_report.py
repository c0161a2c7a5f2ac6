"""What `scfx energy` says of a result: a record for programs, and the same as lines for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scfx.model.system import System
    from scfx.results import SCFResult


def about(system: System, reference: str) -> dict[str, Any]:
    """Return what was computed: formula, electrons, what of them was assumed, and the kind of wave function.

    `s_squared_exact` is S (S + 1), which <S^2> exceeds by the contamination of an unrestricted solution.
    """
    if reference != "unrestricted" and system.multiplicity == 1:
        kind = "restricted"
    else:
        kind = "restricted-open" if reference == "restricted-open" else "unrestricted"
    spin = (system.multiplicity - 1) / 2
    return {
        "formula": system.formula,
        "charge": system.charge,
        "multiplicity": system.multiplicity,
        "assumed": sorted(system.assumed),
        "reference": kind,
        "s_squared_exact": spin * (spin + 1),
    }


def as_record(result: SCFResult) -> dict[str, Any]:
    """Return the first entry as plain data: the keys that scripts rely on, then more. NaN becomes None (null)."""
    from scfx.model.system import DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV

    facts = result.provenance
    return {
        "energy_hartree": _number(result.energy[0]),
        "homo_hartree": _number(result.homo[0]),
        "lumo_hartree": _number(result.lumo[0]),
        "gap_ev": _number(result.gap[0] * HARTREE_IN_EV),
        "converged": bool(result.converged[0]),
        "status": str(result.status[0]),
        "iterations": int(result.iterations[0]),
        "nao": int(result.nao[0]),
        "n_grid": int(result.n_grid[0]),
        "functional": facts["functional"],
        "functional_implementation": facts.get("functional_implementation", "jax"),
        "basis": facts["basis"],
        "backend": facts["backend"],
        "precision": facts["precision"],
        "spec_hash": facts["spec_hash"],
        **{key: facts[key] for key in ("level", "level_changed", "scf") if key in facts},
        "versions": facts["versions"],
        "device": facts["device"],
        "borrowed": facts.get("borrowed", {}),
        "dipole_debye": [_number(x * DIPOLE_AU_IN_DEBYE) for x in result.dipole[0]],
        "s_squared": _number(result.s_squared[0]),
        "rung": result.rung[0],
        "reason": result.reason[0],
        **_asked_for(result),
    }


def _asked_for(result: SCFResult) -> dict[str, Any]:
    """What only appears when it was asked for. Properties have their unit in the key; null ones come with a reason."""
    from scfx.contracts.property import plain

    out: dict[str, Any] = {}
    for name, values in result.properties.items():
        value = values[0]
        out[result.descriptors[name].key] = None if value is None else plain(value)
    reasons = {name: texts[0] for name, texts in result.property_reasons.items() if texts[0]}
    if reasons:
        out["property_reasons"] = reasons
    if result.quadrupole is not None:
        out["quadrupole_au"] = [[_number(x) for x in row] for row in result.quadrupole[0]]
    if result.stability is not None:
        found = result.stability[0]
        out["stability"] = (
            None
            if found is None
            else {
                "verdict": found.verdict,
                "internal_hartree": _number(found.internal),
                "external_hartree": None if found.external is None else _number(found.external),
            }
        )
    return out


def property_lines(result: SCFResult) -> list[str]:
    """Return the properties asked for, within 80 columns: a row an atom or a component; of large arrays the shape."""
    import numpy as np

    lines: list[str] = []
    symbols = result.systems[0].symbols
    for name, values in result.properties.items():
        value, described = values[0], result.descriptors[name]
        if name == "stability" and value is not None:
            continue  # has a line of its own, with the verdict
        head = f"{name} [{described.unit}]:" if described.unit else f"{name}:"
        if value is None:
            lines += _wrapped(f"{name}: none, {result.property_reasons[name][0]}", 2)
        elif isinstance(value, dict):
            width = max(map(len, value), default=0)
            lines += [head, *(f"  {key:<{width}} {_digits(number)}" for key, number in value.items())]
        else:
            array = np.atleast_1d(np.asarray(value))
            marks = [f"{s:<3}" for s in symbols] if described.axes[:1] == ("atom",) else [""] * len(array)
            if array.ndim == 1 and array.size == 1:
                lines.append(f"{head} {_digits(array[0]).strip()}")
            elif not marks[0] and (array.ndim == 1 or (array.ndim == 2 and len(array) <= 2)):
                lines += [head, *(line for row in np.atleast_2d(array) for line in _rows_of(row))]
            elif array.size <= len(array) * _COLUMNS and array.ndim <= 2:
                rows = zip(marks, array.reshape(len(array), -1), strict=True)
                lines += [head, *("  " + mark + " ".join(map(_digits, row)) for mark, row in rows)]
            else:
                lines.append(f"{head} an array of shape {array.shape}; --json has it")
    return lines


#: Numbers in a row of 80 columns.
_COLUMNS = 5


def _rows_of(numbers: Any) -> list[str]:
    cut = (numbers[i : i + _COLUMNS] for i in range(0, len(numbers), _COLUMNS))
    return ["  " + " ".join(map(_digits, row)) for row in cut]


def _digits(number: Any) -> str:
    return f"{round(float(number), 8) + 0.0:14.8f}"  # no negative zero


def _wrapped(text: str, indent: int) -> list[str]:
    import textwrap

    return textwrap.wrap(
        text, 80, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )


def _number(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def as_text(record: dict[str, Any]) -> str:
    """Return a record, with what `about` says of its system, as lines for people."""

    def shown(key: str, form: str) -> str:
        return "-" if record[key] is None else format(record[key], form)

    assumed = record["assumed"]

    def stated(key: str) -> str:
        return f"{key} {record[key]}" + (" (assumed)" if key in assumed else "")

    unit = "; positions taken as angstrom (assumed)" if "unit" in assumed else ""
    borrowed = "".join(
        f"; {part.replace('_', '-')} integrals from {', '.join(names)}"
        for part, names in record["borrowed"].items()
    )
    lines = [
        f"molecule    {record['formula']}, {stated('charge')}, {stated('multiplicity')}{unit}",
        f"reference   {record['reference']}, <S^2> {shown('s_squared', '.6f')} (exact {record['s_squared_exact']:.2f})",
        f"energy      {shown('energy_hartree', '.10f')} hartree",
        f"HOMO        {shown('homo_hartree', '.8f')} hartree",
        f"LUMO        {shown('lumo_hartree', '.8f')} hartree",
        f"gap         {shown('gap_ev', '.6f')} eV",
        f"status      {record['status']} after {record['iterations']} iterations"
        + (f" ({record['rung']})" if record["rung"] else ""),
        f"computed    {record['functional']} / {record['basis']}, {record['nao']} AOs, {record['n_grid']} grid points",
        f"by          {record['backend']} on {record['device']}, {record['precision']}{borrowed}",
        f"spec        {record['spec_hash'][:16]}",
    ]
    if record["functional_implementation"] != "jax":  # the slow way, or somebody else's formulas
        lines.insert(-1, f"functional  {record['functional_implementation']}")
    if "level" in record:
        changed = ", ".join(record["level_changed"])
        lines.insert(-1, f"level       {record['level']}" + (f", but for {changed}" if changed else ""))
    if record.get("stability"):
        found = record["stability"]
        numbers = ", ".join(
            f"{name} {found[f'{name}_hartree']:.6f}"
            for name in ("internal", "external")
            if found[f"{name}_hartree"] is not None
        )
        lines.append(f"stability   {found['verdict']}" + (f" ({numbers} hartree)" if numbers else ""))
    if "quadrupole_au" in record:
        rows = "; ".join(" ".join(f"{x:.5f}" for x in row) for row in record["quadrupole_au"])
        lines.append(f"quadrupole  {rows} e bohr^2")
    if not record["converged"]:
        from scfx.results import Status

        lines.append(f"not usable  {record['reason'] or Status(record['status']).explain()}")
    return "\n".join(line for text in lines for line in _wrapped(text, 12))
