"""Convolutional networks: the function, its statistics and its surgery."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from senn_ray.config import Activation
from senn_ray.maths.losses import Task, loss
from senn_ray.maths.score import Terms, measure_site, score_gain
from senn_ray.nets.activations import FAMILIES
from senn_ray.nets.blocks import insert_block, remove_block
from senn_ray.nets.capture import Layer, capture
from senn_ray.nets.conv import ConvArchitecture, ConvNet, build
from senn_ray.nets.conv_capture import patches
from senn_ray.nets.make import describe, from_values, rebuild
from senn_ray.nets.mlp import DenseArchitecture
from senn_ray.nets.mlp import rebuild as rebuild_mlp
from senn_ray.nets.network import Place
from senn_ray.nets.observe import features, observe
from senn_ray.nets.surgery import prune, widen
from senn_ray.nets.views import Look

EYE = torch.eye


def network(
    blocks: tuple[tuple[int, ...], ...] = ((3, 2), (4,)),
    *,
    image: tuple[int, int, int] = (2, 4, 6),
    patch: int = 1,
    activation: Activation = "silu",
    trained: bool = True,
) -> ConvNet:
    """A small network in float64; a trained one has fan-out."""
    generator = torch.Generator().manual_seed(7)
    architecture = ConvArchitecture(
        image=image,
        patch=patch,
        channels=(4, 5, 6)[: len(blocks)],
        blocks=blocks,
        num_outputs=3,
        activation=activation,
    )
    net = build(architecture, generator).double()
    if trained:
        with torch.no_grad():
            for tensor in net.parts:
                tensor.add_(0.3 * torch.randn(tensor.shape, generator=generator))
    return net


def data(net: ConvNet, n: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    c, h, w = net.image
    x = torch.randn(n, c * h * w, generator=generator).double()
    return x, torch.randint(0, 3, (n,), generator=generator)


@settings(max_examples=20, deadline=None)
@given(
    blocks=st.lists(
        st.lists(st.integers(1, 5), max_size=3).map(tuple), min_size=1, max_size=3
    ).map(tuple),
    patch=st.sampled_from([1, 2]),
    activation=st.sampled_from(list(FAMILIES)),
)
def test_a_network_describes_what_built_it(blocks, patch, activation) -> None:
    net = network(blocks, image=(3, 8, 8), patch=patch, activation=activation)
    architecture = net.architecture()
    assert architecture.blocks == blocks
    assert architecture.num_params() == sum(t.numel() for t in net.tensors())
    again = rebuild(from_values(describe(net)), net.tensors())
    x, _ = data(net)
    assert torch.equal(again(x), net(x))


def test_multiply_adds_are_those_of_the_convolutions() -> None:
    net = network(((3,), (4,)))
    # Stem, U and V at 24 positions; the map between, U and V at 6; the head.
    first = 4 * (9 * 2 + 1) + 3 * (9 * 4 + 1) + 4 * (3 + 1)
    second = 5 * (4 + 1) + 4 * (9 * 5 + 1) + 5 * (4 + 1)
    expected = 24 * first + 6 * second + 3 * (5 + 1)
    assert net.architecture().multiply_adds() == expected


def test_the_network_is_its_explicit_sums() -> None:
    net = network(((3,),), image=(1, 2, 2))
    x, _ = data(net)
    stem, U, V, head = net.tensors()
    taps = [(i, j) for i in range(3) for j in range(3)]

    def convolve(
        stream: dict[tuple[int, int], Tensor], W: Tensor, at: tuple[int, int]
    ) -> Tensor:
        zero = torch.zeros_like(stream[0, 0])
        seen = [stream.get((at[0] + i - 1, at[1] + j - 1), zero) for i, j in taps]
        rows = torch.stack(seen, 1)
        return W[:, :-1] @ rows.flatten() + W[:, -1]

    for one, result in zip(x, net(x), strict=True):
        places = [(0, 0), (0, 1), (1, 0), (1, 1)]
        image = {at: one[2 * at[0] + at[1]][None] for at in places}
        stream = {at: convolve(image, stem, at) for at in places}
        end = []
        for at in places:
            hidden = torch.nn.functional.silu(convolve(stream, U, at))
            end.append(stream[at] + V[:, :-1] @ hidden + V[:, -1])
        expected = head[:, :-1] @ torch.stack(end).mean(0) + head[:, -1]
        torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", ["silu", "rational", "prelu"])
@pytest.mark.parametrize("stage", [0, 1])
def test_an_inserted_block_changes_nothing_but_can_learn(activation, stage) -> None:
    net = network(activation=activation)
    x, y = data(net)
    before = net(x).detach()
    counts = list(net.layout)
    generator = torch.Generator().manual_seed(3)
    c = net.architecture().channels[stage]
    fan_in = torch.randn(9 * c + 1, generator=generator).double()
    change = insert_block(net, stage, fan_in)
    counts[stage] += 1
    assert net.layout == tuple(counts)
    assert change.site == (2 if stage == 0 else 3)
    torch.testing.assert_close(net(x).detach(), before, rtol=0, atol=1e-12)
    fan_out = net.locate(Place(stage, net.layout[stage] - 1)).columns
    total = loss(net(x), y, "classification")
    gradient = torch.autograd.grad(total, net.tensors())[fan_out]
    assert gradient[:, 0].abs().max() > 1e-6


def test_a_new_channel_changes_nothing_and_its_gradient_is_the_captured_one() -> None:
    net = network()
    x, y = data(net)
    place = Place(0, 1)
    seen = observe(net, x, y, "classification")
    view = next(v for v in seen.views if v.place == place)
    layer = seen.captured.layers[view.layer]
    before = net(x).detach()
    fan_in = torch.randn(37, generator=torch.Generator().manual_seed(3)).double()
    widen(net, place, fan_in)
    torch.testing.assert_close(net(x).detach(), before, rtol=0, atol=1e-12)
    total = loss(net(x), y, "classification")
    gradient = torch.autograd.grad(total, net.tensors())[net.locate(place).columns]
    c = torch.nn.functional.silu(view.features @ fan_in[:-1] + fan_in[-1])
    torch.testing.assert_close(gradient[:, -2], layer.gradients.T @ c / len(x))


def test_a_view_of_a_new_block_sees_what_the_block_will_see() -> None:
    net = network()
    x, y = data(net)
    views = observe(net, x, y, "classification", look=Look(depth_cap=3)).views
    new = [v for v in views if v.is_new]
    assert [v.place for v in new] == [Place(0, 2), Place(1, 1)]
    fan_in = torch.randn(37, generator=torch.Generator().manual_seed(3)).double()
    insert_block(net, 0, fan_in)
    hidden = net.trace(x).blocks[Place(0, 2)].hidden
    c = torch.nn.functional.silu(new[0].features @ fan_in[:-1] + fan_in[-1])
    torch.testing.assert_close(hidden.movedim(1, -1).flatten(), c)


def test_removing_a_block_keeps_its_mean() -> None:
    net = network()
    x, _ = data(net)
    with torch.no_grad():
        rows = net.locate(Place(0, 1)).rows
        net.parts[rows][:, :-1] = 0  # Its channels are constant.
    before = net(x).detach()
    hidden = net.trace(x).blocks[Place(0, 1)].hidden.detach()
    change = remove_block(net, Place(0, 1), hidden.mean((0, 2, 3)))
    assert net.layout == (1, 1)
    assert not change.is_insertion
    torch.testing.assert_close(net(x).detach(), before, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("place", [Place(0, 0), Place(1, 0)])
def test_the_first_block_of_a_stage_leaves_its_mean_in_what_leads_there(place) -> None:
    net = network(((2,), (3,)))
    x, _ = data(net)
    with torch.no_grad():
        net.parts[net.locate(place).rows][:, :-1] = 0
    before = net(x).detach()
    mean = net.trace(x).blocks[place].hidden.detach().mean((0, 2, 3))
    remove_block(net, place, mean)
    torch.testing.assert_close(net(x).detach(), before, rtol=1e-12, atol=1e-12)


def test_pruning_a_duplicate_channel_keeps_the_function() -> None:
    net = network()
    x, y = data(net, 20)
    place = Place(0, 0)
    parts = net.locate(place)
    widen(net, place, net.tensors()[parts.rows][1].detach().clone())
    with torch.no_grad():
        net.parts[parts.columns][:, 3] = 0.5
    before = net(x).detach()
    layer = observe(net, x, y, "classification").captured.layers[0]
    A = layer.inputs.T @ layer.inputs / 20 + 1e-10 * EYE(5).double()
    prune(net, place, 1, A)
    assert net.architecture().blocks[0] == (3, 2)
    torch.testing.assert_close(net(x).detach(), before, rtol=0, atol=1e-6)


def jacobians(net: ConvNet, x: Tensor, place: Place) -> Tensor:
    """Of the outputs by a shift of the stream after a block [n, out, c, H W]."""
    trace = net.trace(x)
    stream = trace.blocks[place].stream
    columns = [
        torch.autograd.grad(column.sum(), stream, retain_graph=True)[0]
        for column in trace.outputs.unbind(1)
    ]
    return torch.stack(columns, 1).flatten(3)


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("place", [Place(0, 0), Place(0, 1), Place(1, 0)])
def test_captured_statistics_are_those_of_an_explicit_jacobian(
    task: Task, place: Place
) -> None:
    net = network()
    x, y = data(net)
    if task == "regression":
        y = torch.randn(5, 3, generator=torch.Generator().manual_seed(2)).double()
    seen = observe(net, x, y, task)
    layer = seen.captured.layers[net.places().index(place)]
    total = loss(net(x), y, task)
    expected = torch.autograd.grad(total, net.tensors())[net.locate(place).columns]
    torch.testing.assert_close(layer.gradients.T @ layer.inputs / 5, expected)
    G, ridge = torch.zeros(2, *layer.curvature.shape).double()
    for one, target, J in zip(x, y, jacobians(net, x, place), strict=True):
        H = torch.autograd.functional.hessian(
            lambda z, t=target: loss(z[None], t[None], task), net(one[None])[0].detach()
        )
        for j in J.unbind(2):
            G += j.T @ torch.as_tensor(H) @ j
            ridge += j.T @ j
    torch.testing.assert_close(layer.curvature, G)
    torch.testing.assert_close(layer.ridge, ridge)


def test_sampled_curvature_converges_to_the_exact_one() -> None:
    net = network(((3,), (2,)))
    x, y = data(net, 4)
    exact = observe(net, x, y, "classification").captured.layers[0]
    many = 3000
    generator = torch.Generator().manual_seed(5)
    signs = 2 * torch.randint(2, (4 * many, 2, 3), generator=generator) - 1
    sampled = observe(
        net, x.repeat(many, 1), y.repeat(many), "classification", probes=signs
    ).captured.layers[0]
    scale = exact.curvature.abs().max()
    error = (sampled.curvature / many - exact.curvature).abs().max() / scale
    assert error < 0.05
    ridge = (sampled.ridge / many - exact.ridge).abs().max() / exact.ridge.abs().max()
    assert ridge < 0.05
    assert sampled.roots is not None
    roots = sampled.roots[0]
    torch.testing.assert_close(roots.T @ roots, sampled.curvature)


def test_all_positions_drawn_in_any_order_are_all_positions() -> None:
    net = network()
    x, y = data(net)
    generator = torch.Generator().manual_seed(0)
    look = Look([torch.randperm(24, generator=generator), torch.randperm(6)], 3)
    shuffled = observe(net, x, y, "classification", look=look).captured.layers
    for some, every in zip(
        shuffled, observe(net, x, y, "classification").captured.layers, strict=True
    ):
        for name in ("inputs", "gradients"):
            a, b = getattr(some, name), getattr(every, name)
            torch.testing.assert_close(a.T @ a, b.T @ b)
        torch.testing.assert_close(some.curvature, every.curvature)


def test_moments_at_some_positions_are_unbiased() -> None:
    net = network(((3,),), image=(2, 3, 2))
    x, y = data(net)

    def gradient(positions: list[int] | None) -> Tensor:
        look = Look([torch.tensor(positions)] if positions else None)
        layer: Layer = observe(net, x, y, "classification", look=look).captured.layers[
            0
        ]
        site = measure_site(
            layer.inputs,
            layer.gradients,
            EYE(4).double(),
            terms=Terms(1.0, positions=layer.positions, group=layer.group),
            reduce=lambda tensors: tensors,
        )
        return site.dW

    pairs = [[i, j] for i in range(6) for j in range(i)]
    mean = torch.stack([gradient(pair) for pair in pairs]).mean(0)
    torch.testing.assert_close(mean, gradient(None))


def test_features_are_those_of_the_views() -> None:
    net = network()
    x, y = data(net)
    look = Look([torch.tensor([3, 17]), torch.tensor([5])], depth_cap=2)
    views = observe(net, x, y, "classification", look=look).views
    for view, seen in zip(views, features(net, x, look=look), strict=True):
        assert torch.equal(view.features, seen)


def test_patches_are_what_unfold_cuts_out() -> None:
    images = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.unfold(images, 3, padding=1)
    every = patches(images, None)
    assert torch.equal(every, expected.movedim(1, 2).flatten(0, 1))
    some = patches(images, torch.tensor([29, 0]))
    assert torch.equal(some.view(3, 2, -1)[:, 0], expected[:, :, 29])


def test_a_convolution_on_one_pixel_has_the_scores_of_a_dense_layer() -> None:
    net = network(((4,),), image=(6, 1, 1))
    x, y = data(net, 40)
    stem, U, V, head = (t.detach() for t in net.tensors())
    centre = [*range(4, 9 * 4, 9), 36]
    # The same block as a multi-layer perceptron from the stream, without the skip, at
    # the same gradients: the head times what the block adds.
    stem = stem[:, [*range(4, 9 * 6, 9), 54]]
    stream = x @ stem[:, :-1].T + stem[:, -1]
    seen = observe(net, x, y, "classification").captured.layers[0]
    view = observe(net, x, y, "classification").views[0]
    torch.testing.assert_close(view.features[:, centre[:-1]], stream)
    mlp = rebuild_mlp(
        DenseArchitecture(num_inputs=4, hidden=(4,), num_outputs=4, activation="silu"),
        [U[:, centre], V],
    )
    hidden = capture(mlp, stream, torch.zeros(40).long(), "classification").layers[1]
    torch.testing.assert_close(seen.inputs, hidden.inputs, rtol=1e-12, atol=1e-12)
    # Gradients of the stream are those of the outputs, times the head.
    outputs = (stream + mlp(stream)) @ head[:, :-1].T + head[:, -1]
    g = (outputs.softmax(1) - EYE(3).double()[y]) @ head[:, :-1]
    torch.testing.assert_close(seen.gradients, g, rtol=1e-10, atol=1e-12)
    p = outputs.softmax(1)
    H = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    G = (head[:, :-1].T @ H @ head[:, :-1]).mean(0) + 0.1 * EYE(4).double()
    candidates = torch.randn(40, 5, generator=torch.Generator().manual_seed(2))

    def scores(layer: Layer) -> Tensor:
        terms = Terms(1e-3, positions=layer.positions, group=layer.group)
        chol = torch.linalg.cholesky(layer.curvature / 40 + 0.1 * EYE(4).double())
        site = measure_site(
            layer.inputs,
            layer.gradients,
            chol,
            terms=terms,
            reduce=lambda tensors: tensors,
        )
        return score_gain(site, candidates.double(), reduce=lambda t: t).exact

    dense_layer = Layer(
        hidden.inputs, g, 40 * (G - 0.1 * EYE(4).double()), torch.zeros(4, 4)
    )
    torch.testing.assert_close(scores(seen), scores(dense_layer), rtol=1e-10, atol=0)
