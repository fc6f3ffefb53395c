"""What is measured of a network on a part of a data set."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from senn_ray.maths.losses import loss
from senn_ray.runs.run import train_run
from senn_ray.training.evaluate import evaluate
from senn_ray.training.reducer import Reducer
from tests.training.problems import rings, spec, trained, waves
from tests.training.threads import run_threaded


def rare_rings():
    """Rings of which the outer one is rare."""
    raw = rings()
    keep = np.flatnonzero((raw.train_y != 2) | (np.arange(len(raw.train_y)) < 90))
    return dataclasses.replace(
        raw,
        train_x=raw.train_x[keep],
        train_y=raw.train_y[keep],
        default_val_per_class=None,
    )


def test_accuracy_and_balanced_accuracy_are_those_of_the_predictions() -> None:
    run = trained(spec(model__hidden=(6,)), rare_rings())
    found = evaluate(run, run.net, run.val)
    x, y = run.val.batch(torch.arange(len(run.val)))
    outputs = run.net(x)
    assert found.loss == pytest.approx(loss(outputs, y, run.task).item(), rel=1e-5)
    predicted = outputs.argmax(1)
    assert found.accuracy == pytest.approx((predicted == y).double().mean().item())
    balanced = balanced_accuracy_score(y.numpy(), predicted.numpy())
    assert found.balanced == pytest.approx(balanced)
    assert found.balanced != pytest.approx(found.accuracy, abs=0.01)


def test_a_gang_measures_what_one_does() -> None:
    def measured(reducer: Reducer):
        run = dataclasses.replace(
            trained(spec(model__hidden=(6,)), rare_rings()), reducer=reducer
        )
        return evaluate(run, run.net, run.val)

    one, *_ = run_threaded(1, measured)
    for other in run_threaded(3, measured):
        assert dataclasses.astuple(other) == pytest.approx(dataclasses.astuple(one))


def test_records_tell_balanced_accuracies_of_classes_only() -> None:
    short = {"train__min_steps": 20, "growth__enabled": False, "evaluate_test": True}
    record = train_run(spec(**short), rare_rings())
    assert record.val_balanced_accuracy is not None
    assert record.test_balanced_accuracy is not None
    # The test part has as many examples of every class.
    assert record.test_balanced_accuracy == pytest.approx(record.test_accuracy)
    record = train_run(spec(**short), waves())
    assert record.val_balanced_accuracy is None
    assert record.test_balanced_accuracy is None
