"""`check_store` passes the folder, and finds out stores that break one promise each."""

from __future__ import annotations

import pytest

from scfx.jobs.store import LocalStore
from scfx.testing import check_store


class Overwrites(LocalStore):
    def put_if_absent(self, name, data):
        self.replace(name, data)
        return True


class TellsEverybodyThatTheyWon(LocalStore):
    def put_if_absent(self, name, data):
        super().put_if_absent(name, data)
        return True


class KeepsHalves(LocalStore):
    def writer(self, name):
        return self.path(name).open("xb")


class ListsEverything(LocalStore):
    def names(self, folder):
        return [*super().names(folder), "attempts/x"]


def check(kind, folder):
    store = kind(folder)
    store.create()
    check_store(store, kind)


def test_a_folder_keeps_its_promises(tmp_path):
    check(LocalStore, tmp_path)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Overwrites, "says that it won"),
        (TellsEverybodyThatTheyWon, "says that it won"),
        (KeepsHalves, "has left a file"),
        (ListsEverything, "attempts/x"),
    ],
)
def test_a_broken_promise_is_found_out(kind, said, tmp_path):
    with pytest.raises(AssertionError, match=said):
        check(kind, tmp_path)
