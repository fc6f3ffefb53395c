"""No finite data make a factorisation fail, and what it gives is right."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from senn_ray.maths import linalg
from senn_ray.maths.linalg import (
    NotFiniteError,
    cholesky,
    eigh,
    inverse,
    right_singular,
    solve,
)

ROOT = Path(__file__).parents[2] / "senn_ray"


@st.composite
def nasty_moments(draw: st.DrawFn) -> Tensor:
    """Second moments of data with all that makes them singular, at any scale."""
    n, d = draw(st.integers(1, 12)), draw(st.integers(1, 10))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.normal(size=(n, d))
    for column in range(d):
        match draw(st.sampled_from(["free", "constant", "twice", "one-hot", "dead"])):
            case "constant":
                x[:, column] = 1.0
            case "twice":
                x[:, column] = x[:, 0]
            case "one-hot":
                x[:, column] = np.arange(n) % d == column
            case "dead":
                x[:, column] = 0.0
            case _:
                pass
    x *= 10.0 ** draw(st.integers(-8, 8))
    if draw(st.booleans()):
        x[:, 0] *= 1e6
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    a = torch.tensor(x, dtype=dtype)
    damping = draw(st.sampled_from([0.0, 1e-12, 1e-3]))
    return a.T @ a / n + damping * torch.eye(d, dtype=dtype)


def rounding(A: Tensor) -> float:
    """What the rule may add to a matrix, relative to its largest entry, generously."""
    return 100 * len(A) * torch.finfo(A.dtype).eps * A.abs().max().item()


@settings(deadline=None, max_examples=300)
@given(A=nasty_moments())
def test_a_factor_is_one_of_the_matrix_but_for_rounding(A: Tensor) -> None:
    L = cholesky(A).double()
    assert L.dtype == torch.float64
    assert torch.equal(L, L.tril())
    bound = rounding(A) or 100 * torch.finfo(A.dtype).eps
    assert (L @ L.T - A.double()).abs().max() <= bound


@settings(deadline=None, max_examples=300)
@given(A=nasty_moments(), seed=st.integers(0, 99))
def test_a_failed_factorisation_is_the_float64_one_of_a_damped_matrix(
    A: Tensor, seed: int
) -> None:
    """Found by looking for the least ridge of the rule; inverse and solution follow."""
    generator = torch.Generator().manual_seed(seed)
    b = torch.randn(len(A), 2, generator=generator, dtype=torch.float64).to(A)
    results = cholesky(A), inverse(A), solve(A, b)
    assert all(result.isfinite().all() for result in results)
    assert (results[1].diagonal() > 0).all()
    if not torch.linalg.cholesky_ex(A)[1]:
        assert torch.equal(results[0], torch.linalg.cholesky(A))
        return
    unit = torch.finfo(A.dtype).eps * (A.double().diagonal().abs().mean().item() or 1.0)
    for power in range(20):
        ridge = unit * 10.0**power
        damped = A.double() + ridge * torch.eye(len(A)).double()
        if not torch.linalg.cholesky_ex(damped)[1]:
            torch.testing.assert_close(results[0], torch.linalg.cholesky(damped).to(A))
            return
    pytest.fail("no ridge of the rule is enough")


def test_singular_matrices_are_inverted_and_solved_with_their_ridge() -> None:
    A, b = torch.ones(3, 3), torch.ones(3)
    damped = A.double() + torch.finfo(A.dtype).eps * torch.eye(3).double()
    torch.testing.assert_close(inverse(A), torch.linalg.inv(damped).float())
    torch.testing.assert_close(
        solve(A, b), torch.linalg.solve(damped, b.double()).float()
    )


@settings(deadline=None, max_examples=200)
@given(A=nasty_moments())
def test_axes_are_those_of_the_matrix_but_for_rounding(A: Tensor) -> None:
    values, vectors = eigh(A)
    strength, directions = right_singular(A)
    assert (values.diff() >= 0).all()
    assert (strength.diff() <= 0).all()
    for rebuilt in (
        (vectors.double() * values.double()) @ vectors.double().T,
        directions.double().T * strength.double() @ directions.double(),
    ):
        assert (rebuilt - A.double()).abs().max() <= rounding(A) + 1e-300


def test_where_solvers_give_up_a_slope_or_a_square_helps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A solver that never converges in float32 stands for one that may not."""
    right = {name: getattr(torch.linalg, name) for name in ("eigh", "svd")}

    def stubborn(name: str):
        def solver(matrix: Tensor, **how: bool):
            if name == "svd" or matrix.dtype == torch.float32:
                raise linalg._LinAlgError(f"{name}: failed to converge")
            return right[name](matrix, **how)

        return solver

    A = torch.tensor([[2.0, 1, 0], [1, 2, 0], [0, 0, 3]])
    expected = right["eigh"](A).eigenvalues, right["svd"](A[:2])[1]
    for name in right:
        monkeypatch.setattr(f"torch.linalg.{name}", stubborn(name))
    values, vectors = eigh(A)
    strength, directions = right_singular(A[:2])
    torch.testing.assert_close(values, expected[0])
    torch.testing.assert_close((vectors * values) @ vectors.T, A)
    torch.testing.assert_close(strength, expected[1])
    assert directions.shape == (2, 3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "factorise", [cholesky, inverse, eigh, right_singular, lambda A: solve(A, A[0])]
)
@pytest.mark.parametrize("place", [(0, 0), (1, 0)])
def test_what_is_not_finite_is_named(factorise, value, place) -> None:
    A = 2 * torch.eye(3)
    A[place] = A[place[::-1]] = value
    with pytest.raises(NotFiniteError, match="no longer finite"):
        factorise(A)


# Random rotations, and the maps of a new layer, whose condition is bounded.
ELSEWHERE = {
    "growth/candidates.py": {"inv", "qr"},
    "nets/surgery.py": {"solve", "inv"},
    # A triangle never fails: its diagonal is positive.
    "maths/kronecker.py": {"solve_triangular"},
    "maths/proposals.py": {"solve_triangular"},
}


def test_factorisations_are_in_one_file() -> None:
    found = {}
    for path in ROOT.rglob("*.py"):
        names = {
            node.attr
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if (
                isinstance(node, ast.Attribute)
                and ast.unparse(node.value) == "torch.linalg"
            )
            or (
                isinstance(node, ast.Attribute)
                and ast.unparse(node)
                in {"torch.inverse", "torch.cholesky", "torch.svd"}
            )
        }
        if names and path.name != "linalg.py":
            found[str(path.relative_to(ROOT))] = names
    assert found == ELSEWHERE
