"""Pictures and pieces of HTML for the page. Pictures travel inside the page, never as files."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping
from io import BytesIO

from PIL import Image
from torch import Tensor

from stargan import imaging
from stargan.labels import way
from stargan.web.controls import readable

SHOWN = 640
"""Pixels of the longer side of the two pictures under the slider; smaller ones are enlarged."""


def data_url(image: Image.Image, lossless: bool = True) -> str:
    """An image as text that a browser shows, and no file anywhere."""
    with BytesIO() as file:
        if lossless:
            image.save(file, format="PNG", compress_level=1)
        else:
            image.save(file, format="JPEG", quality=92, subsampling=0)
        text = base64.b64encode(file.getvalue()).decode()
    return f"data:image/{'png' if lossless else 'jpeg'};base64,{text}"


def as_payload(image: Image.Image) -> dict[str, object]:
    """An image as Gradio's image components take it in the browser, without a file."""
    url = data_url(image, lossless=False)
    return {"path": None, "url": url, "meta": {"_type": "gradio.FileData"}}


def enlarged(image: Image.Image, side: int = SHOWN) -> Image.Image:
    """An image whose longer side has this many pixels."""
    factor = side / max(image.size)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    return image.resize(size, Image.Resampling.BICUBIC)


def to_pil(image: Tensor) -> Image.Image:
    """``(3, H, W)`` in [-1, 1] as a picture."""
    pil = imaging.to_pil(image)
    assert isinstance(pil, Image.Image)
    return pil


def tile(image: Image.Image, caption: str) -> str:
    """A picture with words under it."""
    words = html.escape(caption)
    return (
        f'<figure><img src="{data_url(image)}" alt="{words}" decoding="async">'
        f"<figcaption>{words}</figcaption></figure>"
    )


def button_tile(image: Image.Image, caption: str, name: str) -> str:
    """A tile that can be pressed; ``name`` is what the press says."""
    key = html.escape(name, quote=True)
    return f'<button type="button" class="tile" data-pick="{key}">{tile(image, caption)}</button>'


def strip(tiles: Iterable[str], title: str, note: str = "", kind: str = "") -> str:
    """Tiles side by side under a title."""
    said = f"<p class='note'>{html.escape(note)}</p>" if note else ""
    return (
        f'<section class="strip {kind}"><h2>{html.escape(title)}</h2>{said}'
        f'<div class="tiles">{"".join(tiles)}</div></section>'
    )


def reading(probability: Mapping[str, float] | None, own: Mapping[str, bool] | None) -> str:
    """The labels that the model reads off the photo, with how sure it is."""
    if probability is None or own is None:
        return (
            '<p class="note">This model cannot read labels off a photo: '
            "say with every control what the result shall show.</p>"
        )
    # What is there comes first: on a phone the rest may be out of sight.
    order = sorted(probability, key=lambda name: not own[name])
    chips = "".join(
        f'<span class="chip {"yes" if own[name] else "no"}">{html.escape(readable(name))}'
        f"<b>{probability[name]:.0%}</b></span>"
        for name in order
    )
    return f'<div class="reading"><span class="lead">The model sees</span>{chips}</div>'


def framing(trained: str, otherwise: str | None) -> str:
    """How the model's training images were framed, and what was done to a photo that is not.

    Args:
        trained: see ``imaging.framing_words``.
        otherwise: see ``imaging.framed_otherwise``.
    """
    words = f"The model was trained on {trained}."
    if otherwise:
        words = f"{otherwise[0].upper()}{otherwise[1:]}. {words}"
    kind = "note otherwise" if otherwise else "note"
    return f'<p class="{kind}">{html.escape(words)}</p>'


def message(text: str) -> str:
    """Words that something went wrong, for the page."""
    return f'<p class="trouble" role="alert">{html.escape(text[:1].upper() + text[1:])}</p>'


def outcome(image: Image.Image, edits: Mapping[str, float]) -> str:
    """What the result shows, and a link that saves it as PNG at the model's size."""
    if not edits:
        return (
            '<div class="outcome"><span class="note">Choose a label to see it change.</span></div>'
        )
    words = caption(edits)
    name = "_".join("".join(c if c.isalnum() else " " for c in words).split()).lower()
    return (
        f'<div class="outcome"><span>{html.escape(words)}</span>'
        f'<span class="note">{image.width} x {image.height} pixels</span>'
        f'<a class="download" href="{data_url(image)}" '
        f'download="{html.escape(name, quote=True)}.png">Download</a></div>'
    )


def caption(edits: Mapping[str, float]) -> str:
    """Edits in words: ``Blond hair, not young, male 50%``."""
    parts = []
    for name, value in edits.items():
        words, step = readable(name), way(name, value)
        if not step.on:
            words = f"not {words.lower()}"
        parts.append(words if step.strength == 1 else f"{words} {step.strength:.0%}")
    return ", ".join(parts)
