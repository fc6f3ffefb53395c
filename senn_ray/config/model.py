"""Settings of the network."""

from typing import Literal

from pydantic import Field, model_validator

from senn_ray.config.section import Section

Activation = Literal["silu", "gelu", "tanh", "relu", "rational", "prelu"]
REACHES_IDENTITY: tuple[Activation, ...] = ("rational", "prelu")
"""Nonlinearities with parameters of their own, for some of which they do nothing."""


class ModelConfig(Section):
    """Where the network starts and how large it may become."""

    kind: Literal["mlp", "conv"] = Field(
        default="mlp",
        description="family of networks: multi-layer perceptrons, or residual "
        "convolutional networks for images",
    )
    hidden: tuple[int, ...] = Field(
        default=(2,),
        description="starting widths, input first (conv: hidden channels of each "
        "stage's block, or one number for all)",
    )
    channels: tuple[int, ...] = Field(
        default=(16, 32, 64),
        min_length=1,
        description="conv: channels of the stream in each stage; between stages the "
        "image is halved",
    )
    patch: int = Field(
        default=1,
        ge=1,
        description="conv: side of the squares of pixels that are one position of the "
        "first stage; 2 takes a quarter of the time",
    )
    max_hidden: int = Field(
        default=1024, ge=1, description="cap on the width of a layer"
    )
    max_depth: int | None = Field(
        default=None,
        ge=1,
        description="cap on the hidden layers (conv: on the blocks of each stage; "
        "default: as many as at the start)",
    )
    activation: Activation = Field(
        default="silu",
        description="nonlinearity; layers can be inserted with rational and prelu, "
        "whose parameters are trained",
    )

    @model_validator(mode="after")
    def _check_widths(self) -> "ModelConfig":
        if min(self.hidden, default=1) < 1:
            raise ValueError(
                f"model.hidden needs one width of at least 1 per hidden layer, "
                f"got {list(self.hidden)}"
            )
        if max(self.hidden, default=1) > self.max_hidden:
            raise ValueError(
                f"model.hidden {list(self.hidden)} exceeds model.max_hidden "
                f"{self.max_hidden}; raise model.max_hidden or lower model.hidden"
            )
        return self

    @model_validator(mode="after")
    def _check_stages(self) -> "ModelConfig":
        if min(self.channels) < 1:
            raise ValueError(
                f"model.channels needs numbers of at least 1, got {list(self.channels)}"
            )
        stages, widths = len(self.channels), len(self.hidden)
        if self.kind == "conv" and widths != 1 and widths % stages:
            raise ValueError(
                f"model.hidden {list(self.hidden)} does not fit the {stages} stages of "
                f"model.channels {list(self.channels)}; give one width for all stages, "
                "or one for each"
            )
        return self

    @model_validator(mode="after")
    def _check_depth(self) -> "ModelConfig":
        if self.depth_cap < self.start_depth:
            raise ValueError(
                f"model.hidden {list(self.hidden)} has more layers (of a stage) than "
                f"model.max_depth {self.max_depth}; raise model.max_depth"
            )
        needs_identity = self.kind == "mlp" and self.may_deepen
        if needs_identity and self.activation not in REACHES_IDENTITY:
            raise ValueError(
                f"model.max_depth {self.depth_cap} above the {len(self.hidden)} hidden "
                f"layers of model.hidden lets layers be inserted, but model.activation "
                f"{self.activation} can never be the identity; use "
                f"{' or '.join(REACHES_IDENTITY)}, or leave model.max_depth out"
            )
        if not self.hidden and not self.may_deepen:
            raise ValueError(
                "model.hidden without any layer cannot grow; set model.max_depth to at "
                "least 1, or start with a width"
            )
        return self

    @property
    def depth_cap(self) -> int:
        """The most hidden layers (of each stage)."""
        return self.start_depth if self.max_depth is None else self.max_depth

    @property
    def start_depth(self) -> int:
        """The hidden layers (of each stage) at the start."""
        if self.kind == "mlp" or len(self.hidden) == 1:
            return len(self.hidden)
        return len(self.hidden) // len(self.channels)

    @property
    def may_deepen(self) -> bool:
        """Whether layers may be inserted at all."""
        return self.depth_cap > self.start_depth
