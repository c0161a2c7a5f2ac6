"""The command keeps compiled functions on disk, and only where nobody said otherwise."""

from scfx.commands import compilation_cache


def test_the_folder_is_under_the_users_cache_and_named_for_the_processor():
    environment = {"XDG_CACHE_HOME": "/somewhere"}
    compilation_cache.enable(environment)
    assert environment["JAX_COMPILATION_CACHE_DIR"].startswith("/somewhere/scfx/jax-")


def test_a_folder_that_is_set_already_wins():
    environment = {"XDG_CACHE_HOME": "/somewhere", "JAX_COMPILATION_CACHE_DIR": ""}
    compilation_cache.enable(environment)
    assert environment["JAX_COMPILATION_CACHE_DIR"] == ""
