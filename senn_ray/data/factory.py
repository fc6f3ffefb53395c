"""Data of one's own: ``factory:package.module:function``.

The function takes no arguments and returns ``(train, test)``. Each part is a pair of
arrays ``(features, labels)``, or a torch data set whose items are such pairs of one
example. Integer labels make a classification, floats a regression. Validation examples
are taken from the training part, as for every other source.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from senn_ray.core.errors import ConfigError, DataError
from senn_ray.data.examples import RawData
from senn_ray.data.sources import Part, assemble

PAIR = 2


def read(reference: str) -> RawData:
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
