"""A training that ends in the middle as if its process had been killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


@contextmanager
def killed_in_step(step: int) -> Iterator[None]:
    """Expect the training inside to be killed when it has made `step` steps."""
    from scfx_schnet.training import Training

    update = Training._update

    def dies(self, trained, sampler):
        if self.step == step:
            raise Killed
        return update(self, trained, sampler)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "_update", dies)
        with pytest.raises(Killed):
            yield
