import numpy as np
import pytest

from senn_ray.config import DataConfig
from senn_ray.core.errors import ConfigError, DataError
from senn_ray.data.datasets import check, load
from senn_ray.data.splits import examples, split
from senn_ray.data.vision import is_cached

PAIRS = {
    "leaky": ("x", "y", "x", "y"),
    "fine": ("x", "y", "x + 1", "y"),
    "regression": ("x", "y / 7", "x + 1", "y / 7"),
    "nan": ("x * float('nan')", "y", "x + 1", "y"),
    "gap": ("x", "y * 2", "x + 1", "y * 2"),
    "one_class": ("x", "y * 0", "x + 1", "y * 0"),
    "negative": ("x", "y * 2 - 1", "x + 1", "y * 2 - 1"),
    "strange_test": ("x", "y", "x + 1", "y + 1"),
    "lengths": ("x", "y[:-1]", "x + 1", "y"),
    "widths": ("x", "y", "x[:, 1:] + 1", "y"),
    "mixed": ("x", "y", "x + 1", "y / 7"),
}


@pytest.fixture
def module(tmp_path, monkeypatch):
    lines = [
        "import numpy as np",
        "x = np.arange(120, dtype=np.float64).reshape(40, 3)",
        "y = np.arange(40) % 2",
        "class Items:",
        "    def __init__(self, x): self.x = x",
        "    def __len__(self): return len(self.x)",
        "    def __getitem__(self, i): return self.x[i], int(y[i])",
        "def items(): return Items(x), Items(x + 1)",
        "def broken(): raise OSError('no disk')",
        "def three(): return 1, 2, 3",
    ]
    for name, (a, b, c, d) in PAIRS.items():
        lines.append(f"def {name}(): return ({a}, {b}), ({c}, {d})")
    (tmp_path / "made_data.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    return "made_data"


def test_digits_are_split_once_for_all():
    raw = load(DataConfig())
    parts = split(raw, DataConfig())
    assert (len(parts.train), len(parts.val), len(raw.test_y)) == (1097, 200, 500)
    assert raw.train_x.dtype == np.uint8
    assert raw.train_x.max() == 16
    again = load(DataConfig(per_class=5, subset_seed=3))
    np.testing.assert_array_equal(raw.test_x, again.test_x)
    np.testing.assert_array_equal(raw.train_x, again.train_x)


def test_digits_test_part_is_disjoint_and_complete():
    from sklearn.datasets import load_digits

    raw = load(DataConfig())
    ours = np.concatenate([raw.train_x, raw.test_x])
    theirs = load_digits(return_X_y=True)[0].astype(np.uint8)
    assert sorted(map(bytes, ours)) == sorted(map(bytes, theirs))


@pytest.mark.parametrize("name", ["fine", "items"])
def test_factories_give_arrays_or_data_sets(module, name):
    raw = load(DataConfig(dataset=f"factory:{module}:{name}"))
    assert raw.task == "classification"
    assert (raw.num_outputs, raw.feature_shape) == (2, (3,))
    assert raw.train_x.dtype == np.float32
    assert len(split(raw, DataConfig()).val) == 10
    rows = {x.tobytes(): y for x, y in zip(raw.train_x, raw.train_y, strict=True)}
    assert rows[np.array([3, 4, 5], np.float32).tobytes()] == 1


@pytest.mark.parametrize(("name", "classes"), [("gap", (0, 2)), ("negative", (-1, 1))])
def test_any_whole_numbers_may_be_classes(module, name, classes):
    raw = load(DataConfig(dataset=f"factory:{module}:{name}"))
    assert raw.labels is not None
    assert raw.labels.classes == classes
    assert sorted(set(raw.train_y)) == [0, 1]


def test_float_labels_make_a_regression(module):
    config = DataConfig(dataset=f"factory:{module}:regression")
    raw = load(config)
    train, val = examples(raw, split(raw, config))
    assert raw.task == "regression"
    assert train.y.shape == (30, 1)
    assert len(val) == 10


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("leaky", "share 40 identical examples"),
        ("nan", "40 training examples have NaN"),
        ("one_class", "nothing to learn"),
        (
            "strange_test",
            "20 test examples are of classes that the training part lacks: 2",
        ),
        ("lengths", "40 examples and 39 labels"),
        ("widths", "3 features, a test example 2"),
        ("mixed", "training labels are integers, test labels floats"),
        ("broken", "no disk"),
        ("three", "must return"),
    ],
)
def test_unfit_factories_are_data_errors(module, name, message):
    with pytest.raises(DataError, match=message):
        load(DataConfig(dataset=f"factory:{module}:{name}"))


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("mnits", "did you mean mnist"),
        ("parquet:", "is not known"),
        ("factory:no_such_module:f", "cannot be imported"),
        ("factory:json:no_such", "cannot be imported"),
        ("factory:json", "cannot be imported"),
    ],
)
def test_unknown_names_are_configuration_errors(dataset, message):
    with pytest.raises(ConfigError, match=message):
        load(DataConfig(dataset=dataset))


def test_too_many_per_class_is_said_while_loading():
    with pytest.raises(DataError, match="use at most"):
        load(DataConfig(per_class=1000))


def test_a_check_counts_examples(module):
    config = DataConfig(dataset=f"factory:{module}:fine")
    said = "40 training, 40 test examples; labels (label): 2 classes 0, 1"
    assert check(config) == f"factory:{module}:fine: {said}"


def test_a_check_never_downloads(tmp_path):
    config = DataConfig(dataset="cifar10", root=tmp_path)
    assert check(config) == f"cifar10: not in {tmp_path} yet, downloaded on first use"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"half an archive")
    assert is_cached("cifar10", tmp_path)
