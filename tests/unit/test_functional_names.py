"""Names of functionals: what people write is what is computed, or is refused with what there is instead.

The oracle is PySCF's libxc on libxc's own identifiers; parameters of D3 are the published numbers.
"""

from __future__ import annotations

from functools import cache

import dftd3.interface
import functional_spellings as table
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pyscf.dft import libxc
from scfx_jax_xc.abstract import AbstractLibxcSum
from scfx_jax_xc.names import parse

import scfx
from scfx.errors import ConfigError, RefusedNameError, UnknownNameError
from scfx.registry.spelling import spelling_key


@pytest.fixture(scope="module")
def registry():
    return scfx.Registry.discover()


def _libxc(text: str):
    """(family, short-range exact exchange, what is added at long range, omega, VV10) as PySCF's libxc has them."""
    omega, long_range, difference = libxc.rsh_coeff(text)
    family = {"HF": "none"}.get(libxc.xc_type(text), libxc.xc_type(text).lower())
    nonlocal_terms = libxc.nlc_coeff(text)
    return (
        family, long_range + difference, -difference if omega else 0.0, omega if difference else 0.0,
        nonlocal_terms[0][0] if nonlocal_terms else None,
    )  # fmt: skip


def _ours(f: scfx.AbstractFunctional):
    return (f.family, f.exact_exchange, f.long_range_exchange, f.omega)


@cache
def _energy_of_libxc(text: str) -> np.ndarray:
    rho, sigma, tau = _POINTS
    nothing = np.zeros_like(rho)
    components = {"lda": [rho], "gga": [rho, np.sqrt(sigma), nothing, nothing]}.get(
        libxc.xc_type(text).lower(), [rho, np.sqrt(sigma), nothing, nothing, nothing, tau]
    )
    given = np.array(components)
    return libxc.eval_xc(text, given if len(given) > 1 else given[0], deriv=0)[0] * rho


#: Densities, squared gradients and kinetic-energy densities of a molecule's order of magnitude.
_POINTS = (np.array([0.3, 0.05, 1.7]), np.array([0.02, 0.004, 3.0]), np.array([0.3, 0.04, 4.0]))


def _is_the_functional(f: scfx.AbstractFunctional, text: str) -> None:
    """Whether a functional's semilocal part is libxc's `text`: by its parts if it has them, else by its energies."""
    if isinstance(f, AbstractLibxcSum):
        numbers = libxc.available_libxc_functionals()
        _, expected = libxc.parse_xc(text)
        assert sorted((numbers[n.upper()], w) for n, w in f.sum.parts) == sorted(expected)
        return
    if f.family == "none":
        assert libxc.parse_xc(text)[1] == ()
        return
    rho, sigma, tau = (jnp.asarray(x) for x in _POINTS)
    density = scfx.ClosedShellDensity(
        rho, sigma if f.family != "lda" else None, tau if f.family == "mgga" else None
    )
    with jax.enable_x64(True):
        ours = np.asarray(f.closed_shell_energy_density(density))
    np.testing.assert_allclose(ours, _energy_of_libxc(text), rtol=1e-6)


def _assert_all(registry, text: str, spellings: list[str], vv10, dispersion) -> None:
    definitions = []
    for spelling in spellings:
        f = registry.functional(spelling)
        family, *numbers, _ = _libxc(text)
        assert f.family == family, spelling
        assert _ours(f)[1:] == pytest.approx(tuple(numbers), abs=1e-9), spelling
        assert f.vv10 == vv10, spelling
        assert f.dispersion == dispersion, spelling
        definitions.append((type(f), f))
    # One evaluation for each way of computing it.
    for _, f in dict(definitions).items():
        _is_the_functional(f, text)


@pytest.mark.parametrize("text", table.PLAIN)
def test_a_functional_has_many_spellings(registry, text):
    _assert_all(registry, text, table.PLAIN[text].split(), None, None)


