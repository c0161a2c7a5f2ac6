"""The command keeps compiled functions on disk, and only where nobody said otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from scfx.cli import main
from scfx.commands import compilation_cache
from scfx.errors import InputError


def test_the_folder_is_under_the_users_cache_named_for_the_processor_and_only_the_users(tmp_path):
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    compilation_cache.enable(environment)
    folder = Path(environment["JAX_COMPILATION_CACHE_DIR"])
    assert str(folder).startswith(f"{tmp_path}/scfx/jax-")
    assert folder.stat().st_mode & 0o777 == 0o700
    compilation_cache.enable({"XDG_CACHE_HOME": str(tmp_path)})


def test_a_folder_that_others_can_write_to_or_own_is_refused(tmp_path, monkeypatch, capsys):
    # What is compiled is run again from there.
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    environment = {"JAX_COMPILATION_CACHE_DIR": str(folder)}
    with pytest.raises(InputError, match=r"everybody can write to it\. Remedy: chmod o-w"):
        compilation_cache.enable(environment)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(folder))
    assert main(["--version"]) == 2
    assert "everybody can write" in capsys.readouterr().err
    folder.chmod(0o755)
    compilation_cache.enable(environment)
    monkeypatch.setattr("os.geteuid", lambda: folder.stat().st_uid + 1)
    if folder.stat().st_uid:
        with pytest.raises(InputError, match="belongs to user"):
            compilation_cache.enable(environment)
    compilation_cache.enable({"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "not there yet")})
    compilation_cache.enable({"JAX_COMPILATION_CACHE_DIR": "gs://bucket/cache"})


def test_a_folder_that_is_set_already_wins():
    environment = {"XDG_CACHE_HOME": "/somewhere", "JAX_COMPILATION_CACHE_DIR": ""}
    compilation_cache.enable(environment)
    assert environment["JAX_COMPILATION_CACHE_DIR"] == ""
