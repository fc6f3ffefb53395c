"""The score of inserted layers, against explicit Jacobians."""

import pytest
import torch

from senn_ray.config import REACHES_IDENTITY, Activation
from senn_ray.growth.candidates import initial_mixes
from senn_ray.maths.heldout import Heldout
from senn_ray.maths.insertion import heldout_layer_gain, layer_gain
from senn_ray.maths.kronecker import damped_cholesky
from senn_ray.maths.removal import layer_removal
from senn_ray.maths.score import Site, Terms, measure_site, score_gain
from senn_ray.nets.activations import FAMILIES
from senn_ray.nets.mlp import MLP, DenseArchitecture, build
from senn_ray.nets.network import with_constant
from senn_ray.nets.surgery import insert_layer, is_fan_in

N = 60


def alone(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    return tensors


def normal(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def linear_model(n_in: int, n_out: int, activation: Activation, seed: int) -> MLP:
    architecture = DenseArchitecture(
        num_inputs=n_in, hidden=(), num_outputs=n_out, activation=activation
    )
    return build(architecture, torch.Generator().manual_seed(seed)).double()


def exact_score(net: MLP, x: torch.Tensor, g: torch.Tensor) -> float:
    """|P_range(J) g_y|²/N from the explicit Jacobian of all parameters."""
    tensors = [t.detach() for t in net.tensors()]

    def outputs(*parts: torch.Tensor) -> torch.Tensor:
        other = MLP(list(parts), net.layout, net.activation)
        for own, part in zip(other.parts, parts, strict=True):
            own.data = part
        names = dict(zip((n for n, _ in other.named_parameters()), parts, strict=True))
        return torch.func.functional_call(other, names, (x,)).reshape(-1)

    columns = torch.autograd.functional.jacobian(outputs, tuple(tensors))
    J = torch.cat([c.reshape(len(x) * g.shape[1], -1) for c in columns], 1)
    target = g.reshape(-1)
    u, s, _ = torch.linalg.svd(J, full_matrices=False)
    kept = u[:, s > 1e-9 * s[0]]
    return (kept.T @ target).square().sum().item() / len(x)


@pytest.mark.parametrize("damping", [1e-9, 1e-2, 1.0])
def test_the_gain_is_the_rise_of_the_dense_damped_score(damping: float) -> None:
    """bᵀM⁻¹b with any G and damping, against F of old weights and new parameters."""
    n, m, n_out = 40, 6, 4
    a = torch.cat([normal(n, 3, seed=1), torch.ones(n, 1).double()], 1)
    g, root = normal(n, n_out, seed=2), normal(n_out, n_out, seed=3)
    G = root @ root.T + torch.eye(n_out).double()
    site = measure_site(
        a, g, damped_cholesky(G, 0.0), terms=Terms(damping), reduce=alone
    )
    phi = normal(n, m, seed=4) + a[:, :3] @ normal(3, m, seed=5)
    V = normal(n_out, 3, seed=6).repeat(1, 2)

    def eye(size: int) -> torch.Tensor:
        return torch.eye(size).double()

    old = torch.kron(G, a.T @ a / n + damping * eye(4))
    mixed = torch.stack(
        [torch.kron(G @ V[:, j], a.T @ phi[:, j] / n) for j in range(m)], 1
    )
    new = (V.T @ G @ V) * (phi.T @ phi / n + damping * eye(m))
    F = torch.cat([torch.cat([old, mixed], 1), torch.cat([mixed.T, new], 1)])
    slope = torch.cat([site.dW.reshape(-1), (V * (g.T @ phi / n)).sum(0)])
    rise = (slope @ torch.linalg.solve(F, slope)).item() - site.current_score
    gain = layer_gain(site, phi, V, reduce=alone)
    assert gain.exact == pytest.approx(rise, rel=1e-7)


def problem(
    n_in: int, n_out: int, activation: Activation, seed: int
) -> tuple[MLP, Site, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return a linear model, its site for the squared error, x, g, and a new layer."""
    net = linear_model(n_in, n_out, activation, seed)
    x = normal(N, n_in, seed=seed + 1)
    g = normal(N, n_out, seed=seed + 2) + torch.tanh(x @ normal(n_in, n_out, seed=seed))
    eye = damped_cholesky(torch.eye(n_out).double(), 0.0)
    site = measure_site(with_constant(x), g, eye, terms=Terms(0.0), reduce=alone)
    W = net.weights[0].detach()
    u = x if is_fan_in(W) else with_constant(x) @ W.T
    generator = torch.Generator().manual_seed(seed + 3)
    mix = initial_mixes(u, count=2, generator=generator, reduce=alone)[1]
    features = torch.cat(FAMILIES[activation].directions(mix(u)), 1)
    inverse = torch.linalg.inv(mix.B)
    V = W[:, :-1] @ inverse if is_fan_in(W) else inverse
    V = V.repeat(1, features.shape[1] // V.shape[1])
    insert_layer(net, 0, mix)
    return net, site, x, g, features, V


@pytest.mark.parametrize("activation", REACHES_IDENTITY)
@pytest.mark.parametrize(("n_in", "n_out"), [(2, 3), (3, 3), (5, 2), (1, 1)])
def test_the_gain_is_the_rise_of_the_exact_score_by_the_installed_parameters(
    n_in: int, n_out: int, activation: Activation
) -> None:
    for seed in range(5):
        net, site, x, g, features, V = problem(n_in, n_out, activation, 10 * seed)
        before = exact_score(linear_model(n_in, n_out, activation, 10 * seed), x, g)
        assert site.current_score == pytest.approx(before, rel=1e-8)
        rise = exact_score(net, x, g) - before
        gain = layer_gain(site, features, V, reduce=alone).exact
        assert gain == pytest.approx(rise, rel=1e-6, abs=1e-9)
        assert gain > 0


@pytest.mark.parametrize("activation", REACHES_IDENTITY)
def test_free_output_directions_would_promise_more(activation: Activation) -> None:
    for seed in range(10):
        _, site, _, _, features, V = problem(3, 4, activation, 7 * seed)
        joint = torch.cat([features, site.activations], 1)
        free = measure_site(
            joint, site.gradients, site.chol_G, terms=Terms(1e-12), reduce=alone
        )
        gain = layer_gain(site, features, V, reduce=alone).exact
        assert gain <= free.current_score - site.current_score + 1e-9


def test_a_layer_of_one_neuron_and_one_direction_gains_what_a_fixed_neuron_does() -> (
    None
):
    """One output, one feature: the fan-out's direction is free of choice."""
    _, site, _, _, features, V = problem(1, 1, "prelu", 3)
    gain = layer_gain(site, features, V, reduce=alone).exact
    neuron = score_gain(site, features, reduce=alone).exact
    assert gain == pytest.approx(neuron.item(), rel=1e-9)


def half(site: Site, rows: slice) -> Site:
    return measure_site(
        site.activations[rows],
        site.gradients[rows],
        site.chol_G,
        terms=Terms(1e-3),
        reduce=alone,
    )


def judged(seed: int, *, noise: bool) -> Heldout:
    _, site, _, _, features, V = problem(2, 3, "rational", seed)
    if noise:
        site = measure_site(
            site.activations,
            normal(N, 3, seed=seed + 77),
            site.chol_G,
            terms=Terms(1e-3),
            reduce=alone,
        )
    first, second = slice(None, N // 2), slice(N // 2, None)
    proposal = layer_gain(half(site, first), features[first], V, reduce=alone)
    return heldout_layer_gain(
        half(site, second), features[second], V, proposal, reduce=alone
    )


def test_a_layer_that_fits_noise_is_rarely_accepted() -> None:
    passed = sum(judged(seed, noise=True).z >= 2 for seed in range(0, 2000, 10))
    # 2.3 % of 200 are expected; Student's t at 30 examples makes it 2.7 %.
    assert passed <= 12


def test_on_its_own_examples_a_layer_keeps_its_gain() -> None:
    _, site, _, _, features, V = problem(3, 4, "rational", 5)
    proposal = layer_gain(site, features, V, reduce=alone)
    own = heldout_layer_gain(site, features, V, proposal, reduce=alone)
    assert own.gain == pytest.approx(proposal.exact, rel=1e-6)


def test_the_removal_cost_of_a_layer_is_the_change_of_the_outputs_it_leaves() -> None:
    """For the squared error the outputs move by V (s - C a), and no C moves less."""
    a, s = with_constant(normal(N, 3, seed=1)), normal(N, 4, seed=2).tanh()
    V, G = normal(2, 4, seed=3), torch.diag(torch.tensor([1.0, 3.0]).double())
    A, cross, power = a.T @ a / N, s.T @ a / N, s.T @ s / N
    cost, C = layer_removal(V, A, G, cross=cross, power=power)

    def change(C: torch.Tensor) -> float:
        moved = (s - a @ C.T) @ V.T
        return 0.5 * ((moved @ G) * moved).sum(1).mean().item()

    assert cost == pytest.approx(change(C), rel=1e-9)
    for seed in range(5):
        assert change(C + 0.1 * normal(4, 4, seed=10 + seed)) > cost
