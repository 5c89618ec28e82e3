"""The questions of a preference study: photos, wishes, and what every method made of them.

Choi et al. (StarGAN, CVPR 2018, section 5.3) showed people a photo, a wish and four translations in
random order, and asked for the best one by realism, transfer of the attributes and identity.

Questions and answers have names that say nothing: digests under a secret that is made of the
models' weights. The same study has the same names, and no voter can find out whose they are.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stargan import imaging
from stargan.building import Packages
from stargan.data.datamodule import DataModule
from stargan.errors import Plain, UserError
from stargan.evaluation.held_out import Combination, TestSet, group_name, wanted
from stargan.evaluation.identity import of_network
from stargan.evaluation.origin import data_of, evaluation_data
from stargan.evaluation.suite import STAMP
from stargan.evaluation.votes import columns_of
from stargan.export import Model, open_model, possible
from stargan.hints import did_you_mean, nearest
from stargan.labels import LabelSpace

CHOICES = 4
"""Pictures of an attention check, one of them the photo itself."""
SAMPLE = 64
"""Among so many photos those are looked for that least resemble the one of a check."""
MADE = {"Male": ("a woman", "a man"), "Young": ("older", "younger")}
"""How a lone label, absent or present, is said to people; others are said by their own name."""
EXPRESSIONS = (
    *("angry", "contemptuous", "disgusted", "fearful", "happy", "neutral", "sad", "surprised"),
)


@dataclass(frozen=True)
class Entry:
    """A method on one data set of a comparison.

    Attributes:
        method: its name in the suite.
        title: in tables.
        folders: of each seed what ``open_model`` takes.
        runs: of each seed a run folder, which knows the data.
    """

    method: str
    title: str
    folders: tuple[Path, ...]
    runs: tuple[Path, ...]


@dataclass(frozen=True)
class Question:
    """A photo, a wish, and what the methods made of it.

    Attributes:
        name: opaque.
        column: of the table of preference.
        wish: what is asked for, as evaluation names it.
        words: the wish as people say it.
        photo: the input.
        made: opaque name to picture, in the order of the names.
        methods: opaque name to method.
    """

    name: str
    column: str
    wish: str
    words: str
    photo: Image.Image
    made: dict[str, Image.Image]
    methods: dict[str, str]


@dataclass(frozen=True)
class Check:
    """An attention check: which of these is the very same photo?

    Attributes:
        name: opaque.
        photo: shown above.
        made: opaque name to picture.
        right: the name of the one that is the photo.
    """

    name: str
    photo: Image.Image
    made: dict[str, Image.Image]
    right: str


def read_comparison(folder: str | Path) -> dict[str, list[Entry]]:
    """The methods of a finished comparison, by data set; a data set of one method is left out.

    A folder that was moved is read all the same: its runs lie in it.

    Raises:
        UserError: it is none, or is not finished, or has no two methods on any data set.
    """
    place = Path(folder).expanduser()
    report, stamp = place / "report.json", place / STAMP
    if not stamp.is_file():
        raise UserError(
            f"compare={folder} is no folder of a comparison: give the output= of stargan compare."
        )
    if not report.is_file():
        raise UserError(
            f"compare={folder} is not finished, it has no report.json: the same stargan compare "
            "command goes on with it."
        )
    try:
        found = {}
        for data in json.loads(report.read_text("utf-8"))["data"]:
            entries: dict[str, list[Plain]] = {}
            for one in data["methods"]:
                entries.setdefault(one["method"], []).append(one)
            found[str(data["data"])] = [_entry(of, place) for of in entries.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"'{report}' is damaged: run the same stargan compare command again."
        ) from error
    found = {name: of for name, of in found.items() if len(of) > 1}
    if not found:
        raise UserError(f"compare={folder} has no two methods on one data set: nothing to choose.")
    return found


def _entry(seeds: Sequence[Plain], place: Path) -> Entry:
    folders, runs = [], []
    for one in sorted(seeds, key=lambda one: int(one["seed"])):
        there = [place / run for run in one["runs"]]  # They lie in the folder.
        runs.append(there[0])
        # A folder of run folders is opened as one model.
        folders.append(there[0] if len(there) == 1 else there[0].parent)
    return Entry(str(seeds[0]["method"]), str(seeds[0]["title"]), tuple(folders), tuple(runs))


@dataclass
class Room:
    """A data set of a comparison with its methods opened.

    Attributes:
        name: in the suite.
        tests: method to its test set of each seed; of all the same photos.
        models: method to its model of each seed.
        entries: the methods.
    """

    name: str
    entries: list[Entry]
    models: dict[str, list[Model]]
    tests: dict[str, list[TestSet]]

    @property
    def first(self) -> TestSet:
        """The test set in whose labels questions are asked."""
        return self.tests[self.entries[0].method][0]

    @property
    def seeds(self) -> int:
        """How often every method was trained."""
        return min(len(of) for of in self.models.values())


def open_room(name: str, entries: list[Entry], device: str, trust: Packages) -> Room:
    """Open the models of a data set and its test photos.

    Raises:
        UserError: a model or photos that are missing; methods of different labels.
    """
    settings, dataset = _data(name, entries, trust)
    modules: dict[tuple[int, int], DataModule] = {}
    models: dict[str, list[Model]] = {}
    tests: dict[str, list[TestSet]] = {}
    for entry in entries:
        for folder in entry.folders:
            model = open_model(folder, device, trust=trust)
            if model.size not in modules:
                modules[model.size] = evaluation_data(settings, model)
            test = TestSet(modules[model.size], dataset, model.labels, together=True)
            models.setdefault(entry.method, []).append(model)
            tests.setdefault(entry.method, []).append(test)
    room = Room(name, entries, models, tests)
    for entry in entries:
        for test in tests[entry.method]:
            if set(test.space.names) != set(room.first.space.names):
                raise UserError(
                    f"{entry.title} knows other labels of '{name}' than {entries[0].title}: "
                    "compare methods of the same labels."
                )
    return room


def _data(name: str, entries: Sequence[Entry], trust: Packages) -> tuple[Plain, str]:
    """The data settings of the runs of a data set, and what it is called there."""
    for entry in entries:
        settings = data_of(entry.runs[0], trust)
        if len(settings["use"]) == 1:
            return settings, str(settings["use"][0])
    if name in settings["use"]:
        return settings, name
    raise UserError(f"which data set of its runs is '{name}'? It has {', '.join(settings['use'])}.")


def carried(test: TestSet, base: TestSet, label: Tensor) -> Tensor:
    """Labels ``(B, L)`` of one test set in another one's order of the same names."""
    return label[:, [base.space.index(name) for name in test.space.names]]


