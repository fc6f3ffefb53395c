import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.data.datasets import load

LABELS = np.arange(40) % 2
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 3, 5, 3)).astype(np.uint8)
FEATURES = np.random.default_rng(1).normal(size=(40, 3))


def encode(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def feature_column(values=FEATURES):
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def write(folder, columns, metadata=None, names=("train", "test")):
    table = pa.table(columns).replace_schema_metadata(metadata)
    for name in names:
        pq.write_table(table, folder / f"{name}.parquet")


def read(folder):
    why = "both parts are written alike here"
    return load(DataConfig(dataset=f"parquet:{folder}", allow_overlap=why))


def by_content(raw):
    return sorted(
        (x.tobytes(), y) for x, y in zip(raw.train_x, raw.train_y, strict=True)
    )


def expected(rows):
    flat = rows.reshape(len(rows), -1)
    return sorted((x.tobytes(), y) for x, y in zip(flat, LABELS, strict=True))


IMAGES = [encode(p) for p in PIXELS]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(IMAGES, pa.binary()),
        pa.array(IMAGES, pa.large_binary()),
        pa.array([{"bytes": i, "path": None} for i in IMAGES]),
    ],
    ids=["binary", "large_binary", "struct"],
)
def test_encoded_images_are_decoded_channels_first(tmp_path, column):
    write(tmp_path, {"image": column, "label": LABELS})
    raw = read(tmp_path)
    assert raw.feature_shape == (3, 3, 5)
    assert by_content(raw) == expected(PIXELS.transpose(0, 3, 1, 2))


def test_grey_images_have_one_channel(tmp_path):
    grey = [encode(p[:, :, 0]) for p in PIXELS]
    write(tmp_path, {"image": pa.array(grey, pa.binary()), "label": LABELS})
    raw = read(tmp_path)
    assert raw.feature_shape == (1, 3, 5)
    assert by_content(raw) == expected(PIXELS[:, :, :, 0])


def test_raw_pixels_take_their_shape_from_the_metadata(tmp_path):
    pixels = [p.tobytes() for p in PIXELS]
    columns = {"image": pa.array(pixels, pa.binary(45)), "label": LABELS}
    write(tmp_path, columns, {"shape": "[3, 3, 5]"})
    raw = read(tmp_path)
    assert raw.feature_shape == (3, 3, 5)
    assert by_content(raw) == expected(PIXELS)


def test_fixed_size_lists_are_tables_of_features(tmp_path):
    write(tmp_path, {"features": feature_column(), "label": LABELS})
    raw = read(f"file://{tmp_path}")
    assert raw.feature_shape == (3,)
    assert by_content(raw) == expected(FEATURES.astype(np.float32))


def test_float_labels_make_a_regression(tmp_path):
    write(tmp_path, {"features": feature_column(), "label": FEATURES[:, 0]})
    raw = read(tmp_path)
    assert (raw.task, raw.num_outputs, raw.train_y.shape) == ("regression", 1, (40, 1))


def test_several_files_of_a_part_are_joined(tmp_path):
    columns = {"features": feature_column(), "label": LABELS}
    write(tmp_path, columns, names=("train-0", "train-1", "test-0"))
    raw = read(tmp_path)
    assert (len(raw.train_y), len(raw.test_y)) == (80, 40)


NAN = np.where(np.arange(120).reshape(40, 3) == 5, np.nan, FEATURES)
UNEQUAL = [*IMAGES[:-1], encode(PIXELS[0][:2])]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"features": feature_column()}, "has no column label: say which it is"),
        ({"label": LABELS}, "there is no feature column beside label"),
        (
            {"features": feature_column(), "label": [None, *LABELS[1:].tolist()]},
            r"column label has 1 nulls: .* row 0",
        ),
        (
            {"features": feature_column(NAN), "label": LABELS},
            r"1 training examples have NaN .*\(examples 1; features 2\)",
        ),
        (
            {"features": [*FEATURES[1:].tolist(), [1.0]], "label": LABELS},
            "lists of unequal length: 3 before, 1 in row 39",
        ),
        (
            {"image": pa.array(UNEQUAL, pa.binary()), "label": LABELS},
            r"unequal size: .*row 0 has 3 x 5, .*row 39 has 2 x 5.*--data.image-size",
        ),
        (
            {"image": pa.array([b"x", *IMAGES[1:]], pa.binary()), "label": LABELS},
            "row 0: cannot identify image file; mend them, or .*--data.broken-images",
        ),
        (
            {"image": [p.tobytes() for p in PIXELS], "label": LABELS},
            "no image can be read",
        ),
        (
            {"image": pa.array([b"123"] * 40, pa.binary(3)), "label": LABELS},
            "raw images of 3 bytes need their shape",
        ),
        ({"image": LABELS, "label": LABELS}, "column image is int64"),
    ],
)
def test_unfit_columns_are_named(tmp_path, columns, message):
    write(tmp_path, columns)
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def test_missing_and_truncated_files_are_named(tmp_path):
    with pytest.raises(DataError, match="there is no such file or folder"):
        read(tmp_path / "nowhere")
    columns = {"features": feature_column(), "label": LABELS}
    write(tmp_path, columns, names=("test",))
    with pytest.raises(DataError, match=r"no file train\* in that folder, only test"):
        read(tmp_path)
    write(tmp_path, columns, names=("train",))
    whole = (tmp_path / "train.parquet").read_bytes()
    for cut in (len(whole) // 2, 0):
        (tmp_path / "test.parquet").write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"test\.parquet is damaged"):
            read(tmp_path)


def test_files_without_rows_are_named(tmp_path):
    write(tmp_path, {"image": pa.array([], pa.binary()), "label": LABELS[:0]})
    with pytest.raises(DataError, match=r"train\.parquet holds no examples"):
        read(tmp_path)


def test_parts_of_different_shape_are_refused(tmp_path):
    write(tmp_path, {"features": feature_column(), "label": LABELS})
    narrow = {"features": feature_column(FEATURES[:, :2].copy()), "label": LABELS}
    write(tmp_path, narrow, names=("test",))
    with pytest.raises(DataError, match=r"test.parquet: .* 3 before, 2 in row 0"):
        read(tmp_path)
    write(tmp_path, narrow, names=("train-1",))
    write(tmp_path, {"features": feature_column(), "label": LABELS}, names=("train-0",))
    (tmp_path / "train.parquet").unlink()
    with pytest.raises(DataError, match=r"train-1.parquet"):
        read(tmp_path)