@pytest.mark.parametrize("text", table.WITH_VV10)
def test_vv10_comes_with_the_name(registry, text):
    _assert_all(registry, text, table.WITH_VV10[text].split(), _libxc(text)[4], None)


@pytest.mark.parametrize("level", table.WITH_DISPERSION, ids=" ".join)
def test_the_dispersion_of_the_name_comes_with_it(registry, level):
    text, method, parameters = level
    expected = {"method": method, "functional": parameters}
    _assert_all(registry, text, table.WITH_DISPERSION[level].split("|"), None, expected)
    registry.dispersion({"name": method, "functional": parameters})  # has parameters


@pytest.mark.slow
def test_case_and_separators_tell_no_two_names_apart(registry):
    names = [n for text in (*table.PLAIN.values(), *table.WITH_VV10.values()) for n in text.split()]
    names += [n for text in table.WITH_DISPERSION.values() for n in text.split("|")]
    assert len(names) > 400
    for name in names:
        if "," in name or "*" in name or name.lower().startswith("hyb_"):
            continue
        one = registry.functional(name)
        for other in (name.upper(), name.lower(), name.replace("-", "_"), f" {name} "):
            two = registry.functional(other)
            assert (two.definition(), two.vv10) == (one.definition(), one.vv10), other
            assert (two.dispersion or {}).get("method") == (one.dispersion or {}).get("method"), other


@pytest.mark.parametrize("reason", table.REFUSED)
def test_what_is_not_here_is_refused_and_says_why(registry, reason):
    for name in table.REFUSED[reason].split():
        with pytest.raises(ConfigError) as caught:
            registry.functional(name)
        assert caught.value.key == "scf.functional", name
        assert isinstance(caught.value, RefusedNameError), name
        assert reason in str(caught.value), f"{name}: {caught.value}"


def test_a_hyphen_makes_no_term_and_no_number(registry):
    for name in table.UNKNOWN.split():
        with pytest.raises(UnknownNameError):
            registry.functional(name)


def test_a_refusal_names_only_corrections_with_parameters(registry):
    def choices(name):
        with pytest.raises(RefusedNameError) as caught:
            registry.functional(name)
        return str(caught.value).partition("choose ")[2]

    assert choices("B3LYP-D3") == (
        "'b3lyp-d3bj' (Becke-Johnson damping) or 'b3lyp-d3zero' (zero damping) or 'b3lyp-d4'"
    )
    assert choices("m06-2x-d3") == "'m06-2x-d3zero' (zero damping)"
    assert choices("wb97-d3") == "'wb97-d4'"
    with pytest.raises(RefusedNameError, match="no correction here has parameters for 'svwn'"):
        registry.functional("svwn-d3")


def test_sums_in_pyscfs_syntax_mean_what_pyscf_means():
    for text in (
        "0.2*HF + .08*SLATER + .72*B88, .81*LYP + .19*VWN", "PBE,PBE", "HF", ".5*b3lyp5", "1,7", "402",
        "0.25*hf+0.75*pbe,pbe", "b3lyp5*0.5+0.5*pbe", "SR_HF(0.11)*0.25 + 0.75*pbe,pbe", "1e-1*hf+.9*b88,lyp",
        "RSH(0.65;-0.46;0.33) + 0.46*ITYH + .35*B88, VWN5*0.19 + LYP*0.81", "b88,lyp-0.1*vwn", "-0.1*hf + pbe,pbe",
        "0.5*106+0.5*hf,131", "hf*0.2+slater*0.8,", "1.0E-1*HF,", ",p86", "0.5*pbe+0.5*m06-l", "b97-1 + 0.1*hf",
    ):  # fmt: skip
        _assert_parsed_as_pyscf_does(text)
    # PySCF takes the "E-" of the first for an exponent.
    for text in ("pbe-0.25*hf", "pbe - 0.25*hf", "pbe,pbe - 0.25*hf"):
        found = parse(text)
        assert found is not None
        assert (found.parts, found.exact_exchange) == ((("gga_x_pbe", 1.0), ("gga_c_pbe", 1.0)), -0.25)


