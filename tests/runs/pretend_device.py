"""A pretended GPU: the arithmetic stays on the host, and no two devices may mix.

A ``Pretend`` tensor says that it is on ``cuda:0``, holds its numbers on the host, and
refuses to meet a tensor of the host wherever torch refuses it. So what depends on the
numbers runs as it is, ends with the same bits, and no GPU is needed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode

HOST, DEVICE = torch.device("cpu"), torch.device("cuda", 0)
DEVICE_TYPES = {"cuda", "meta"}
"""To torch's core a ``Pretend`` is on ``meta``, whose backward pass needs no GPU."""

aten = torch.ops.aten
COPIES = {aten._to_copy.default, aten.copy_.default}
HOST_SCALARS = {aten.masked_fill.Tensor, aten.masked_fill_.Tensor}


class MixedDevicesError(RuntimeError):
    """Report that the host and the device meet in one operation."""


class Pretend(torch.Tensor):
    """A tensor on the pretended device."""

    host: torch.Tensor

    @staticmethod
    def __new__(cls, host: torch.Tensor) -> "Pretend":
        """Wrap a tensor of the host."""
        result = torch.Tensor._make_wrapper_subclass(
            cls,
            host.shape,
            strides=host.stride(),
            storage_offset=host.storage_offset(),
            dtype=host.dtype,
            device=torch.device("meta"),
        )
        result.host = host
        return result

    device = property(lambda _: DEVICE)  # pyright: ignore[reportAssignmentType]
    is_cuda = property(lambda _: True)  # pyright: ignore[reportAssignmentType]

    def tolist(self) -> Any:
        """Return the numbers; torch has no such thing for subclasses."""
        return self.host.tolist()

    def new_tensor(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, data: Any, **kwargs: Any
    ) -> "Pretend":
        """Make a tensor of numbers; torch would leave them out on ``meta``."""
        return Pretend(torch.tensor(data, **{"dtype": self.dtype, **kwargs}))

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, _: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Compute on the host what may be computed."""
        return compute(func, args, kwargs or {})


class _Factories(TorchDispatchMode):
    """Make tensors on the pretended device, and move them there."""


def _dispatch(_: Any, func: Any, __: Any, args: Any = (), kwargs: Any = None) -> Any:
    return compute(func, args, kwargs or {})


# In the body of the class torch would wrap it, and import its compiler (seconds).
setattr(_Factories, "__torch_dispatch__", _dispatch)  # noqa: B010


class _FromValues(TorchFunctionMode):
    """Move what ``torch.tensor`` makes: it would look for a driver by itself."""

    def __torch_function__(
        self, func: Any, _: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        device = kwargs.get("device")
        if func in {torch.tensor, torch.as_tensor} and device is not None:
            return func(*args, **{**kwargs, "device": HOST}).to(device)
        return func(*args, **kwargs)


def compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Carry an operation out on the host, if no devices mix in it."""
    tensors = list(_tensors([args, kwargs]))
    known = {id(x.host): x for x in tensors if isinstance(x, Pretend)}
    device = kwargs.get("device")
    if device is None:
        on_device = bool(known) and (func not in COPIES or isinstance(args[0], Pretend))
    else:
        on_device = torch.device(device).type in DEVICE_TYPES
        kwargs = {**kwargs, "device": HOST}
    _refuse_mixture(func, args, tensors)
    generator = kwargs.get("generator")
    if generator is not None and on_device:
        raise MixedDevicesError(
            f"{func}: a generator of the host fills a device tensor"
        )
    host = _mapped(lambda x: x.host if isinstance(x, Pretend) else x, [args, kwargs])
    result = func(*host[0], **host[1])
    if torch.Tag.inplace_view in func.tags:
        with no_dispatch():  # The shape of the wrapper changes, too.
            func(*args, **kwargs)
    if not on_device:
        return result
    # What is changed in place stays the same tensor.
    return _mapped(lambda x: known[id(x)] if id(x) in known else Pretend(x), result)


def _refuse_mixture(func: Any, args: Any, tensors: list[torch.Tensor]) -> None:
    """Apply torch's rule: one device for all, but numbers may come from the host.

    Torch takes indices of the host, too, and copies them every time: here they may not.
    """
    counted = tensors
    if torch.Tag.pointwise in func.tags or func in HOST_SCALARS:
        written = func._schema.arguments[0].alias_info is not None
        counted = [x for x in tensors if x.dim() or (written and x is args[0])]
    devices = {type(x) is Pretend for x in counted}
    on_device = any(type(x) is Pretend for x in tensors)
    if func not in COPIES and on_device and False in devices:
        shapes = [(tuple(x.shape), x.device.type) for x in tensors]
        raise MixedDevicesError(f"{func}: the host and the device meet: {shapes}")


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def _mapped(change: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(change, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_mapped(change, item) for item in value)
    return value


@contextmanager
def pretended_cuda() -> Iterator[None]:
    """Let torch take ``cuda`` for a device that is there."""
    torch._C._ensureCUDADeviceGuardSet()
    with (
        mock.patch("torch.cuda._lazy_init"),
        mock.patch("torch.cuda.get_device_name", return_value="pretended"),
    ):
        yield


@contextmanager
def pretending() -> Iterator[None]:
    """Make what this thread puts on ``cuda`` a ``Pretend``; with ``pretended_cuda``."""
    with _FromValues(), _Factories():
        yield