def candidates(room: Room, number: int) -> tuple[Tensor, Tensor]:
    """The photos that every method, with every seed, can change as wished.

    Args:
        room: the data set.
        number: of ``room.first.all_wishes``.

    Returns:
        Their places in the test set ``(N,)`` and the labels that are wanted ``(N, L)``.
    """
    base = room.first
    places, target = wanted(base.space, base.labels, base.all_wishes[number], base.rows)
    able = torch.ones(len(places), dtype=torch.bool)
    for method, models in room.models.items():
        for model, test in zip(models, room.tests[method], strict=True):
            own, asked = (
                model.labels.expand(carried(test, base, one), test.index)
                for one in (base.labels[places], target)
            )
            able &= possible(model, own, asked)
    return places[able], target[able]


def draw(
    choices: Sequence[Sequence[int]],
    count: int,
    rng: np.random.Generator,
    usable: Callable[[int], bool],
) -> list[tuple[int, int]]:
    """Photos for the wishes of a column: each wish in turn, no photo twice.

    Args:
        choices: for each wish the photos that it can be asked of.
        count: how many questions.
        rng: draws.
        usable: whether a photo can be read.

    Returns:
        At most ``count`` pairs of a wish's place in ``choices`` and a photo's place in its list.
    """
    waiting = [rng.permutation(len(one)).tolist() for one in choices]
    used: set[int] = set()
    found: list[tuple[int, int]] = []
    while len(found) < count and any(waiting):
        for wish, queue in enumerate(waiting):
            while queue and len(found) < count:
                place = queue.pop()
                photo = choices[wish][place]
                if photo not in used and usable(photo):
                    used.add(photo)
                    found.append((wish, place))
                    break
    return found


def questions_of(
    room: Room, columns: Sequence[str] | None, count: int, seed: int, batch_size: int
) -> list[Question]:
    """The questions of a data set.

    Args:
        room: the data set.
        columns: names of columns; None: all.
        count: questions of each column.
        seed: of the draw.
        batch_size: photos that a network sees at once.
    """
    base, key = room.first, secret(room, seed)
    asked: list[tuple[str, int, int, Tensor]] = []
    for column, numbers in columns_of(base).items():
        if columns is not None and column not in columns:
            continue
        found = [candidates(room, number) for number in numbers]
        rng = np.random.default_rng([seed, *column.encode()])
        drawn = draw(
            [places.tolist() for places, _ in found],
            count,
            rng,
            lambda place: base.test.pixels(int(base.rows[place])) is not None,
        )
        for which, at in drawn:
            places, target = found[which]
            asked.append((column, numbers[which], int(places[at]), target[at]))
    pictures = _translated(room, [(place, target) for _, _, place, target in asked], batch_size)
    questions = []
    for (column, number, place, target), (photo, made) in zip(asked, pictures, strict=True):
        what = f"{room.name} {column} {number} {base.rows[place]}"
        named = {opaque(key, f"{what} {method}"): method for method in made}
        ordered = {name: named[name] for name in sorted(named)}
        wish = base.all_wishes[number]
        questions.append(
            Question(
                opaque(key, what),
                column,
                column if isinstance(wish, Combination) else base.wish_name(wish),
                in_words(base.space, base.labels[place], target),
                photo,
                {name: made[method] for name, method in ordered.items()},
                ordered,
            )
        )
    return questions


