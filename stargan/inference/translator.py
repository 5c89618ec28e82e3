"""Translate photos with a trained model: ``Translator``. No Lightning, no Hydra, no torchvision.

::

    translator = Translator.from_pretrained("runs/celeba/.../generator.safetensors")
    translator(Image.open("photo.jpg"), "Blond_Hair,Young=0").save("older_blond.png")
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from stargan import imaging
from stargan.building import Packages
from stargan.errors import UserError
from stargan.export import Model, hub, open_model
from stargan.export.folder import save_folder
from stargan.labels import JointLabelSpace, parse_edits, way
from stargan.labels.edits import Edits

Wish = str | Edits
"""``"Blond_Hair,Young=0"`` or ``{"Blond_Hair": 1, "Young": 0}``."""


class Translator:
    """Changes labels of photos.

    Takes a PIL image, a path, a list of either, uint8 arrays ``(H, W, 3)`` or ``(B, H, W, 3)``, or
    tensors ``(3, H, W)`` or ``(B, 3, H, W)`` in [-1, 1]; gives back the same kind (PIL for paths)
    at the model's image size. Tensors of that size already go in as they are, everything else
    passes ``prepare``.

    Args:
        model: an opened model.
        batch_size: how many images the networks see at once.
    """

    def __init__(self, model: Model, batch_size: int = 16) -> None:
        if batch_size < 1:
            raise UserError(f"batch_size={batch_size} is impossible: give 1 or more.")
        self.model = model
        self.batch_size = batch_size

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        device: str | torch.device = "cpu",
        batch_size: int = 16,
        revision: str | None = None,
        trust: Packages = (),
    ) -> Translator:
        """Open a run folder, an exported file of any format, or a model on the hub.

        Args:
            path: a run folder (``generator.safetensors`` is taken unless ``checkpoints/last.ckpt``
                has made more steps), a folder that ``save_pretrained`` wrote, a ``.ckpt``,
                ``.safetensors``, ``.onnx`` or ``.pt2`` file, ``owner/name`` on the Hugging Face
                hub, or ``demo``, the small one that comes with the package.
            device: ``cpu``, ``cuda``, ``mps``, or ``auto`` for the best there is.
            batch_size: how many images the networks see at once.
            revision: of a model on the hub: a branch, tag or commit.
            trust: packages whose networks the file may name, such as ``("mylab",)``; their code is
                run.

        Raises:
            UserError: nothing there, not a model, damaged, of another format, or it names code
                that is not trusted; says which.
        """
        return cls(open_model(path, device, revision, trust), batch_size)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the model in the layout of the Hugging Face hub.

        Args:
            folder: gets ``config.json``, ``model.safetensors`` and ``README.md`` (the model card;
                one that is there already stays as it is).

        Returns:
            The folder.

        Raises:
            UserError: the place cannot be written to, or the model was opened from a graph.
        """
        parts = self.model.parts
        if parts is None:
            raise UserError(
                "a model opened from an .onnx or .pt2 file has no weights to save: open the run "
                "folder or .safetensors that it was exported from."
            )
        return save_folder(Path(folder).expanduser(), parts.networks, parts.plain)

    def push_to_hub(
        self,
        repo_id: str,
        private: bool | None = None,
        token: str | None = None,
        commit_message: str = "Model exported by stargan",
    ) -> str:
        """Upload the model to the Hugging Face hub.

        Args:
            repo_id: ``owner/name``; created if it does not exist.
            private: of a new model; None: the owner's default.
            token: None: the one of ``hf auth login``, or of the variable ``HF_TOKEN``.
            commit_message: of the upload.

        Returns:
            The address of the model.

        Raises:
            UserError: huggingface_hub is missing, no network, no permission, or the model was
                opened from a graph.
        """
        with tempfile.TemporaryDirectory() as folder:
            saved = self.save_pretrained(folder)
            return hub.push(repo_id, saved, private, token, commit_message)

    def __repr__(self) -> str:
        height, width = self.model.size
        labels = "; ".join(
            f"{space.name}: {', '.join(space.names)}" for space in self.spaces.spaces
        )
        return f"Translator({width} x {height} pixels; {labels})"

    @property
    def spaces(self) -> JointLabelSpace:
        """The model's label spaces, as one joint space."""
        return self.model.labels

    @property
    def labels(self) -> tuple[str, ...]:
        """All label names, as edits may use them: ``space.label`` where two spaces share one."""
        names = self.spaces.names
        return tuple(
            name if names.count(name) == 1 else f"{space.name}.{name}"
            for space in self.spaces.spaces
            for name in space.names
        )

    @property
    def changeable(self) -> tuple[str, ...]:
        """Those of ``labels`` that the model can change; others it only has to know."""
        can = [n for i in range(len(self.spaces.spaces)) for n in self._named(i)]
        return tuple(can)

    def _named(self, space: int) -> list[str]:
        """The changeable labels of a space, as edits may use them."""
        part, inner = self.spaces.slices[space], self.spaces.spaces[space].names
        known = self.model.rule.changeable(space)
        return [o for o, i in zip(self.labels[part], inner, strict=True) if i in known]

    @property
    def image_size(self) -> tuple[int, int]:
        """``(height, width)`` of the images that go in and come out."""
        return self.model.size

    def __call__(
        self,
        image: Any,
        edits: Wish | Sequence[Wish] | None = None,
        labels: Wish | Sequence[Wish | None] | None = None,
        strength: float = 1.0,
        like: Any = None,
    ) -> Any:
        """Images with some labels changed, the other labels kept.

        Edits in several label spaces of a joint model are applied one space after the other, each
        under its own mask.

        Args:
            image: one or several images, see the class.
            edits: label name to value in [-1, 1] for all images, or a list with one for each: 1
                sets a label, 0 clears it, 0.5 goes half way from the photo's own labels to it set,
                -0.5 half way to it cleared (``labels.way``). One image and a list of edits give
                one result for each edit.
            labels: what is known of the photos, label name to 0 or 1, for all or as a list. The
                other labels are read off each photo by the model's classifier.
            strength: how far to go from the photo's own labels, 0, to the edited ones, 1, with all
                edits together.
            like: instead of edits another photo, whose labels the images are to have
                (``labels_of``), or a list with one for each.

        Returns:
            The kind that was given, at ``image_size``.

        Raises:
            UserError: unknown labels, impossible combinations, an image that is not one, labels
                that are needed and neither known nor readable, a change that the model has no
                network for, edits and ``like`` both or neither.
        """
        if (edits is None) == (like is None):
            raise UserError(
                "say what to change, by edits (Blond_Hair,Young=0) or by like, another photo whose "
                "labels are wanted: one of the two."
            )
        if edits is None:
            edits = self.labels_of(like)
        if not 0 <= strength <= 1:
            raise UserError(f"strength={strength} is impossible: it lies between 0 and 1.")
        listed = _is_list(edits)
        tensor, give_back = self._take(image, repeat=len(edits) if listed else None)
        count = len(tensor)
        wishes = [self._by_space(w) for w in _one_each(edits, count, "edits")]
        known = [self._by_space(w or {}) for w in _one_each(labels, count, "labels")]
        if not all(wishes) or (listed and not edits):
            raise UserError("there is nothing to change: name at least one label.")
        for wish in wishes:
            self._check(wish, strength)

        parts = [
            self._translate_batch(tensor[rows], wishes[rows], known[rows], strength)
            for rows in self._batches(count)
        ]
        return give_back(torch.cat([tensor[:0], *parts]))

    def all(
        self, image: Any, labels: Wish | Sequence[Wish | None] | None = None
    ) -> list[tuple[str, Any]]:
        """The paper's row: every label of every space in turn, chosen in its group or flipped.

        Labels that the model has no network for are left out (``changeable``); a photo that lacks
        nothing of a label, or whose change has no network, stays as it is.

        Args:
            image: one or several images, see the class.
            labels: what is known of the photos, see ``__call__``.

        Returns:
            ``(label name, translated)`` for each label, of the kind that was given.
        """
        tensor, give_back = self._take(image)
        known = [self._by_space(w or {}) for w in _one_each(labels, len(tensor), "labels")]
        columns: list[list[Tensor]] = [[tensor[:0]] for _ in self.changeable]
        for rows in self._batches(len(tensor)):
            batch = tensor[rows]
            logits = self._read(batch)
            column = iter(columns)
            for i, space in enumerate(self.spaces.spaces):
                names = self.model.rule.changeable(i)
                # Choosing a class settles all of a categorical space; elsewhere the rest counts.
                anew = space.categorical and not self._needed(i, {space.names[0]: 1.0})
                needed = [set() if anew else self.model.rule.compared(i)] * len(batch)
                own = self.spaces.expand(self._own_labels(logits, i, known[rows], needed), i)
                dataset = torch.full((len(batch),), i)
                for name, target in self.spaces.targets(own, i):
                    if name in names:
                        can = self.model.can(own, target)
                        made = batch.clone()
                        given = (t[can] for t in (batch, own, target, dataset))
                        made[can] = self.translate(*given).cpu()
                        next(column).append(made)
        return [
            (name, give_back(torch.cat(parts)))
            for name, parts in zip(self.changeable, columns, strict=True)
        ]

    def predict(self, image: Any) -> Any:
        """The labels that the model's classifier reads off photos.

        Returns:
            Label name to probability, for several images a list of these. A categorical space's
            probabilities add up to 1, all others stand alone.

        Raises:
            UserError: the model has no classifier.
        """
        tensor, _ = self._take(image)
        rows: list[dict[str, float]] = []
        for some in self._batches(len(tensor)):
            logits = self.model.read(tensor[some]).float().cpu()
            probability = logits.sigmoid()
            for space, part in zip(self.spaces.spaces, self.spaces.slices, strict=True):
                if space.categorical:
                    probability[:, part] = logits[:, part].softmax(1)
            rows += [dict(zip(self.labels, row, strict=True)) for row in probability.tolist()]
        return rows if _is_many(image) else rows[0]

    def labels_of(self, image: Any) -> Any:
        """The labels of photos that the model can change, as edits that make others like them.

        Perarnau et al., "Invertible conditional GANs for image editing", 2016, section 4.3:
        attribute transfer.

        Args:
            image: one or several photos, see the class.

        Returns:
            Label name to 0 or 1, always a possible combination; for several photos a list.

        Raises:
            UserError: the model reads no labels.
        """
        if self.model.reader is None:
            raise UserError(
                "this model cannot read the labels of the photo that others are to be like (it was "
                "exported without a classifier): name the labels."
            )
        tensor, _ = self._take(image)
        rows: list[dict[str, float]] = []
        for some in self._batches(len(tensor)):
            logits = self.model.read(tensor[some]).float().cpu()
            parts = zip(self.spaces.spaces, self.spaces.slices, strict=True)
            found = torch.cat([space.read(logits[:, part]) for space, part in parts], 1)
            named = (dict(zip(self.labels, row, strict=True)) for row in found.tolist())
            rows += [{name: row[name] for name in self.changeable} for row in named]
        return rows if _is_many(image) else rows[0]

    @property
    def graded(self) -> bool:
        """Whether the model can go a part of the way to a label."""
        return self.model.rule.graded

    def translate(self, image: Tensor, own: Tensor, target: Tensor, dataset: Tensor) -> Tensor:
        """Tensors to tensors, as ``contracts.Translate``; ``Translator.model`` is one itself.

        Args:
            image: ``(B, 3, H, W)`` in [-1, 1], of the model's size.
            own: ``(B, L)`` joint labels of the images; target: ``(B, L)`` those asked for.
            dataset: ``(B,)`` int64.

        Returns:
            ``(B, 3, H, W)`` on the model's device.
        """
        return self.model(image, own, target, dataset)

    def prepare(self, image: Image.Image) -> Image.Image:
        """A photo as the networks see it: as the model's description frames it."""
        return self.model.framing.prepare(image)

    def _translate_batch(
        self,
        batch: Tensor,
        wishes: Sequence[Mapping[int, Edits]],
        known: Sequence[Mapping[int, Edits]],
        strength: float,
    ) -> Tensor:
        """At most ``batch_size`` images, each with its own edits by space."""
        result = batch.clone()
        # The labels of the photo itself, not of what an earlier space's edits made of it.
        logits = self._read(batch)
        for i in sorted({i for wish in wishes for i in wish}):
            rows = [row for row, wish in enumerate(wishes) if i in wish]
            edits = [wishes[row][i] for row in rows]
            needed = [self._needed(i, e, strength) for e in edits]
            own = self._own_labels(
                None if logits is None else logits[rows],
                i,
                [known[row] for row in rows],
                needed,
                edits,
            )
            space = self.spaces.spaces[i]
            target = torch.stack(
                [space.edit(o, e, strength) for o, e in zip(own, edits, strict=True)]
            )
            result[rows] = self.translate(
                result[rows],
                self.spaces.expand(own, i),
                self.spaces.expand(target, i),
                torch.full((len(rows),), i),
            ).cpu()
        return result

    def _batches(self, count: int) -> Iterator[slice]:
        """Rows to take at once."""
        for start in range(0, count, self.batch_size):
            yield slice(start, start + self.batch_size)

    def _read(self, batch: Tensor) -> Tensor | None:
        """Label logits of photos ``(B, L)``, None when the model cannot read them."""
        if self.model.reader is None:
            return None
        return self.model.read(batch).float().cpu()

    def _own_labels(
        self,
        logits: Tensor | None,
        dataset: int,
        known: Sequence[Mapping[int, Edits]],
        needed: Sequence[set[str]],
        edits: Sequence[Edits] = (),
    ) -> Tensor:
        """The photos' own labels within one space: what is known, the rest as the classifier says.

        Args:
            logits: joint ``(B, L)``, or None when there is no classifier.
            dataset: the space.
            known: for each photo the known labels, by space.
            needed: for each photo the labels whose own value matters.
            edits: for each photo what it is asked for: where its own label is not known and does
                not matter, it is taken for the opposite, so that there is something to change.

        Returns:
            ``(B, size of the space)`` of 0 and 1.

        Raises:
            UserError: a label is needed, not known, and there is no classifier.
        """
        space = self.spaces.spaces[dataset]
        part = self.spaces.slices[dataset]
        own = torch.zeros(len(known), space.size)
        for row, by_space in enumerate(known):
            facts = by_space.get(dataset, {})
            wrong = next((n for n, v in facts.items() if v not in (0, 1)), None)
            if wrong is not None:
                raise UserError(f"the known label '{wrong}' of a photo must be 0 or 1.")
            chosen = [n for n, v in facts.items() if v]
            if chosen:
                space.encode(chosen)  # Refuses two of a group.
            missing = needed[row] - space.settled(facts)
            if logits is None and missing:
                names = ", ".join(n for n in space.names if n in missing)
                raise UserError(
                    "this model cannot read labels off a photo (it was exported without a "
                    f"classifier): give the photo's own labels, also {names}."
                )
            score = torch.zeros(space.size) if logits is None else logits[row, part].clone()
            if logits is None and edits:
                for name, value in edits[row].items():
                    score[space.index(name)] = -1.0 if way(name, value).on else 1.0
            for name, value in facts.items():
                score[space.index(name)] = torch.inf if value else -torch.inf
            own[row] = score > 0
            for group in space.groups:
                index = [space.index(n) for n in group]
                best = index[int(score[index].argmax())]
                # Of a group at most one is set; of the classes of one problem always one.
                own[row, index] = 0
                own[row, best] = float(score[best] > (-torch.inf if space.categorical else 0))
        return own

    def _needed(self, space: int, edits: Edits, strength: float = 1.0) -> set[str]:
        """The labels whose own value a photo's edits depend on."""
        if strength < 1:
            return set(self.spaces.spaces[space].names)
        return self.model.rule.needed(space, edits)

    def _by_space(self, wish: Wish) -> dict[int, dict[str, float]]:
        """Edits as numbers, by label space. Raises ``UserError`` on unknown names."""
        if isinstance(wish, str):
            wish = parse_edits(wish)
        if not isinstance(wish, Mapping):
            raise UserError(f"labels are a text like Blond_Hair,Young=0 or a dict, not {wish!r}.")
        numbers: dict[str, float] = {}
        for name, value in wish.items():
            try:
                numbers[str(name)] = float(value)
            except (TypeError, ValueError) as error:
                raise UserError(f"'{name}={value}': the value must be a number.") from error
        return dict(self.spaces.split_edits(numbers))

    def _check(self, wish: Mapping[int, Edits], strength: float) -> None:
        """Refuse impossible edits before any work is done."""
        for i, edits in wish.items():
            space = self.spaces.spaces[i]
            photo = torch.zeros(space.size)
            if space.categorical:
                photo[next((i for i, n in enumerate(space.names) if n not in edits), 0)] = 1
            space.edit(photo, edits, strength)
            part = any(way(name, value).strength < 1 for name, value in edits.items())
            if (part or strength < 1) and not self.graded:
                raise UserError(
                    "this model has a network for each change and cannot go a part of the way: "
                    "leave strengths out, labels are 0 or 1."
                )

    def _take(
        self, image: Any, repeat: int | None = None
    ) -> tuple[Tensor, Callable[[Tensor], Any]]:
        """Images of any kind as ``(B, 3, H, W)`` on the CPU, and the way back to that kind.

        Args:
            repeat: make this many of a single image; its results come back as several.
        """
        many = _is_many(image)
        items = list(image) if many else [image]
        if items:
            batch = torch.stack([self._tensor(item) for item in items])
        else:
            batch = torch.empty(0, 3, *self.image_size)
        if repeat is not None and not many:
            batch, many = batch.repeat(repeat, 1, 1, 1), True

        def give_back(result: Tensor) -> Any:
            if isinstance(image, Tensor) or _is_array(image):
                return _like(image, result if many else result[0])
            if not many:
                return _like(image, result[0])
            kinds = items if len(items) == len(result) else items * len(result)
            return [_like(kind, one) for kind, one in zip(kinds, result, strict=True)]

        return batch, give_back

    def _tensor(self, item: Any) -> Tensor:
        """One image of any kind as ``(3, H, W)`` in [-1, 1] of the model's size."""
        if isinstance(item, (str, Path)):
            item = imaging.open_image(item)
        elif _is_array(item):
            if item.dtype != "uint8" or item.ndim != 3 or item.shape[2] != 3:
                raise UserError(
                    f"an array of shape {item.shape} and type {item.dtype} is no image: "
                    "give uint8 of shape (H, W, 3) or (B, H, W, 3)."
                )
            item = Image.fromarray(item)
        elif isinstance(item, Tensor):
            if not item.is_floating_point() or item.ndim != 3 or item.shape[0] != 3:
                raise UserError(
                    f"a tensor of shape {tuple(item.shape)} and type {item.dtype} is no image: "
                    "give floats of shape (3, H, W) or (B, 3, H, W) in [-1, 1]."
                )
            pixels: Tensor = item.detach().float().cpu()
            if not pixels.abs().max() <= 1.001:
                raise UserError("an image tensor has values outside [-1, 1]: scale it first.")
            if tuple(pixels.shape[1:]) == self.image_size:
                return pixels
            item = imaging.to_pil(pixels)
        if not isinstance(item, Image.Image):
            raise UserError(
                f"an image is a PIL image, a path, an array or a tensor, not {type(item).__name__}."
            )
        return imaging.to_tensor(self.prepare(item))


def _like(image: Any, result: Tensor) -> Any:
    """A result ``(3, H, W)`` or ``(B, 3, H, W)`` as the kind of the image that was given."""
    if isinstance(image, Tensor):
        return result.to(image.device)
    if _is_array(image):
        return imaging.to_uint8(result).movedim(-3, -1).contiguous().numpy()
    return imaging.to_pil(result)


def _is_array(value: Any) -> bool:
    """Whether this is a NumPy array. Where NumPy is not even loaded, nobody can have one."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _is_many(image: Any) -> bool:
    """Whether this is several images rather than one."""
    if isinstance(image, Tensor) or _is_array(image):
        return image.ndim == 4
    return isinstance(image, (list, tuple))


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _one_each(value: Any, count: int, what: str) -> list[Any]:
    """A value for each image: the same for all, or a list of the right length."""
    if not _is_list(value):
        return [value] * count
    if len(value) != count:
        raise UserError(f"{len(value)} {what} for {count} images: give one for all or one each.")
    return list(value)
