import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.data.examples import RawData
from senn_ray.data.splits import arranged, examples, share_gap, split
from senn_ray.data.splits import test_examples as read_test

COUNTS = (30, 22, 41)


def make_raw(counts=COUNTS, *, seed=0, shape=(1, 2, 2), dtype="uint8"):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts)).astype(np.int64)
    width = int(np.prod(shape))
    return RawData(
        name="made",
        task="classification",
        num_outputs=len(counts),
        feature_shape=shape,
        train_x=rng.integers(0, 256, (len(labels), width)).astype(dtype),
        train_y=labels,
        test_x=rng.integers(0, 256, (10, width)).astype(dtype),
        test_y=np.zeros(10, np.int64),
        default_val_per_class=5,
    )


def proportional(counts, *, seed=0):
    raw = make_raw(counts, seed=seed)
    return dataclasses.replace(raw, default_val_per_class=None)


def make_regression(count=50, *, targets=None):
    return dataclasses.replace(
        make_raw(),
        task="regression",
        num_outputs=1,
        train_x=np.zeros((count, 4), np.float32),
        train_y=np.zeros((count, 1), np.float32) if targets is None else targets,
    )


@settings(max_examples=30, deadline=None)
@given(
    small=st.integers(1, 17),
    large=st.integers(1, 17),
    subset_seed=st.integers(0, 5),
    seed=st.integers(0, 5),
)
def test_subsets_are_stratified_nested_and_disjoint_from_validation(
    small, large, subset_seed, seed
):
    small, large = sorted((small, large))
    raw = make_raw(seed=seed)
    inner, outer = (
        split(raw, DataConfig(per_class=k, subset_seed=subset_seed))
        for k in (small, large)
    )
    assert np.bincount(raw.train_y[inner.train]).tolist() == [small] * 3
    assert set(inner.train) <= set(outer.train)
    assert not set(outer.train) & set(outer.val)
    assert np.bincount(raw.train_y[outer.val]).tolist() == [5] * 3


def test_validation_is_constant_over_a_scan():
    raw = make_raw()
    parts = [
        split(raw, DataConfig(per_class=k, subset_seed=s))
        for k in (1, 9, "all")
        for s in (0, 1)
    ]
    for part in parts[1:]:
        np.testing.assert_array_equal(part.val, parts[0].val)


def test_subset_seeds_choose_different_subsets():
    raw = make_raw()
    one, two = (
        split(raw, DataConfig(per_class=9, subset_seed=s)).train for s in (0, 1)
    )
    assert set(one) != set(two)


def test_all_takes_everything_but_validation():
    raw = make_raw()
    parts = split(raw, DataConfig())
    both = np.concatenate([parts.train, parts.val])
    np.testing.assert_array_equal(np.sort(both), np.arange(sum(COUNTS)))


def test_too_many_per_class_names_the_class_and_the_largest_number():
    with pytest.raises(DataError, match=r"class 1 has 22 .* 5 .* at most 17"):
        split(make_raw(), DataConfig(per_class=18))


def test_validation_may_not_eat_a_class():
    with pytest.raises(DataError, match=r"class 1 has 22 .* use at most 21"):
        split(make_raw(), DataConfig(val_per_class=22))


def test_a_regression_counts_as_one_class():
    parts = split(make_regression(), DataConfig(per_class=7))
    assert (len(parts.train), len(parts.val)) == (7, 5)
    with pytest.raises(DataError, match=r"the data set has 50 .* at most 45"):
        split(make_regression(), DataConfig(per_class=46))


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.3])
def test_validation_has_the_shares_of_the_classes(fraction):
    raw = proportional((3000, 500, 1500))
    parts = split(raw, DataConfig(val_fraction=fraction))
    assert len(parts.val) == round(5000 * fraction)
    counts = np.bincount(raw.train_y[parts.val])
    np.testing.assert_allclose(counts, fraction * np.array([3000, 500, 1500]), atol=1)