def test_every_name_that_pyscf_has_means_the_same_here():
    names = [*libxc.XC_ALIAS, *libxc.XC_CODES, *libxc._NAME_WITH_DASH]
    names += [n.split("_XC_")[1] for n in libxc.available_libxc_functionals() if "_XC_" in n]
    missing = 0
    for name in dict.fromkeys(names):
        if name in ("WB97X-D3", "ZLP", "M08-HX", "M08-SO", "SR-HF", "LR-HF"):
            continue  # PySCF cannot read these, takes one of two libxc functionals as it happens (ZLP), or lacks omega
        try:
            libxc.parse_xc(name)
        except (KeyError, ValueError):
            missing += 1
            assert parse(name) is None, name
            continue
        _assert_parsed_as_pyscf_does(name)
    assert missing < 10  # parts of sums that PySCF's table of dashes holds


def _assert_parsed_as_pyscf_does(text: str) -> None:
    numbers = libxc.available_libxc_functionals()
    found = parse(text)
    assert found is not None, text
    assert [(numbers[n.upper()], w) for n, w in found.parts] == [
        (int(n), w) for n, w in libxc.parse_xc(text)[1]
    ]
    omega, long_range, difference = libxc.rsh_coeff(text)
    assert found.exact_exchange == long_range + difference, text
    assert found.long_range_exchange == (-difference if omega else 0.0), text
    assert found.omega == (omega if difference else 0.0), text


# D3(BJ), s8, a1, a2: Grimme, Ehrlich, Goerigk 2011 (B3LYP, PBE, B97-D), Najibi, Goerigk 2018 (wB97X, wB97M, B97M).
# D3(0), sr6, s8, sr8: Grimme et al. 2010 (B3LYP, PBE), Lin et al. 2013 (wB97X-D3).
RATIONAL = {
    "b3lyp-d3bj": (1.9889, 0.3981, 4.4211), "pbe-d3bj": (0.7875, 0.4289, 4.4407), "b97-d3bj": (2.2609, 0.5545, 3.2297),
    "wb97x-d3(bj)": (0.2641, 0.0, 5.4959), "wb97m-d3bj": (0.3908, 0.566, 3.128), "b97m-d3bj": (0.1384, -0.078, 5.5946),
}  # fmt: skip
ZERO = {"b3lyp-d3(0)": (1.261, 1.703, 1.0), "pbe-d3(0)": (1.217, 0.722, 1.0), "wb97x-d3": (1.281, 1.0, 1.094)}


@pytest.mark.parametrize("name", [*RATIONAL, *ZERO])
def test_parameters_of_d3_are_the_published_ones(registry, name):
    numbers = np.array([8, 1, 1, 10, 16])
    positions = np.array(
        [[0, 0, 0.2], [0, 1.43, -0.9], [0, -1.43, -0.9], [0, 0, 6.0], [5.0, 0, 0]], dtype=float
    )
    system = scfx.System.from_arrays(numbers, positions, unit="bohr", multiplicity=1)
    dispersion = registry.functional(name).dispersion
    ours = registry.dispersion({"name": dispersion["method"], "functional": dispersion["functional"]}).energy(
        system
    )
    if name in RATIONAL:
        s8, a1, a2 = RATIONAL[name]
        published = dftd3.interface.RationalDampingParam(s6=1.0, s8=s8, a1=a1, a2=a2, s9=0.0)
    else:
        rs6, s8, rs8 = ZERO[name]
        published = dftd3.interface.ZeroDampingParam(s6=1.0, s8=s8, rs6=rs6, rs8=rs8, s9=0.0)
    model = dftd3.interface.DispersionModel(numbers, positions)
    assert ours == pytest.approx(float(model.get_dispersion(published, grad=False)["energy"]), rel=1e-9)


