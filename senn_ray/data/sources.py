"""From features and labels to checked ``RawData``; data of one's own from a function.

``factory:package.module:function`` names a function without arguments that returns
``(train, test)``. Each part is a pair of arrays ``(features, labels)``, or a torch data
set whose items are such pairs of one example. Integer labels make a classification,
floats a regression. Validation examples are taken from the training part, as for every
other source.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from senn_ray.core.errors import ConfigError, DataError
from senn_ray.data.examples import Encoding, RawData
from senn_ray.data.standardisation import chunks_of, encoding, stored, stored_targets

PAIR = 2

Part = tuple[np.ndarray, np.ndarray]
"""Features [n, ...] and labels [n] or [n, targets] of one part of a data set."""


def assemble(
    name: str,
    *,
    train: Part,
    test: Part,
    feature_shape: tuple[int, ...],
    val_per_class: int | None = None,
    known: Encoding | None = None,
) -> RawData:
    """Check two parts of a data set and put them together.

    Integer labels make a classification (classes 0, 1, ..., C - 1, each with training
    examples), floating-point labels a regression.

    Args:
        name: What messages call the data set.
        train: Official training part.
        test: Official test part.
        feature_shape: Shape of one example, channels first.
        val_per_class: Equal numbers of validation examples of the classes, if nothing
            else is said; if left out, they have the shares of the classes.
        known: Encoding of features that come encoded, from a file.

    Raises:
        DataError: if lengths, shapes, labels or tasks do not fit together.
    """
    classes = np.issubdtype(train[1].dtype, np.integer)
    if classes != np.issubdtype(test[1].dtype, np.integer):
        raise DataError(
            f"{name}: training labels are {train[1].dtype}, test labels "
            f"{test[1].dtype}; use integers (classes) or floats (regression) in both"
        )
    for which, part in (("training", train), ("test", test)):
        _check_features(name, which, part)
    train_y, test_y = _labels(name, "training", train), _labels(name, "test", test)
    widths = [x.size // len(x) for x in (train[0], test[0])]
    if widths[0] != widths[1] or train_y.shape[1:] != test_y.shape[1:]:
        raise DataError(
            f"{name}: a training example has {widths[0]} features, a test "
            f"example {widths[1]}; both parts need the same shape"
        )
    if known is None:
        shared, dtype = len(feature_shape) > 1, train[0].dtype
        known = encoding(chunks_of(train[0]), dtype, shared=shared)
        train_x, test_x = stored(train[0], known), stored(test[0], known)
    else:
        train_x, test_x = train[0], test[0]
    if classes:
        outputs = len(_class_counts(name, train_y, test_y))
    else:
        train_y, test_y = stored_targets(train_y, test_y)
        outputs = train_y.shape[1]
    return RawData(
        name=name,
        task="classification" if classes else "regression",
        num_outputs=outputs,
        feature_shape=feature_shape,
        train_x=train_x,
        train_y=train_y,
        test_x=test_x,
        test_y=test_y,
        default_val_per_class=val_per_class,
        encoding=known,
    )


def _check_features(name: str, which: str, part: Part) -> None:
    x, y = part
    if len(x) == 0 or len(x) != len(y):
        raise DataError(
            f"{name}: the {which} part has {len(x)} examples and {len(y)} labels; "
            "it needs as many of one as of the other, and at least one"
        )
    if x.dtype.kind not in "uifb":
        raise DataError(f"{name}: {which} features are {x.dtype}; numbers are needed")


def _labels(name: str, which: str, part: Part) -> np.ndarray:
    y = part[1]
    if np.issubdtype(y.dtype, np.integer) and y.ndim == 1:
        return y.astype(np.int64, copy=False)
    if not np.issubdtype(y.dtype, np.floating) or y.ndim > 2:
        raise DataError(
            f"{name}: {which} labels are {y.dtype} of shape {list(y.shape)}; they must "
            "be integers [n] (classes) or floats [n] or [n, targets] (regression)"
        )
    if not np.isfinite(y).all():
        raise DataError(f"{name}: {which} labels hold NaN or infinite values")
    return y.reshape(len(y), -1)


def _class_counts(name: str, train_y: np.ndarray, test_y: np.ndarray) -> list[int]:
    low = min(int(train_y.min()), int(test_y.min()))
    if low < 0:
        raise DataError(f"{name}: labels must be 0, 1, 2, ..., got {low}")
    # A stray label such as 2**40 must be an error, not an array of that length.
    top = int(train_y.max())
    if top >= len(train_y):
        raise DataError(
            f"{name}: label {top} among {len(train_y)} training examples leaves "
            "classes without examples; number the classes 0, 1, 2, ... without gaps"
        )
    counts = np.bincount(train_y).tolist()
    if 0 in counts:
        raise DataError(
            f"{name}: class {counts.index(0)} has no training example; number the "
            "classes 0, 1, 2, ... without gaps"
        )
    if len(counts) == 1:
        raise DataError(
            f"{name}: all training labels are 0, which leaves nothing to learn; give at "
            "least two classes, or labels that are floats for a regression"
        )
    if int(test_y.max()) > top:
        raise DataError(
            f"{name}: class {int(test_y.max())} is in the test part but not in the "
            "training part"
        )
    return counts


def read_factory(reference: str) -> RawData:
    """Call a factory and check what it returns.

    Args:
        reference: ``package.module:function``, importable here or from the working
            directory; anything else is a ``ConfigError``.

    Raises:
        DataError: if it fails, or if its arrays do not fit together.
    """
    name = f"factory:{reference}"
    function = _import(reference)
    try:
        returned = function()
        train, test = (_part(part) for part in returned)
    except Exception as error:
        raise DataError(
            f"{name} must return (train, test), each a pair of arrays (features, "
            f"labels) or a torch data set of such pairs: {error!r}"
        ) from error
    shape = train[0].shape[1:]
    return assemble(name, train=train, test=test, feature_shape=shape)


def _import(reference: str) -> Any:
    module_name, _, function = reference.partition(":")
    # A console script does not have the working directory on its path; users expect it.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        return getattr(importlib.import_module(module_name), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"data.dataset factory:{reference} cannot be imported ({error}); use "
            "factory:package.module:function"
        ) from error


def _part(part: Any) -> Part:
    if isinstance(part, tuple | list) and len(part) == PAIR:
        x, y = part
    else:
        pairs = [part[i] for i in range(len(part))]
        x = np.stack([np.asarray(x) for x, _ in pairs])
        y = np.stack([np.asarray(y) for _, y in pairs])
    return np.asarray(x), np.asarray(y)
