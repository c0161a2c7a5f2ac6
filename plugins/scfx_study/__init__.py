"""Studies: what each option costs, as a table, plots and a report.

Only hook implementations and the lazy names `Study` and `open` live here: pandas, matplotlib and pyarrow are imported
when a study is made, so that listing plugins stays fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import scfx

if TYPE_CHECKING:
    from scfx_study.study import Study as Study

__all__ = ["Study"]


def __getattr__(name: str) -> Any:
    if name == "Study":
        from scfx_study.study import Study

        return Study
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@scfx.hookimpl
def scfx_register_tasks() -> list[scfx.Offer]:
    """Offer the task `study`."""
    return [
        scfx.Offer(
            "study",
            "scfx_study.task:StudyTask",
            summary="labels under every option of a list: error statistics, plots, an HTML report; resumable",
            requires=("rdkit", "pyarrow", "pandas", "matplotlib"),
        )
    ]