@pytest.mark.parametrize(
    ("count", "held_out"),
    [(20, 5), (400, 100), (1000, 200), (4000, 400), (90000, 5000)],
)
def test_a_tenth_is_held_out_and_more_of_few(count, held_out):
    raw = proportional((count // 2, count // 2))
    assert len(split(raw, DataConfig()).val) == held_out
    raw = dataclasses.replace(make_regression(count), default_val_per_class=None)
    assert len(split(raw, DataConfig()).val) == held_out


@pytest.mark.parametrize(
    ("rare", "held_out"), [(1, 0), (2, 1), (3, 1), (7, 1), (20, 5), (24, 5), (200, 20)]
)
def test_a_rare_class_is_in_both_parts(rare, held_out):
    raw = proportional((10_000, rare))
    parts = split(raw, DataConfig())
    assert np.bincount(raw.train_y[parts.val], minlength=2)[1] == held_out
    assert np.bincount(raw.train_y[parts.train])[1] == rare - held_out


def test_equal_numbers_are_a_setting():
    raw = proportional((300, 50))
    parts = split(raw, DataConfig(val_per_class=12))
    assert np.bincount(raw.train_y[parts.val]).tolist() == [12, 12]


def test_a_fraction_overrules_the_numbers_of_a_data_set():
    raw = make_raw((400, 100))
    parts = split(raw, DataConfig(val_fraction=0.1))
    assert np.bincount(raw.train_y[parts.val]).tolist() == [40, 10]


def test_examples_that_cannot_be_divided_are_refused():
    with pytest.raises(DataError, match=r"2 training examples are too few"):
        split(proportional((1, 1)), DataConfig())


def test_validation_of_a_regression_has_the_quantiles_of_the_targets():
    rng = np.random.default_rng(0)
    targets = np.exp(2 * rng.normal(size=(2000, 1))).astype(np.float32)
    raw = dataclasses.replace(
        make_regression(2000, targets=targets), default_val_per_class=None
    )
    val = targets[split(raw, DataConfig()).val, 0]
    inner = np.quantile(targets, np.arange(1, 10) / 10)
    assert np.bincount(np.searchsorted(inner, val), minlength=10).tolist() == [20] * 10


@pytest.mark.parametrize("counts", [(900, 40, 3), (1, 60, 60)])
def test_arranging_does_not_change_which_examples_validate(counts):
    raw = proportional(counts)
    raw = dataclasses.replace(raw, train_x=np.arange(len(raw.train_y))[:, None])
    result = arranged(raw, DataConfig())
    parts = [split(result, DataConfig(per_class=k)) for k in (1, "all")]
    assert (parts[0].val == parts[1].val).all()
    first = len(raw.train_y) - len(parts[0].val)
    assert parts[1].val.tolist() == list(range(first, len(raw.train_y)))


def test_arranging_a_regression_with_equal_targets_puts_validation_last():
    targets = np.repeat(np.arange(7.0, dtype=np.float32), 100)[:, None]
    raw = dataclasses.replace(
        make_regression(700, targets=targets), default_val_per_class=None
    )
    val = split(arranged(raw, DataConfig()), DataConfig()).val
    assert val.tolist() == list(range(700 - len(val), 700))


def test_arranging_keeps_pairs_and_makes_all_but_validation_one_view():
    raw = make_raw()
    result = arranged(raw, DataConfig())
    result.train_x.flags.writeable = False

    def pairs(data):
        return sorted(
            (y, x.tobytes()) for x, y in zip(data.train_x, data.train_y, strict=True)
        )

    assert pairs(result) == pairs(raw)
    train, val = examples(result, split(result, DataConfig()))
    assert np.shares_memory(train.x.numpy(), result.train_x)
    assert np.shares_memory(val.x.numpy(), result.train_x)
    subset, _ = examples(result, split(result, DataConfig(per_class=3)))
    assert not np.shares_memory(subset.x.numpy(), result.train_x)


def test_subsets_hold_the_rows_of_their_indices():
    raw = make_raw()
    parts = split(raw, DataConfig(per_class=4))
    train, _ = examples(raw, parts)
    np.testing.assert_array_equal(train.x.numpy(), raw.train_x[parts.train])
    np.testing.assert_array_equal(train.y.numpy(), raw.train_y[parts.train])


def test_images_are_standardised_by_one_number_from_the_training_part():
    raw = make_raw()
    train, val = examples(raw, split(raw, DataConfig(per_class=2)))
    for part in (train, val, read_test(raw)):
        np.testing.assert_allclose(part.shift.numpy(), [raw.train_x.mean()], rtol=1e-6)
        np.testing.assert_allclose(part.scale.numpy(), [raw.train_x.std()], rtol=1e-6)


def test_tables_are_standardised_per_feature_and_constants_stay_finite():
    raw = make_raw(shape=(4,), dtype="float32")
    raw.train_x[:, 2] = 1.1
    train, val = examples(raw, split(raw, DataConfig()))
    parts = [part.batch(torch.arange(len(part)))[0] for part in (train, val)]
    x = torch.cat(parts).double()
    torch.testing.assert_close(x.mean(0), torch.zeros(4).double(), atol=1e-5, rtol=0)
    expected = torch.tensor([1.0, 1.0, 0.0, 1.0]).double()
    torch.testing.assert_close(x.std(0, unbiased=False), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("train", "val", "gap"),
    [
        ([0, 0, 1, 1], [0, 1], 0.0),
        ([0, 0, 0, 1], [0, 1], 0.25),
        ([0, 0], [1], 1.0),
        ([2, 2, 2, 0], [0, 1, 2], 5 / 12),
    ],
)
def test_the_gap_is_the_share_that_would_have_to_change_its_class(
    train: list[int], val: list[int], gap: float
) -> None:
    assert share_gap(torch.tensor(train), torch.tensor(val)) == pytest.approx(gap)


def test_targets_of_a_regression_have_no_classes() -> None:
    assert share_gap(torch.zeros(3, 1), torch.zeros(2, 1)) is None
