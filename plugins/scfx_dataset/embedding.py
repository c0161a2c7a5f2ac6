"""Embedding in a process that Ctrl-C does not reach, since RDKit takes that signal for itself
(`scfx.execution.sheltered`).

Workers are started with SIGINT blocked in every thread, so there RDKit works beside the solver; where the work is in
the command's own process, which must hear Ctrl-C, the embedding is in a process of its own that does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scfx.errors import ScfxError
from scfx.execution.sheltered import ProcessLostError, Sheltered

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from scfx_dataset.conformers import Conformers
    from scfx_dataset.options import Embedding


class Embedder:
    """`scfx_dataset.conformers.embed`, in this process if no SIGINT can come here, else in one of its own."""

    def __init__(self) -> None:
        #: Set in worker processes, which are started with SIGINT blocked.
        self.in_this_process = False
        self._there = Sheltered("scfx_dataset.conformers:embed")

    def embed(
        self, smiles: str, seeds: Sequence[int], options: Embedding, stop: threading.Event
    ) -> Conformers:
        """Return one conformer of a canonical SMILES per seed. Raises `ScfxError` if the process that embeds dies.

        `stop` says for whom: `cancel(stop)` ends this call.
        """
        if self.in_this_process:
            from scfx_dataset.conformers import embed

            return embed(smiles, seeds, options)
        try:
            return self._there(smiles, tuple(seeds), options, wanted_by=stop)
        except ProcessLostError as error:
            raise ScfxError(
                f"the process that embeds conformers ended (exit code {error.exit_code}) over {smiles!r}; with "
                "task.workers = 2 a molecule that ends its process is found and costs its own row only"
            ) from error

    def cancel(self, stop: threading.Event) -> None:
        """End the call of `embed` that was made with `stop`, if it is going on in the other process."""
        self._there.cancel(stop)

    def close(self) -> None:
        """Let the other process go. A later call of `embed` starts another."""
        self._there.close()


#: The one of this process.
embedder = Embedder()
