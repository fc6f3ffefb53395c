"""Small data sets as people bring them, and files of them."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from senn_ray.config import DataConfig
from senn_ray.data.datasets import load
from senn_ray.data.examples import RawData


def blobs(n: int, seed: int, *, d: int = 4, classes: int = 3) -> Any:
    """Return features [n, d] and classes that lie well apart, in equal numbers."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % classes)
    x = rng.normal(size=(n, d)).astype(np.float32)
    x[np.arange(n), y % d] += 4
    return x, y.astype(np.int64)


def fixed(x: np.ndarray) -> pa.Array:
    """Return rows [n, d] as a column of fixed-size lists."""
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ravel(x)), x.shape[1])


def write(path: Path, columns: Any, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    pq.write_table(table, path, **options)


def two_parts(folder: Path, label: Any = pa.array, *, classes: int = 3) -> str:
    """Write train.parquet and test.parquet with list features and labels of any kind."""
    for seed, (part, n) in enumerate((("train", 150), ("test", 60))):
        x, y = blobs(n, seed, classes=classes)
        write(folder / f"{part}.parquet", {"features": fixed(x), "label": label(y)})
    return f"parquet:{folder}"


def declared(columns: Any, names: list[str], **kinds: Any) -> pa.Table:
    """Return a table whose label has class names, as Hugging Face datasets writes it."""
    features = {"label": {"_type": "ClassLabel", "names": names}, **kinds}
    text = json.dumps({"info": {"features": features}})
    return pa.table(columns).replace_schema_metadata({"huggingface": text})


def encoded(
    pixels: np.ndarray | Image.Image, form: str = "PNG", **options: Any
) -> bytes:
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def bars(n: int, seed: int, side: int = 8) -> Any:
    """Return grey images with an upright (0) or a flat bar (1)."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = rng.integers(0, 80, (n, side, side)).astype(np.uint8)
    for image, label in zip(x, y, strict=True):
        at = rng.integers(side)
        image[(slice(None), at) if label == 0 else (at, slice(None))] = 255
    return x, y


def read(dataset: str, **settings: Any) -> RawData:
    return load(DataConfig(dataset=dataset, **settings))


def said(raw: RawData) -> str:
    return "\n".join(raw.notes)
