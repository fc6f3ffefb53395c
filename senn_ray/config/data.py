"""Settings of the data."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from senn_ray.config.section import Section


class DataConfig(Section):
    """Which examples are used, and how they are split."""

    dataset: str = Field(
        default="digits",
        description="digits, mnist, fashion-mnist, cifar10, sklearn:NAME, csv:, parquet:, "
        "arrow:, npz: or imagefolder: and a path, or factory:pkg.mod:function",
    )
    label: tuple[str, ...] = Field(
        default=(),
        description="label column of a table, or the columns of several targets "
        "(default: label)",
    )
    task: Literal["auto", "classification", "regression"] = Field(
        default="auto", description="what labels are, where that is open"
    )
    features: tuple[str, ...] = Field(
        default=(),
        description="columns of a table that are features, * and ? allowed (default: "
        "features, or all others)",
    )
    drop: tuple[str, ...] = Field(
        default=(), description="columns of a table that are no features"
    )
    categories: tuple[str, ...] = Field(
        default=(), description="columns of numbers that are names, such as a zip code"
    )
    image: str | None = Field(
        default=None, description="column of images (default: image, or the only one)"
    )
    image_size: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="height and width that images are scaled to (default: as they are)",
    )
    broken_images: Literal["refuse", "skip"] = Field(
        default="refuse", description="what becomes of images that cannot be read"
    )
    split: str | None = Field(
        default=None,
        description="column that says train or test (validation rows are added to train)",
    )
    test_fraction: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="share of the examples that is kept for testing, if there is no test "
        "part",
    )
    numeric: Literal["standard", "quantile"] = Field(
        default="standard",
        description="numbers in columns: to mean 0 and variance 1, or by their "
        "quantiles to a normal distribution, which outliers cannot upset",
    )
    max_levels: int = Field(
        default=50,
        ge=1,
        description="most inputs of a category; its rarest levels share one more",
    )
    absent_classes: Literal["refuse", "drop"] = Field(
        default="refuse",
        description="what becomes of classes of a schema without a training example",
    )
    root: Path | None = Field(
        default=None,
        description="where torchvision data is or goes (default: user cache)",
    )
    per_class: int | Literal["all"] = Field(
        default="all", description="training examples per class, stratified and nested"
    )
    val_fraction: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="share of the training part that is held out for validation, of each "
        "class alike (default: a tenth, 200 to 5000 examples, at most a quarter; of mnist, "
        "fashion-mnist and cifar10 500 of each class, of digits 20)",
    )
    val_per_class: int | None = Field(
        default=None,
        ge=1,
        description="validation examples of every class, in equal numbers instead",
    )
    subset_seed: int = Field(default=0, ge=0, description="seed of splits and subsets")
    memory_gb: float = Field(
        default=8.0,
        ge=0,
        description="Parquet features larger than this go to a file in data.root and "
        "are read from there as needed",
    )

    allow_overlap: str | None = Field(
        default=None,
        min_length=1,
        description="why examples may be in both the training and the test part of your "
        "own data; reports tell it",
    )

    @model_validator(mode="after")
    def _check_numbers(self) -> "DataConfig":
        if self.per_class != "all" and self.per_class < 1:
            raise ValueError(
                f"data.per_class must be at least 1 or 'all', got {self.per_class}"
            )
        if self.val_fraction is not None and self.val_per_class is not None:
            raise ValueError(
                "data.val_fraction and data.val_per_class both fix the size of the "
                "validation part; give one of them"
            )
        return self
