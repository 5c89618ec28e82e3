"""What happens to a photo on the page: reading, translating, all labels, the judge. No Gradio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from stargan import imaging
from stargan.data.drawn.faces import SyntheticFaces
from stargan.data.drawn.person import EXPRESSIONS
from stargan.errors import UserError
from stargan.inference.translator import Translator
from stargan.judges import cam
from stargan.judges.judge import Judge
from stargan.labels import way
from stargan.runs import named_place, short_names
from stargan.web import pictures
from stargan.web.controls import Control, controls_of, own_labels, readable
from stargan.web.visits import Seen, Visit

EXAMPLES = 6


@dataclass
class ServedModel:
    """A model of the page.

    Attributes:
        title: what visitors call it.
        translator: the opened model.
    """

    title: str
    translator: Translator

    @cached_property
    def reads(self) -> bool:
        """Whether it can read a photo's own labels."""
        try:
            self.translator.predict(torch.zeros(3, *self.translator.image_size))
        except UserError:
            return False
        return True

    @cached_property
    def controls(self) -> list[Control]:
        """What can be set."""
        spaces, labels = self.translator.spaces, self.translator.labels
        return controls_of(spaces, labels, self.reads, self.translator.changeable)

    def able(self, own: Mapping[str, bool] | None, edits: Mapping[str, float]) -> bool:
        """Whether the model has a network for these edits of a photo of these labels."""
        if own is None:
            return True
        spaces = self.translator.spaces
        given = torch.tensor([float(own[name]) for name in self.translator.labels])
        for i, inner in spaces.split_edits(edits):
            label = spaces.expand(given[spaces.slices[i]], i)[None]
            if not bool(self.translator.model.can(label, spaces.edit(label, i, inner)).all()):
                return False
        return True

    def see(self, photo: Image.Image) -> Seen:
        """A photo as this model sees it."""
        tensor = imaging.to_tensor(self.translator.prepare(photo))
        framing = self.translator.model.framing.otherwise(photo)
        if not self.reads:
            return Seen(tensor, None, None, framing=framing)
        probability = self.translator.predict(tensor)
        own = own_labels(self.translator.spaces, self.translator.labels, probability)
        return Seen(tensor, probability, own, framing=framing)

    def known(self, edits: Mapping[str, float]) -> dict[str, float]:
        """Those edits whose labels this model has."""
        return {name: value for name, value in edits.items() if name in self.translator.changeable}

    def translate(self, seen: Seen, edits: Mapping[str, float]) -> Tensor:
        """``(3, H, W)``: the photo with these edits; the photo itself without any."""
        if not edits:
            return seen.photo
        result: Tensor = self.translator(seen.photo, dict(edits))
        return result

    def row(self, seen: Seen, edits: Mapping[str, float]) -> str:
        """The pictures of all labels, each of which can be pressed."""
        if seen.row is not None:
            return seen.row
        known = None if self.reads else {n: float(way(n, v).on) for n, v in edits.items()}
        tiles = []
        for name, picture in self.translator.all(seen.photo, known):
            flipped = seen.own is not None and seen.own[name] and not self._in_group(name)
            if not self.able(seen.own, {name: 0.0 if flipped else 1.0}):
                continue
            words = f"Not {readable(name).lower()}" if flipped else readable(name)
            tiles.append(pictures.button_tile(pictures.to_pil(picture), words, name))
        row = pictures.strip(tiles, "Every label", "Press one to look closer.")
        if self.reads:  # Otherwise it depends on what the controls say of the photo.
            seen.row = row
        return row

    def _in_group(self, name: str) -> bool:
        return next(c for c in self.controls if name in c.names).is_choice


