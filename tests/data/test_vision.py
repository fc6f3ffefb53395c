import os
import shutil
import struct
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torchvision

from senn_ray.config import DataConfig
from senn_ray.core.errors import DataError
from senn_ray.data import vision
from senn_ray.data.datasets import load
from senn_ray.data.splits import split

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
REAL = Path(os.environ.get("SENN_RAY_DATA") or SHARED)
LABELS = np.arange(60) % 10


def write_idx(path, array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4))
    images[:, 0, 0] = LABELS
    for name in ("train", "t10k"):
        write_idx(folder / f"{name}-images-idx3-ubyte", images)
        write_idx(folder / f"{name}-labels-idx1-ubyte", LABELS)
    return tmp_path


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise URLError("no network in tests")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.mark.usefixtures("offline")
def test_idx_files_in_torchvision_layout_are_read_without_network(root):
    raw = load(DataConfig(dataset="mnist", root=root))
    assert raw.feature_shape == (1, 4, 4)
    assert raw.train_x.shape == (60, 16)
    np.testing.assert_array_equal(raw.train_x[:, 0], raw.train_y)


@pytest.mark.usefixtures("offline")
def test_missing_files_without_network_are_one_clear_line(tmp_path):
    with pytest.raises(DataError, match=r"mnist: no usable files .*--data\.root"):
        load(DataConfig(dataset="mnist", root=tmp_path / "new"))


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("size", [0, 7, 500])
def test_truncated_files_are_data_errors(root, size):
    path = root / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match="mnist: no usable files"):
        load(DataConfig(dataset="mnist", root=root))


def test_colour_images_become_channels_first(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 5, 3)).astype(np.uint8)

    class Fake:
        def __init__(self, *_args, train, **_kwargs):
            self.data = images if train else 255 - images
            self.targets = LABELS.tolist()

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", Fake)
    raw = vision.read("cifar10", tmp_path)
    assert raw.feature_shape == (3, 4, 5)
    np.testing.assert_array_equal(
        raw.train_x[7].reshape(3, 4, 5)[1], images[7, :, :, 1]
    )


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("place", [".", "MNIST/raw"])
def test_read_only_folders_are_read_and_left_alone(root, place):
    (root / place).chmod(0o555)
    assert len(vision.read("mnist", root).train_y) == 60
    assert {path.name for path in root.iterdir()} == {"MNIST"}
    (root / place).chmod(0o755)


@pytest.mark.usefixtures("offline")
def test_read_only_roots_without_files_are_data_errors(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(DataError, match="no usable files"):
        vision.read("mnist", tmp_path)


def test_the_cache_is_known_without_reading(root):
    assert vision.is_cached("mnist", root)
    assert not vision.is_cached("cifar10", root)


def test_the_default_root_is_the_user_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert vision.root_folder(DataConfig()) == tmp_path / "senn-ray"


@pytest.mark.usefixtures("offline")
@pytest.mark.skipif(not (REAL / "MNIST").is_dir(), reason="no real MNIST here")
def test_real_mnist_has_its_official_sizes(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for path in (REAL / "MNIST" / "raw").iterdir():
        shutil.copyfile(path, folder / path.name)
    config = DataConfig(dataset="mnist", root=tmp_path)
    raw = load(config)
    parts = split(raw, config)
    assert (len(parts.train), len(parts.val), len(raw.test_y)) == (55000, 5000, 10000)
    with pytest.raises(DataError, match=r"class 5 has 5421 .* at most 4921"):
        split(raw, config.model_copy(update={"per_class": 6000}))
