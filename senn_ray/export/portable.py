"""Networks as plain modules of torch, with the standardisation inside: what is exported.

They take raw features [n, d], and give targets in their own units: the last layer undoes
the standardisation of the targets. Both are float32, or float64 where that is too coarse
(time stamps). Their layers have the names that the model card
uses; the parameters of nonlinearities are buffers ``shape…``.
"""

import torch
from torch import Tensor, nn

from senn_ray.data.standardisation import Inputs
from senn_ray.nets.conv import ConvNet
from senn_ray.nets.mlp import dense
from senn_ray.nets.network import LayerIndex, Network


class Portable(nn.Module):
    """Standardisation, named layers, and the nonlinearity."""

    shift: Tensor
    scale: Tensor

    def __init__(
        self, net: Network, inputs: Inputs, layers: dict[str, nn.Module]
    ) -> None:
        super().__init__()
        self.register_buffer("shift", inputs.shift.clone())
        self.register_buffer("scale", inputs.scale.clone())
        self.has_wide_targets = has_wide_targets(inputs)
        if self.has_wide_targets:
            self.register_buffer("target_shift", inputs.target_shift)
            self.register_buffer("target_scale", inputs.target_scale)
        self.layers = nn.ModuleDict(layers).requires_grad_(requires_grad=False)
        self.apply_family = net.family.apply
        self.has_shapes = bool(net.family.start)
        for place in net.places() if self.has_shapes else []:
            values = torch.stack(list(net.shape(place))).detach()
            self.register_buffer(_name("shape", place), values)

    def standardised(self, x: Tensor) -> Tensor:
        """Scale raw features [n, d]."""
        return ((x - self.shift) / self.scale).float()

    def in_own_units(self, outputs: Tensor) -> Tensor:
        """Undo the standardisation of targets that the last layer is too coarse for."""
        if not self.has_wide_targets:
            return outputs
        scale, shift = self.get_buffer("target_scale"), self.get_buffer("target_shift")
        return outputs * scale + shift

    def activated(self, z: Tensor, place: LayerIndex) -> Tensor:
        """Apply the nonlinearity to [n, h, ...]."""
        if not self.has_shapes:
            return self.apply_family(z, ())
        values = self.get_buffer(_name("shape", place)).unbind(0)
        around = (-1,) + (1,) * (z.dim() - 2)
        return self.apply_family(z, [v.view(around) for v in values])


class PortableDense(Portable):
    """A multi-layer perceptron."""

    def forward(self, x: Tensor) -> Tensor:
        """Compute outputs [n, n_out] from raw features [n, d]."""
        a = self.standardised(x)
        for i, layer in enumerate(self.layers.values()):
            a = layer(self.activated(a, LayerIndex(0, i - 1)) if i else a)
        return self.in_own_units(a)


class PortableConv(Portable):
    """A convolutional network."""

    def __init__(
        self, net: ConvNet, inputs: Inputs, layers: dict[str, nn.Module]
    ) -> None:
        super().__init__(net, inputs, layers)
        self.image, self.patch, self.layout = net.image, net.patch, net.layout

    def forward(self, x: Tensor) -> Tensor:
        """Compute outputs [n, n_out] from raw features [n, d]."""
        images = self.standardised(x).view(-1, *self.image)
        a = self.layers["stem"](nn.functional.pixel_unshuffle(images, self.patch))
        for stage, count in enumerate(self.layout):
            if stage:
                a = self.layers[f"into{stage}"](nn.functional.avg_pool2d(a, 2))
            for place in (LayerIndex(stage, layer) for layer in range(count)):
                z = self.layers[_name("in", place)](a)
                a = a + self.layers[_name("out", place)](self.activated(z, place))
        return self.in_own_units(self.layers["head"](a.mean((2, 3))))


def has_wide_targets(inputs: Inputs) -> bool:
    """Tell whether targets need float64, such as a moment of time in seconds."""
    shift = inputs.target_shift
    return shift is not None and shift.dtype == torch.float64


def portable(net: Network, inputs: Inputs) -> Portable:
    """Make a plain module of a network and the standardisation of its inputs."""
    if isinstance(net, ConvNet):
        return PortableConv(net, inputs, _convolutions(net, inputs)).eval()
    *hidden, last = [W.detach() for W in dense(net).weights]
    weights = enumerate([*hidden, _in_own_units(last, inputs)])
    layers: dict[str, nn.Module] = {str(i): _linear(W) for i, W in weights}
    return PortableDense(net, inputs, layers).eval()


def _convolutions(net: ConvNet, inputs: Inputs) -> dict[str, nn.Module]:
    layers: dict[str, nn.Module] = {"stem": _convolution(net.parts[0], side=3)}
    for place in net.places():
        parts = net.locate(place)
        layers[_name("in", place)] = _convolution(net.parts[parts.rows], side=3)
        layers[_name("out", place)] = _convolution(net.parts[parts.columns], side=1)
    for stage in range(1, len(net.layout)):
        before = net.locate(LayerIndex(stage, 0)).rows - 1
        layers[f"into{stage}"] = _convolution(net.parts[before], side=1)
    return {**layers, "head": _linear(_in_own_units(net.parts[-1].detach(), inputs))}


def _in_own_units(W: Tensor, inputs: Inputs) -> Tensor:
    """Let the last layer [n_out, n_in + 1] give targets as the data set has them."""
    if inputs.target_shift is None or inputs.target_scale is None:
        return W
    if has_wide_targets(inputs):
        return W
    scaled = W * inputs.target_scale[:, None]
    scaled[:, -1] += inputs.target_shift
    return scaled


def _name(what: str, place: LayerIndex) -> str:
    return f"{what}{place.stage}_{place.layer}"


def _linear(W: Tensor) -> nn.Linear:
    layer = nn.Linear(W.shape[1] - 1, len(W))
    with torch.no_grad():
        layer.weight.copy_(W[:, :-1])
        layer.bias.copy_(W[:, -1])
    return layer


def _convolution(W: Tensor, *, side: int) -> nn.Conv2d:
    n_in = (W.shape[1] - 1) // side**2
    layer = nn.Conv2d(n_in, len(W), side, padding=side // 2)
    with torch.no_grad():
        layer.weight.copy_(W[:, :-1].reshape(layer.weight.shape))
        if layer.bias is not None:
            layer.bias.copy_(W[:, -1])
    return layer
