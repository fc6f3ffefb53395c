"""Images: from encoded bytes to arrays of pixels, channels first.

All images of a data set come out alike. What they are is looked up in their headers
before any is decoded: grey or colour, bits, size, orientation. Images turn as their
orientation says, transparent ones lie on white, palettes and CMYK become RGB, 16-bit grey
stays 16-bit grey. Nothing here opens a path that data name.
"""

import io
import math
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from senn_ray.core.errors import DataError

MOST_PIXELS = 89_000_000
"""More is a bomb, or a slide that needs tiling."""
DEEP = {"I", "I;16", "I;16B", "I;16L", "I;16N"}
CLEAR = {"RGBA", "LA", "PA", "La", "RGBa"}
GREY = {"L", "1", "LA", "La"} | DEEP
ORIENTATION = 0x0112
TURNED = 5
"""Orientations from here on exchange height and width."""
WRONG = (
    OSError,
    SyntaxError,
    ValueError,
    IndexError,
    TypeError,
    KeyError,
    OverflowError,
)
"""What Pillow raises of files that are no images."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """What all images of a data set come out as."""

    shape: tuple[int, int, int]
    """Channels, height, width."""
    deep: bool = False
    """Whether pixels have 16 bits."""
    resize: bool = False


@dataclass
class Survey:
    """What the headers of images say."""

    sizes: dict[tuple[int, int], str] = field(default_factory=dict)
    """Heights and widths, each with the first place that has it."""
    kinds: Counter[str] = field(default_factory=Counter)
    """How many are grey, colour, deep, clear, turned."""
    broken: list[str] = field(default_factory=list)

    def look(self, place: str, encoded: Any) -> bool:
        """Read the header of an image, and tell if there is one.

        Raises:
            DataError: if it is too large.
        """
        try:
            with _opened(encoded) as image:
                width, height = image.size
                mode = image.mode
                turned = image.getexif().get(ORIENTATION, 1)
                clear = mode in CLEAR or "transparency" in image.info
                if mode == "P":
                    mode = "L" if _grey_palette(image) else "RGB"
        except WRONG as error:
            self.broken.append(f"{place}: {_short(error)}")
            return False
        if width * height > MOST_PIXELS:
            raise DataError(
                f"{place} is an image of {width} x {height} pixels; more than "
                f"{MOST_PIXELS // 10**6} million are refused: cut it into tiles"
            )
        if turned >= TURNED:
            width, height = height, width
        self.sizes.setdefault((height, width), place)
        self.kinds[
            "deep" if mode in DEEP else "grey" if mode in GREY else "colour"
        ] += 1
        self.kinds["clear"] += clear
        self.kinds["turned"] += turned not in {0, 1}
        return True

    def form(self, name: str, size: int | None) -> Form:
        """Choose what all images come out as.

        Args:
            name: What messages call the data set.
            size: Height and width, if images are to be scaled.

        Raises:
            DataError: if they have several sizes, or none can be read.
        """
        if not self.sizes:
            raise DataError(f"{name}: no image can be read ({self.broken[0]})")
        if len(self.sizes) > 1 and size is None:
            (one, first), (two, second) = list(self.sizes.items())[:2]
            raise DataError(
                f"{name}: images of unequal size: {first} has {one[0]} x {one[1]}, "
                f"{second} has {two[0]} x {two[1]} (height x width), "
                f"{len(self.sizes)} sizes in all; scale them: --data.image-size "
                f"{_usual(self.sizes)}"
            )
        if self.kinds["deep"] and (self.kinds["grey"] or self.kinds["colour"]):
            raise DataError(
                f"{name}: {self.kinds['deep']} images have 16 bits, "
                f"{self.kinds['grey'] + self.kinds['colour']} have 8; save all alike"
            )
        height, width = (size, size) if size else next(iter(self.sizes))
        return Form(
            shape=(3 if self.kinds["colour"] else 1, height, width),
            deep=bool(self.kinds["deep"]),
            resize=size is not None and set(self.sizes) != {(size, size)},
        )

    def notes(self, form: Form) -> list[str]:
        """Say what happens to images that a reader might not expect."""
        kinds, (_, height, width) = self.kinds, form.shape
        told = {
            f"{kinds['clear']} images with transparency lie on white": kinds["clear"],
            f"{kinds['turned']} images are turned as their EXIF orientation says":
                kinds["turned"],
            f"{kinds['grey']} grey images among {kinds['colour']} in colour are read as "
            "RGB": kinds["colour"] and kinds["grey"],
            f"images of {len(self.sizes)} sizes are scaled to {height} x {width}, "
            "whatever their shape": form.resize,
        }  # fmt: skip
        return [text for text, holds in told.items() if holds]


def decode(place: str, encoded: Any, form: Form) -> np.ndarray:
    """Decode an image to pixels [channels, height, width], uint8 or uint16.

    Raises:
        DataError: if it is damaged, or does not fit the form.
    """
    channels, height, width = form.shape
    try:
        with _opened(encoded) as opened:
            if math.prod(opened.size) > MOST_PIXELS:
                raise ValueError(f"{opened.size[0]} x {opened.size[1]} pixels")
            image = ImageOps.exif_transpose(opened)
            image = _on_white(image)
            if form.deep and image.mode in DEEP:
                image = Image.fromarray(np.asarray(image).astype(np.uint16))
            elif form.deep:
                raise ValueError("8 bits among images of 16")
            else:
                image = image.convert("RGB" if channels == 3 else "L")
            if form.resize:
                image = image.resize((width, height), Image.Resampling.BILINEAR)
            pixels = np.asarray(image)
    except WRONG as error:
        raise DataError(
            f"{place} is not a readable image: {_short(error)}; mend it, or leave it "
            "out: --data.broken-images skip"
        ) from error
    if pixels.shape[:2] != (height, width):
        raise DataError(
            f"{place} has {pixels.shape[0]} x {pixels.shape[1]} pixels, the other "
            f"images have {height} x {width}; scale them: --data.image-size {height}"
        )
    return pixels.transpose(2, 0, 1) if channels == 3 else pixels[None]


def decode_all(places: Iterable[str], encoded: Iterable[Any], form: Form) -> np.ndarray:
    """Decode images to an array [n, channels, height, width]."""
    pixels = [
        decode(place, value, form) for place, value in zip(places, encoded, strict=True)
    ]
    return np.stack(pixels)


def _opened(encoded: Any) -> Image.Image:
    """Read a header; the caller looks at the size before pixels are decoded."""
    if encoded is None:
        raise ValueError("there are no bytes")
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None  # It would not say which image, nor its size.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Some tags are always odd.
            return Image.open(io.BytesIO(encoded))
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode not in CLEAR and "transparency" not in image.info:
        return image
    grey = image.mode in GREY
    clear = image.convert("RGBA")
    ground = Image.new("RGBA", clear.size, "white")
    return Image.alpha_composite(ground, clear).convert("L" if grey else "RGB")


def _grey_palette(image: Image.Image) -> bool:
    colours = np.array(image.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _usual(sizes: Iterable[tuple[int, int]]) -> int:
    shorter = sorted(min(size) for size in sizes)
    return min(shorter[len(shorter) // 2], 224)


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()).partition(" <_io.")[0]
    return text[:200] or type(error).__name__
