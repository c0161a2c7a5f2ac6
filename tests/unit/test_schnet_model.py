"""SchNet and PaiNN: the published sizes, the published function, and the symmetries of physics."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import schnet_data

torch = pytest.importorskip("torch", reason="the schnet extra is not installed")

import scfx_schnet  # noqa: E402
from scfx_schnet import convolution  # noqa: E402
from scfx_schnet.batch import pack  # noqa: E402
from scfx_schnet.graph import pair_graph  # noqa: E402
from scfx_schnet.presets import PRESETS  # noqa: E402

from scfx.errors import ConfigError, InputError  # noqa: E402

MODELS = ("schnet-tiny", "schnet-laptop", "painn-small")


def count(model) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.fixture(scope="module")
def molecules():
    return schnet_data.molecules(7, seed=1, natm=(4, 16))


@pytest.fixture(scope="module")
def batch(molecules):
    return pack(*molecules)


@pytest.fixture(params=MODELS)
def model(request, registry):
    torch.manual_seed(3)
    return scfx_schnet.build(request.param, registry=registry)


def test_the_9m_preset_has_the_papers_number_of_parameters(registry):
    # Mathiasen et al. 2023: SchNet 9M; the number is that of PyTorch Geometric's SchNet of these sizes.
    assert count(scfx_schnet.build("schnet-9m", registry=registry)) == 9_088_513


@pytest.mark.parametrize(("name", "hidden", "filters", "layers", "gaussians"), [
    ("schnet-9m", 1024, 256, 5, 200), ("schnet-original", 128, 128, 6, 50), ("schnet-laptop", 64, 64, 6, 50),
])  # fmt: skip
def test_parameters_are_those_of_the_layers_of_the_paper(registry, name, hidden, filters, layers, gaussians):
    # Schütt et al. 2018, figure 2: embedding; filter network, three atom-wise layers; two of the output.
    interaction = (gaussians + 1) * filters + (filters + 1) * filters
    interaction += hidden * filters + (filters + 1) * hidden + (hidden + 1) * hidden
    half = hidden // 2
    expected = 100 * hidden + layers * interaction + (hidden + 1) * half + half + 1
    assert count(scfx_schnet.build(name, registry=registry)) == expected


def in_another_frame(positions, seed=5):
    random = np.random.default_rng(seed)
    q, _ = np.linalg.qr(random.normal(size=(3, 3)))
    q *= np.sign(np.linalg.det(q))
    return [p @ q.T + random.normal(scale=3.0, size=3) for p in positions]


def test_prediction_is_invariant_under_rotation_and_translation(model, molecules, batch):
    numbers, positions = molecules
    torch.testing.assert_close(
        model(pack(numbers, in_another_frame(positions))), model(batch), rtol=2e-5, atol=2e-5
    )


def test_prediction_is_invariant_under_reflection(model, molecules, batch):
    numbers, positions = molecules
    torch.testing.assert_close(
        model(pack(numbers, [-p for p in positions])), model(batch), rtol=2e-5, atol=2e-5
    )


def test_prediction_is_invariant_under_permutation_of_atoms(model, molecules, batch):
    random = np.random.default_rng(0)
    orders = [random.permutation(len(z)) for z in molecules[0]]
    shuffled = [[a[o] for a, o in zip(part, orders, strict=True)] for part in molecules]
    torch.testing.assert_close(model(pack(*shuffled)), model(batch), rtol=2e-5, atol=2e-5)


def test_a_molecule_is_predicted_alike_alone_and_in_company(model, molecules, batch):
    alone = torch.cat([model(pack([z], [p])) for z, p in zip(*molecules, strict=True)])
    torch.testing.assert_close(alone, model(batch), rtol=1e-5, atol=1e-5)


def test_prediction_follows_the_order_of_molecules(model, molecules, batch):
    turned = pack(*[part[::-1] for part in molecules])
    torch.testing.assert_close(model(turned).flip(0), model(batch), rtol=1e-5, atol=1e-5)


def test_lengths_in_bohr_are_the_same_molecules(model, molecules, batch):
    numbers, positions = molecules
    in_bohr = [p / 0.529177210903 for p in positions]  # CODATA 2018
    torch.testing.assert_close(model(pack(numbers, in_bohr, unit="bohr")), model(batch), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(model(pack(numbers, in_bohr)), model(batch), atol=1e-3)


def test_a_lone_atom_and_atoms_out_of_reach_are_predicted_without_neighbours(registry):
    model = scfx_schnet.build("schnet-laptop", readout="add", registry=registry)
    one = model(pack([np.array([6])], [np.zeros((1, 3))]))
    far = model(pack([np.array([6, 6])], [np.array([[0.0, 0, 0], [0, 0, model.cutoff + 0.1]])]))
    torch.testing.assert_close(far, 2 * one)
    near = model(pack([np.array([6, 6])], [np.array([[0.0, 0, 0], [0, 0, 1.5]])]))
    assert not torch.allclose(near, 2 * one, atol=1e-4)


def test_the_prediction_goes_smoothly_to_zero_at_the_cutoff(registry):
    model = scfx_schnet.build("schnet-laptop", readout="add", registry=registry)

    def at(d):
        return float(model(pack([np.array([6, 8])], [np.array([[0.0, 0, 0], [0, 0, d]])])).detach())

    assert abs(at(model.cutoff - 0.01) - at(model.cutoff + 0.01)) < 1e-4


def test_readouts_are_sum_and_mean_of_atoms(registry, batch):
    torch.manual_seed(0)
    both = scfx_schnet.build("schnet-tiny", num_targets=2, readout=("add", "mean"), registry=registry)
    both.lin2.weight.data[1] = both.lin2.weight.data[0]
    out = both(batch)
    natm = torch.bincount(batch.molecule)
    torch.testing.assert_close(out[:, 0], out[:, 1] * natm, rtol=1e-5, atol=1e-5)


def test_a_softmax_readout_weighs_the_atoms_of_each_molecule(batch):
    from scfx_schnet.readout import columns, read_out

    readouts = ("add", "softmax", "mean")
    assert columns(readouts) == 4
    atoms = torch.randn(len(batch.numbers), 4, generator=torch.Generator().manual_seed(0))
    atoms[:, 3] *= 40  # far beyond what exp can do without care
    out = read_out(atoms, batch, readouts)
    for molecule in range(batch.n_molecules):
        own = atoms[batch.molecule == molecule].double()
        weights = torch.softmax(own[:, 3], dim=0)
        expected = torch.stack([own[:, 0].sum(), (weights * own[:, 1]).sum(), own[:, 2].mean()])
        torch.testing.assert_close(out[molecule].double(), expected, rtol=1e-5, atol=1e-5)


def test_the_gain_of_the_filters_changes_their_start_and_nothing_else(registry, batch):
    networks = []
    for gain in (1.0, 6.0):
        torch.manual_seed(0)
        networks.append(scfx_schnet.build("schnet-laptop", filter_gain=gain, registry=registry))
    plain, larger = (dict(n.named_parameters()) for n in networks)
    for name in plain:
        factor = 6.0 if name.endswith("mlp.2.weight") else 1.0
        torch.testing.assert_close(larger[name], factor * plain[name])


@pytest.mark.parametrize("cutoff", [2.0, 3.5])
@pytest.mark.parametrize("nearest", [None, 2, 5])
def test_the_convolution_is_the_sum_over_neighbours(batch, cutoff, nearest):
    # Schütt et al. 2018, eq. 4, written out atom by atom.
    graph = pair_graph(batch, cutoff, nearest)
    x = torch.randn(len(batch.numbers), 5)
    filters = torch.randn(len(graph.first), 5)
    found = convolution.pair_convolution(x, filters, graph)
    by_pair = {
        (i, j): w for i, j, w in zip(graph.first.tolist(), graph.second.tolist(), filters, strict=True)
    }
    for i in range(len(batch.numbers)):
        others = [j for j in range(len(x)) if j != i and batch.molecule[j] == batch.molecule[i]]
        distance = {j: float((batch.positions[i] - batch.positions[j]).norm()) for j in others}
        near = sorted((d, j) for j, d in distance.items())[: nearest or len(others)]
        expected = sum(
            (
                by_pair[min(i, j), max(i, j)] * x[j] * 0.5 * (math.cos(math.pi * d / cutoff) + 1)
                for d, j in near
                if d <= cutoff
            ),
            start=torch.zeros(5),
        )
        torch.testing.assert_close(found[i], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("nearest", [None, 3])
def test_derivatives_of_the_convolution_are_those_of_its_definition(batch, nearest):
    graph = pair_graph(batch, 4.0, nearest)
    torch.manual_seed(0)
    x = torch.randn(len(batch.numbers), 6, requires_grad=True)
    filters = torch.randn(len(graph.first), 6, requires_grad=True)
    weight = torch.randn(len(batch.numbers), 6)
    found = torch.autograd.grad(
        (convolution.pair_convolution(x, filters, graph) * weight).sum(), (x, filters)
    )
    plain = torch.zeros_like(x).index_add(0, graph.first, x[graph.second] * filters * graph.to_first[:, None])
    plain = plain.index_add(0, graph.second, x[graph.first] * filters * graph.to_second[:, None])
    expected = torch.autograd.grad((plain * weight).sum(), (x, filters))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("nearest", [None, 3])
def test_the_path_of_gpus_gives_what_the_path_of_cpus_gives(batch, nearest):
    graph = pair_graph(batch, 4.0, nearest)
    without_matrix = dataclasses.replace(graph, sums=None, sums_transposed=None)
    x, filters = torch.randn(len(batch.numbers), 6), torch.randn(len(graph.first), 6)
    torch.testing.assert_close(
        convolution.pair_convolution(x, filters, graph),
        convolution.pair_convolution(x, filters, without_matrix),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize(("cutoff", "gaussians"), [(10.0, 50), (15.0, 200), (6.0, 40)])
def test_leaving_out_gaussians_that_vanish_changes_nothing(batch, cutoff, gaussians):
    graph = pair_graph(batch, cutoff, None)
    centres = torch.linspace(0, cutoff, gaussians)
    banded = convolution.Smearing(graph, centres)
    assert banded.bands is not None
    dense = convolution.Smearing(dataclasses.replace(graph, sums=None), centres)
    layer = torch.nn.Linear(gaussians, 7)
    torch.testing.assert_close(banded.linear(layer), dense.linear(layer), rtol=1e-5, atol=1e-6)
    weight = torch.randn(len(graph.first), 7)
    found = torch.autograd.grad((banded.linear(layer) * weight).sum(), tuple(layer.parameters()))
    expected = torch.autograd.grad((dense.linear(layer) * weight).sum(), tuple(layer.parameters()))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in PRESETS if n.startswith("schnet")])
def test_the_forward_pass_is_that_of_pytorch_geometric(name, registry, batch):
    pyg = pytest.importorskip(
        "torch_geometric.nn.models",
        reason="torch_geometric, the oracle, is not installed",
        exc_type=ImportError,
    )
    options = PRESETS[name][2]
    nearest = options.get("max_neighbors")

    def graph(positions, molecule):
        same = (molecule[:, None] == molecule[None]) & ~torch.eye(len(molecule), dtype=torch.bool)
        distance = torch.where(same, torch.cdist(positions, positions), torch.inf)
        if nearest is not None:
            rank = distance.argsort(dim=1).argsort(dim=1)
            distance = torch.where(rank < nearest, distance, torch.inf)
        target, source = (distance <= options["cutoff"]).nonzero().unbind(1)
        return torch.stack([source, target]), (positions[source] - positions[target]).norm(dim=1)

    torch.manual_seed(1)
    theirs = pyg.SchNet(
        options["hidden_channels"], options["num_filters"], options["num_interactions"], options["num_gaussians"],
        options["cutoff"], interaction_graph=graph, readout=options["readout"],
    )  # fmt: skip
    ours = scfx_schnet.build(name, registry=registry).load_pyg(theirs.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(
            ours(batch), theirs(batch.numbers, batch.positions, batch.molecule), rtol=1e-5, atol=1e-5
        )


def test_any_plugin_may_offer_a_model(registry):
    names = {offer.name for offer in registry.offers("models")}
    assert set(PRESETS) <= names
    with pytest.raises(ConfigError, match="schnet-laptop"):
        scfx_schnet.build("schnet-laptob", registry=registry)
    with pytest.raises(ConfigError, match="hidden_channels"):
        scfx_schnet.build("schnet-laptop", hidden_chanels=3, registry=registry)


def test_bad_geometries_and_units_are_refused():
    with pytest.raises(InputError, match="angstrom, bohr"):
        pack([np.array([1])], [np.zeros((1, 3))], unit="nm")
    with pytest.raises(InputError, match="molecule 1"):
        pack([np.array([1]), np.array([1, 8])], [np.zeros((1, 3)), np.zeros((3, 3))])
    with pytest.raises(InputError, match="readout"):
        scfx_schnet.schnet.SchNet(readout="max")