def test_names_with_a_correction_keep_the_definitions_they_had(registry):
    # Before there was a grammar `<name>-d3bj` passed the name on as it was written; hashes of labels hold it.
    for written in ("camb3lyp-d4", "cam-b3lyp-d3bj", "m062x-d3zero", "m06-2x-d3zero", "m06l-d3zero", "b3lypg-d3bj",
                    "b3lyp5-d3bj", "pbeh-d3zero", "b97-d-d3bj", "hcth-120-d3bj", "mn12-sx-d4", "olyp-d3bj",
                    "hyb_gga_xc_b3lyp-d4", "m05-2x-d3zero"):  # fmt: skip
        base, _, method = written.rpartition("-")
        assert registry.functional(written).dispersion == {"method": method, "functional": base}
    assert registry.functional("b3lyp-d3bjatm").dispersion["three_body"] is True


def test_bare_takes_what_belongs_to_a_name_away(registry):
    for name in ("wb97m-v", "wb97x-d", "wb97m-d3bj", "mgga_xc_b97m_v", "gga_xc_b97_d", "hyb_gga_xc_wb97x_d3"):
        f = registry.functional(f"bare({name})")
        assert f.vv10 is None
        assert f.dispersion is None
        assert "vv10" not in f.definition()
    with_vv10, without = registry.functional("b97m-v"), registry.functional("bare(b97m-v)")
    assert with_vv10.definition() == {**without.definition(), "vv10": [6.0, 0.01]}


@pytest.mark.parametrize("xc", ["0.5*wb97m_v + 0.5*pbe", "0.5*wb97x_d + 0.5*pbe", "b97_d", "b97_3c"])
@pytest.mark.parametrize("evaluator", ["libxc", "jax-xc"])
def test_choosing_libxc_by_hand_leaves_nothing_of_a_name_out(registry, evaluator, xc):
    with pytest.raises(RefusedNameError, match=r"scf\.functional: .*bare\("):
        registry.functional({"name": evaluator, "xc": xc})
    assert registry.functional({"name": evaluator, "xc": "wb97x_d"}).dispersion["method"] == "chg"
    assert registry.functional({"name": evaluator, "xc": "wb97x_v"}).vv10 == (6.0, 0.01)


def test_functionals_say_by_what_they_are_evaluated(registry, monkeypatch):
    assert registry.functional("b3lyp").implementation == "jax"
    assert registry.functional("b97-3").implementation == "jax (jax-xc's formulas)"
    assert registry.functional({"name": "libxc", "xc": "b97-3"}).implementation == "libxc-host"
    assert "b0kcis" in registry.functional("b0kcis").implementation
    import scfx_jax_xc

    found = scfx_jax_xc.find_spec
    monkeypatch.setattr(scfx_jax_xc, "find_spec", lambda name: None if name == "jax_xc" else found(name))
    slow = registry.functional("b97-3")
    assert slow.implementation == "libxc-host (jax-xc is not installed: pip install --no-deps jax-xc)"
    assert "jax-xc is not" not in str(slow.definition())


def test_spellings_of_the_native_functionals_are_distinct(registry):
    offers = [o.offer for o in registry.offers("functionals")]
    keys = {}
    for offer in offers:
        for name in (offer.name, *offer.aliases):
            assert keys.setdefault(spelling_key(name), offer.name) == offer.name


def test_an_unknown_name_shows_the_near_ones_and_where_all_are(registry):
    with pytest.raises(UnknownNameError) as caught:
        registry.functional("b3lypp")
    text = str(caught.value)
    assert "did you mean 'b3lyp'" in text
    assert "`scfx plugins` lists all" in text
    assert "tpssh" not in text
    with pytest.raises(UnknownNameError) as caught:
        registry.functional("nonsense-d4")
    assert len(str(caught.value)) < 300
