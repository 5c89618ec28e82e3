"""How a photo becomes what a network sees: crop and resize.

The only place that knows it, so that training, evaluation and translation can never disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from PIL import Image

from stargan.errors import UserError
from stargan.imaging.decode import to_rgb

CROP_TOLERANCE = 1.25
"""How much larger than the training's crop a photo may be and still be framed like its photos."""
CUT = 0.15
"""A loss of at most so much of a side is not worth a word."""


def crop_resize(image: Image.Image, size: tuple[int, int], crop: int | None = None) -> Image.Image:
    """Centre crop, then PIL's (antialiased) bilinear resize to exactly ``size``.

    Args:
        image: RGB.
        size: ``(height, width)`` of the result.
        crop: side of the square centre crop in pixels (CelebA: 178); None: the largest centre
            crop of the aspect ratio of ``size``.

    Raises:
        UserError: the crop is larger than the image. It is never padded with black.
    """
    top, left, bottom, right = crop_window((image.height, image.width), size, crop)
    image = image.crop((left, top, right, bottom))
    return image.resize((size[1], size[0]), Image.Resampling.BILINEAR)


def crop_window(
    image: tuple[int, int], size: tuple[int, int], crop: int | None = None
) -> tuple[int, int, int, int]:
    """What ``crop_resize`` cuts out of an image of (height, width): top, left, bottom, right.

    Bottom and right are the first row and column outside.

    Raises:
        UserError: see ``crop_resize``.
    """
    height, width = size
    if height < 1 or width < 1:
        raise UserError(f"image size {height}x{width} is impossible: both must be at least 1.")
    if crop is None:
        shrink = min(image[0] / height, image[1] / width)
        tall = min(image[0], max(1, round(height * shrink)))
        wide = min(image[1], max(1, round(width * shrink)))
    else:
        if crop < 1:
            raise UserError(f"crop={crop} is impossible: it must be at least 1 pixel.")
        if crop > min(image):
            raise UserError(
                f"crop={crop} is larger than an image of {image[1]}x{image[0]} pixels "
                "(width x height): lower the crop, or leave it out to take the largest that fits."
            )
        tall = wide = crop
    top = round((image[0] - tall) / 2)
    left = round((image[1] - wide) / 2)
    return top, left, top + tall, left + wide


def frame(image: Image.Image, size: tuple[int, int], crops: Iterable[int | None]) -> Image.Image:
    """A photo as a trained network sees it: RGB, upright, cropped, of the network's image size.

    The rule, here and nowhere else: a photo that is framed like the training's (its shorter
    side is from 1 to 1.25 times the training's crop) gets that same centre crop. Any other
    photo gets the largest centre crop of the network's aspect ratio, since a crop in pixels
    says nothing of a photo of another size.

    Args:
        image: any PIL image.
        size: ``(height, width)`` of the result.
        crops: the training's centre crops in pixels, None for the largest.
    """
    image = to_rgb(image)
    return crop_resize(image, size, fitting_crop((image.height, image.width), crops))


def fitting_crop(image: tuple[int, int], crops: Iterable[int | None]) -> int | None:
    """The training's crop that an image of (height, width) gets, see ``frame``; None: the largest
    of its own."""
    return next((c for c in crops if c and c <= min(image) <= CROP_TOLERANCE * c), None)


def framing_words(size: tuple[int, int], crops: Mapping[str, int | None]) -> str:
    """How the images of a training were framed.

    ``the middle 178 x 178 pixels of each image, resized to 128 x 128``

    Args:
        size: ``(height, width)`` of the network.
        crops: the centre crop of each data set in pixels, None for the largest.
    """
    height, width = size
    shape = "square" if height == width else f"part of shape {width} : {height}"

    def one(crop: int | None) -> str:
        return (
            f"the largest middle {shape}" if crop is None else f"the middle {crop} x {crop} pixels"
        )

    if len(set(crops.values())) <= 1:
        words = f"{one(next(iter(crops.values()), None))} of each image"
    else:
        words = ", ".join(f"of {name} {one(crop)} of each image" for name, crop in crops.items())
    return f"{words}, resized to {width} x {height}"


def framed_otherwise(
    image: tuple[int, int], size: tuple[int, int], crops: Iterable[int | None]
) -> str | None:
    """What ``frame`` does to an image that is not framed as the training's were, in words.

    Only what can be known: what is cut off, and that the training cut other images by pixels. How
    large a face is in either nobody has measured.

    Args:
        image: its upright (height, width).
        size, crops: see ``frame``.

    Returns:
        Half a sentence; None: there is nothing to say.
    """
    crops = list(crops)
    if fitting_crop(image, crops) is not None:
        return None
    (tall, wide), window = image, crop_window(image, size)
    kept = window[2] - window[0], window[3] - window[1]
    said = []
    cut = kept[0] < (1 - CUT) * tall or kept[1] < (1 - CUT) * wide
    known = sorted({c for c in crops if c})
    if cut:
        said.append(
            f"only the middle {kept[1]} x {kept[0]} of the photo's {wide} x {tall} pixels is seen"
        )
    elif known:
        said.append(f"all of the photo's {wide} x {tall} pixels are seen")
    if known:
        pixels = " or ".join(f"{c} x {c}" for c in known)
        said[0] += (
            f", where the training's images were cropped to their middle {pixels} pixels (a face "
            "should fill as much of it as of those)"
        )
    if kept[0] < (1 - CUT) * size[0]:
        said.append(f"it is enlarged from {kept[1]} x {kept[0]} pixels, so it is not sharp")
    return ", ".join(said) or None
