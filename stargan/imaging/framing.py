"""How a photo becomes what a network sees: crop and resize.

The only place that knows it, so that training, evaluation and translation can never disagree.
"""

from __future__ import annotations

from collections.abc import Iterable

from PIL import Image

from stargan.errors import UserError
from stargan.imaging.decode import to_rgb

CROP_TOLERANCE = 1.25
"""How much larger than the training's crop a photo may be and still be framed like its photos."""


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
    side = min(image.size)
    fits = (c for c in crops if c and c <= side <= CROP_TOLERANCE * c)
    return crop_resize(image, size, next(fits, None))