class Studio:
    """The models of a page and what they make of a visitor's photo.

    Args:
        models: by title; at least one.
        judge: an independent classifier whose evidence is shown, or None.
        examples: a folder of pictures to start from; None: drawn faces.
    """

    def __init__(
        self,
        models: Mapping[str, Translator],
        judge: Judge | None = None,
        examples: Path | None = None,
    ) -> None:
        self.models = [ServedModel(title, translator) for title, translator in models.items()]
        self.judge = judge
        if judge is not None:
            # Refuse a judge without maps now, not in front of a visitor.
            cam.check_maps(judge)
        self._folder = examples
        if examples is not None and not imaging.image_files(examples):
            raise UserError(f"examples={examples} holds no images.")

    def see(self, photo: Image.Image) -> Visit:
        """A new visit: the photo as every model sees it."""
        return Visit({i: model.see(photo) for i, model in enumerate(self.models)})

    @cached_property
    def examples(self) -> list[Image.Image]:
        """Pictures to start from: the user's own, or drawn faces that no training has seen."""
        if self._folder is not None:
            return [imaging.open_image(f) for f in imaging.image_files(self._folder)[:EXAMPLES]]
        names = {n for m in self.models for n in m.translator.spaces.names}
        kind = "expressions" if names <= set(EXPRESSIONS) else "attributes"
        faces = SyntheticFaces("test", kind, 256, EXAMPLES)
        return [faces.load(i) for i in range(len(faces))]

    def first_edit(self, visit: Visit, index: int) -> dict[str, float]:
        """An edit to begin with: the first label that the photo does not have."""
        own = visit.seen[index].own
        model = self.models[index]
        if own is None:
            return {}
        ones = ({name: 1.0} for name in model.translator.changeable if not own[name])
        return next((edit for edit in ones if model.able(own, edit)), {})

    def compare(self, visit: Visit, edits: Mapping[str, float]) -> str:
        """The same edits by every model, side by side; nothing where there is one model."""
        if len(self.models) < 2 or not edits:
            return ""
        tiles = []
        for i, model in enumerate(self.models):
            known = model.known(edits)
            words = model.title if known else f"{model.title}: has no such label"
            picture = model.translate(visit.seen[i], known)
            tiles.append(pictures.tile(pictures.to_pil(picture), words))
        return pictures.strip(tiles, "Models side by side", pictures.caption(edits), "pairs")

    def evidence(
        self, seen: Seen, result: Tensor, edits: Mapping[str, float], index: int = 0
    ) -> str:
        """Where the judge sees the labels that were changed, in the photo and in the result.

        Args:
            seen: the photo; result: ``(3, H, W)``.
            edits: what was changed.
            index: of the model.
        """
        spaces = self.models[index].translator.spaces
        if self.judge is None or not edits:
            return ""
        tiles = []
        for name in edits:
            space, inner = spaces.locate(name)
            try:
                place = self.judge.column(spaces.spaces[space], inner)
            except UserError:
                continue  # Not trained on this label: its other pictures are shown.
            pair = (seen.photo, result)
            shown = self._maps(pair, place)
            for words, picture, heat in zip(("photo", "result"), pair, shown, strict=True):
                sure = f"{self._probability(picture, place):.0%}"
                tile = cam.overlay(picture, heat)
                tiles.append(pictures.tile(tile, f"{readable(name)} in the {words}: {sure}"))
        if not tiles:
            return pictures.strip([], "The judge", "It was not trained on this label.")
        note = "Warm: what speaks for the label, on one scale. In per cent: how sure the judge is."
        return pictures.strip(tiles, "Where the judge looks", note, "pairs")

    def _maps(self, pair: tuple[Tensor, Tensor], place: int) -> Tensor:
        """The maps ``(2, H, W)`` of a label in two pictures, on one scale."""
        assert self.judge is not None
        found = [cam.class_activation_map(self.judge, p[None], place, True)[0] for p in pair]
        return cam.normalise(torch.stack(found), together=True).cpu()

    def _probability(self, picture: Tensor, place: int) -> float:
        assert self.judge is not None
        logits = self.judge.logits(picture.unsqueeze(0))[0].float().cpu()
        for space, part in zip(self.judge.labels.spaces, self.judge.labels.slices, strict=True):
            if space.categorical and part.start <= place < part.stop:
                return float(logits[part].softmax(0)[place - part.start])
        return float(logits[place].sigmoid())


def titles(paths: Sequence[str | Path]) -> list[str]:
    """Short names for models, all different.

    Raises:
        UserError: the same model is named twice.
    """
    if len(set(map(named_place, paths))) < len(paths):
        raise UserError("model= names the same model twice: name each once.")
    return short_names(paths)
