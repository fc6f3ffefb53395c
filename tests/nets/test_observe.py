"""Convolutional networks: their statistics, against explicit references."""

import pytest
import torch
from torch import Tensor

from senn_ray.maths.losses import Task, loss
from senn_ray.maths.score import Terms, measure_site, score_gain
from senn_ray.nets.capture import Layer, capture
from senn_ray.nets.conv import ConvNet
from senn_ray.nets.mlp import DenseArchitecture
from senn_ray.nets.mlp import rebuild as rebuild_mlp
from senn_ray.nets.network import LayerIndex
from senn_ray.nets.observe import Look, features, observe, patches
from tests.nets.conv_examples import data, network

EYE = torch.eye


def jacobians(net: ConvNet, x: Tensor, place: LayerIndex) -> Tensor:
    """Of the outputs by a shift of the stream after a block [n, out, c, H W]."""
    trace = net.trace(x)
    stream = trace.blocks[place].stream
    columns = [
        torch.autograd.grad(column.sum(), stream, retain_graph=True)[0]
        for column in trace.outputs.unbind(1)
    ]
    return torch.stack(columns, 1).flatten(3)


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize(
    "place", [LayerIndex(0, 0), LayerIndex(0, 1), LayerIndex(1, 0)]
)
def test_captured_statistics_are_those_of_an_explicit_jacobian(
    task: Task, place: LayerIndex
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
