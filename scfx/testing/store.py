"""The conformance suite of stores: the promises on which "committed exactly once" stands."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from scfx.jobs.store import AbstractStore


class _Broken(Exception):
    pass


def check_store(store: AbstractStore, reopen: Callable[[str], AbstractStore]) -> None:
    """Check an empty store that `create` has made ready, and the same place opened again by `reopen(store.url)`.

    Raises `AssertionError` saying which promise is broken: the first of several wins, files are written once and whole,
    another process sees them, names come sorted and by folder, removing twice does no harm.
    """
    other = reopen(store.url)
    assert store.put_if_absent("commits/a.json", b"first"), "put_if_absent wrote nothing where nothing was"
    assert not other.put_if_absent("commits/a.json", b"second"), "a second put_if_absent says that it won"
    assert other.read("commits/a.json") == b"first", "put_if_absent replaced what was there"

    def put(number: int) -> bool:
        return reopen(store.url).put_if_absent("commits/b.json", str(number).encode())

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(put, range(8)))
    assert sum(won) == 1, f"of eight writers at once {sum(won)} were told that they won"
    assert store.read("commits/b.json") == str(won.index(True)).encode(), "the bytes are not the winner's"

    store.write_new("attempts/x", b"0123456789")
    assert _refuses(lambda: store.write_new("attempts/x", b"again")), "write_new replaced a file"
    with other.reader("attempts/x") as handle:
        handle.seek(-4, 2)
        assert handle.read(2) == b"67", "a reader does not seek from the end"
    with suppress(_Broken), store.writer("plan/half") as handle:
        handle.write(b"half")
        raise _Broken
    assert not other.exists("plan/half"), "a writer that failed has left a file"
    assert _refuses(lambda: other.read("plan/half")), "a file that is not there was read"
    with store.writer("plan/whole") as handle:
        handle.write(b"one ")
        handle.write(b"two")
    assert other.read("plan/whole") == b"one two", "a writer's pieces are not there, in order"
    store.replace("summary.json", b"old")
    store.replace("summary.json", b"new")
    assert other.read("summary.json") == b"new", "replace kept the older file"

    assert other.names("commits") == ["commits/a.json", "commits/b.json"], other.names("commits")
    assert other.sizes("attempts") == {"attempts/x": 10}, other.sizes("attempts")
    assert (other.size("attempts/x"), other.size("attempts/y")) == (10, None), "sizes are wrong"
    other.remove("attempts/x")
    other.remove("attempts/x")
    assert not store.exists("attempts/x"), "a file that was removed is there"


def _refuses(call: Callable[[], object]) -> bool:
    try:
        call()
    except OSError:  # FileExistsError, FileNotFoundError, and what a machine far away says
        return True
    return False
