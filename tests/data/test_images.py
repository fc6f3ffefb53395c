"""Images as they are found: of any mode, size and orientation, whole or broken."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from senn_ray.core.errors import DataError
from tests.data.made import bars, encoded, read, said, write


def pictures(folder: Path, make: Callable[[np.ndarray, int], bytes]) -> str:
    """Write images that ``make(pixels, row)`` encodes."""
    for seed, (part, n) in enumerate((("train", 40), ("test", 16))):
        x, y = bars(n, seed)
        blobs = [make(pixels, row) for row, pixels in enumerate(x)]
        columns = {"image": [{"bytes": b, "path": None} for b in blobs], "label": y}
        write(folder / f"{part}.parquet", columns)
    return f"parquet:{folder}"


def colour(pixels: np.ndarray) -> np.ndarray:
    return np.dstack([pixels, pixels // 2, pixels])


def turned(pixels: np.ndarray, row: int) -> bytes:
    image, exif = Image.fromarray(pixels), Image.Exif()
    if row % 2:
        image, exif[0x0112] = image.transpose(Image.Transpose.ROTATE_90), 6
    return encoded(image, "PNG", exif=exif)


def test_orientations_are_obeyed(tmp_path: Path) -> None:
    raw = read(pictures(tmp_path, turned))
    np.testing.assert_array_equal(raw.test_x, bars(16, 1)[0].reshape(16, -1))
    assert "28 images are turned" in said(raw)


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    def icon(pixels: np.ndarray, _: int) -> bytes:
        return encoded(np.dstack([np.zeros((8, 8, 3), np.uint8), pixels]))

    raw = read(pictures(tmp_path, icon))
    shown = raw.test_x.reshape(16, 3, 8, 8)[:, 0].astype(int)
    np.testing.assert_allclose(shown, 255 - bars(16, 1)[0].astype(int), atol=1)
    assert "56 images with transparency lie on white" in said(raw)


def test_sixteen_bits_stay_sixteen(tmp_path: Path) -> None:
    def deep(pixels: np.ndarray, _: int) -> bytes:
        return encoded(pixels.astype(np.uint16) * 200 + 1000)

    raw = read(pictures(tmp_path, deep))
    wanted = bars(16, 1)[0].reshape(16, -1) * 200.0 + 1000
    np.testing.assert_array_equal(raw.test_x, wanted)


@pytest.mark.parametrize(
    "make",
    [
        lambda p, i: encoded(p if i == 7 else colour(p)),
        lambda p, _: encoded(Image.fromarray(colour(p)).convert("P")),
        lambda p, _: encoded(Image.fromarray(colour(p)).convert("CMYK"), "JPEG"),
    ],
    ids=["grey among colour", "palette", "CMYK"],
)
def test_what_is_colour_is_read_as_rgb(
    tmp_path: Path, make: Callable[[np.ndarray, int], bytes]
) -> None:
    raw = read(pictures(tmp_path, make))
    assert raw.feature_shape == (3, 8, 8)
    bright = raw.test_x.reshape(16, 3, 64)[:, 0].max(1)
    assert bright.min() > 180


def test_sizes_are_scaled_when_it_is_said(tmp_path: Path) -> None:
    def photo(pixels: np.ndarray, row: int) -> bytes:
        return encoded(Image.fromarray(pixels).resize((8 + row % 3, 8)))

    dataset = pictures(tmp_path, photo)
    with pytest.raises(
        DataError, match=r"row 0 has 8 x 8.*row 1 has 8 x 9.*image-size 8"
    ):
        read(dataset)
    raw = read(dataset, image_size=6)
    assert raw.feature_shape == (1, 6, 6)
    assert "images of 3 sizes are scaled to 6 x 6" in said(raw)


@pytest.mark.parametrize("cut", [20, 150])
def test_broken_images_are_named_and_may_be_skipped(tmp_path: Path, cut: int) -> None:
    def torn(pixels: np.ndarray, row: int) -> bytes:
        blob = encoded(pixels)
        return blob[: min(cut, len(blob) - 30)] if row == 11 else blob

    dataset = pictures(tmp_path, torn)
    with pytest.raises(DataError, match=r"train.parquet, row 11.*--data.broken-images"):
        read(dataset)
    raw = read(dataset, broken_images="skip")
    assert (len(raw.train_y), len(raw.test_y)) == (39, 15)
    assert "2 images cannot be read" in said(raw)


def test_paths_are_no_images_and_never_opened(tmp_path: Path) -> None:
    for part in ("train", "test"):
        values = [{"bytes": None, "path": "../../etc/passwd"}] * 20
        write(tmp_path / f"{part}.parquet", {"image": values, "label": [0, 1] * 10})
    with pytest.raises(DataError, match="holds paths, not images; embed them"):
        read(f"parquet:{tmp_path}")


def test_a_huge_image_is_refused_with_its_size(tmp_path: Path) -> None:
    tile = encoded(Image.new("1", (14000, 14000)))
    values = [{"bytes": tile, "path": None}] * 4
    write(tmp_path / "a.parquet", {"image": values, "label": [0, 1, 0, 1]})
    with pytest.raises(DataError, match="row 0 is an image of 14000 x 14000 pixels"):
        read(f"parquet:{tmp_path}")