def _translated(
    room: Room, asked: Sequence[tuple[int, Tensor]], batch_size: int
) -> list[tuple[Image.Image, dict[str, Image.Image]]]:
    """Photo and what each method makes of it; with several seeds they take turns."""
    base = room.first
    height, width = (max(m.size[i] for of in room.models.values() for m in of) for i in (0, 1))
    largest = next(
        (t for m, of in room.tests.items() for t in of if t.test.size == (height, width)), base
    )
    made: list[dict[str, Image.Image]] = [{} for _ in asked]
    for method, models in room.models.items():
        for turn in range(room.seeds):
            model, test = models[turn], room.tests[method][turn]
            todo = list(range(turn, len(asked), room.seeds))
            for start in range(0, len(todo), batch_size):
                part = todo[start : start + batch_size]
                places = [asked[i][0] for i in part]
                target = torch.stack([asked[i][1] for i in part])
                pair = (carried(test, base, one) for one in (base.labels[places], target))
                own, wish = (model.labels.expand(one, test.index) for one in pair)
                dataset = torch.full((len(part),), test.index)
                image = test.images(base.rows[places].tolist())
                for i, one in zip(
                    part, model(image, own, wish, dataset).float().cpu(), strict=True
                ):
                    picture = imaging.to_pil(one)
                    # A smaller picture would tell whose it is.
                    made[i][method] = imaging.crop_resize(picture, (height, width))
    photos = [largest.images([int(base.rows[place])])[0] for place, _ in asked]
    return [(imaging.to_pil(photo), one) for photo, one in zip(photos, made, strict=True)]


def checks_of(room: Room, count: int, seed: int) -> list[Check]:
    """Attention checks: a photo, and among some others that very photo.

    The others are, of a sample, those that resemble it least.
    """
    base, key = room.first, secret(room, seed)
    rng = np.random.default_rng([seed, 7])
    rows = [int(base.rows[place]) for place in rng.permutation(len(base.rows))]
    rows = [row for row in rows[: SAMPLE + count] if base.test.pixels(row) is not None]
    image = base.images(rows)
    found = []
    for i in range(min(count, len(rows))):
        far = (image - image[i]).abs().mean((1, 2, 3)).argsort(descending=True)
        others = [j for j in far.tolist() if not torch.equal(image[j], image[i])][: CHOICES - 1]
        if not others:
            break
        what = f"check {i} {rows[i]}"
        named = {opaque(key, f"{what} {rows[j]}"): j for j in (i, *others)}
        made = {name: imaging.to_pil(image[named[name]]) for name in sorted(named)}
        right = next(name for name, j in named.items() if j == i)
        found.append(Check(opaque(key, what), imaging.to_pil(image[i]), made, right))
    return found


def secret(room: Room, seed: int) -> bytes:
    """What a voter cannot know: the weights of the models, in short."""
    digests = [of_network(model.rule) for of in room.models.values() for model in of]
    return hashlib.sha256(f"{seed} {' '.join(digests)}".encode()).digest()


def opaque(key: bytes, what: str) -> str:
    """A name that says nothing to those who do not have the key."""
    return hmac.new(key, what.encode(), hashlib.sha256).hexdigest()[:12]


def in_words(space: LabelSpace, label: Tensor, target: Tensor) -> str:
    """A wish as people say it: ``Make the hair black and the person older``.

    Args:
        space: of the labels.
        label, target: ``(L,)`` of the photo and of the wish.
    """
    things: dict[str, list[str]] = {}

    def add(subject: str, words: str) -> None:
        things.setdefault(subject, []).append(words)

    for group in dict.fromkeys(space.group_of(name) for name in space.names):
        index = [space.index(name) for name in group]
        if torch.equal(label[index], target[index]):
            continue
        value = int(target[index].argmax()) if len(group) > 1 else 0
        name, last = group[value], group_name(group)
        on = bool(target[index[value]] > 0.5)
        if len(group) == 1 and name in MADE:
            add("the person", MADE[name][on])
        elif len(group) > 1 and name.endswith(f"_{last}"):
            add(f"the {_plain(last)}", _plain(name.removesuffix(last)))
        elif name.lower() in EXPRESSIONS:
            add("the face", name.lower())
        else:
            add("it", f"“{'' if on else 'not '}{name.replace('_', ' ')}”")
    parts = [f"{subject} {' and '.join(of)}" for subject, of in things.items()]
    joint = ", and " if any(" and " in part for part in parts) else " and "
    return f"Make {joint.join(parts)}"


def _plain(name: str) -> str:
    return name.replace("_", " ").strip().lower()


def chosen_columns(rooms: Sequence[Room], columns: Sequence[str] | None) -> None:
    """Refuse columns that no data set has, or that two have.

    Raises:
        UserError: names the column.
    """
    known = [(column, room.name) for room in rooms for column in columns_of(room.first)]
    names = [column for column, _ in known]
    for column in columns or ():
        if column not in names:
            hint = did_you_mean(nearest(column, names))
            raise UserError(f"there is no column '{column}'.{hint} Columns: {', '.join(names)}.")
    for column, _ in known:
        where = [room for name, room in known if name == column]
        if len(where) > 1 and (columns is None or column in columns):
            raise UserError(
                f"'{column}' is a column of {' and of '.join(where)}, whose votes could not be "
                "told apart: choose other columns by columns=[...]."
            )
