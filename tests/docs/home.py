"""The folder in which the commands of the pages are run: a tiny thing for every name in them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stargan import cli, configs, imaging, networks, shipped
from stargan.data.drawn.person import EXPRESSIONS
from stargan.export import describe, reads, save_export
from stargan.labels import JointLabelSpace, LabelSpace
from tests.conftest import draw_square
from tests.data.test_mnist import write_files
from tests.data.test_unaligned import write_sides
from tests.tiny import photo, settings, write_export

SIZE = 32
CELEBA_LABELS = (
    *("Bald", "Bangs", "Black_Hair", "Blond_Hair", "Brown_Hair", "Bushy_Eyebrows", "Eyeglasses"),
    *("Gray_Hair", "Heavy_Makeup", "Male", "Mouth_Slightly_Open", "Mustache", "Pale_Skin"),
    *("Receding_Hairline", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Hat", "Young"),
)
FACES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
CLASSES = ("blue", "green", "red")
SMALL = {
    "data.image_size": str(SIZE),
    "data.batch_size": "4",
    "data.num_workers": "0",
    "data.celeba.partition": "official",
    **{
        f"data.{name}.count.{split}": count
        for name in ("attributes", "expressions", "digits")
        for split, count in (("train", "40"), ("val", "8"), ("test", "8"))
    },
    "method.generator.channels": "8",
    "method.generator.width": "16",
    "method.generator.blocks": "1",
    "method.discriminator.channels": "8",
    "method.discriminator.width": "16",
    "method.encoder.channels": "4",
    "method.encoder.features": "16",
    "method.label_encoder.channels": "4",
    "method.label_encoder.features": "16",
    "method.classifier.channels": "4",
    "method.warmup_steps": "0",
    "trainer.max_steps": "2",
    "trainer.devices": "1",
    "trainer.accelerator": "cpu",
    "trainer.precision": "32-true",
    "log.tensorboard": "false",
    "log.sample_rows": "1",
    "checkpoint.keep": "0",
}
"""Put behind what a page prints, where the method and the data have the key."""


def small(words: list[str]) -> list[str]:
    """The settings that make a training command a tiny one."""
    config = configs.compose("train", words, mandatory=False)
    keys = set(configs.leaves(config))
    if config["trainer"]["max_epochs"]:
        keys -= {"trainer.max_steps"}
        return [*(f"{key}={SMALL[key]}" for key in SMALL if key in keys), "trainer.max_epochs=1"]
    return [f"{key}={value}" for key, value in SMALL.items() if key in keys]


def train(*words: str) -> None:
    cli.run(["train", *words, *small(list(words))])


def write_celeba(root: Path) -> Path:
    """CelebA's layout and size with 24 pictures; every label is there and is not there."""
    draws = np.random.default_rng(0)
    rows, parts = [], []
    (root / "img_align_celeba").mkdir(parents=True)
    for i in range(24):
        file = f"{i + 1:06d}.jpg"
        pixels = draws.integers(0, 256, (22, 18, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels).resize((178, 218))
        picture.save(root / "img_align_celeba" / file)
        hair = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")
        flags = []
        for k, name in enumerate(CELEBA_LABELS):
            on = name == hair[i % 4] if name in hair else i % (k % 3 + 2) == 0
            flags.append("1" if on else "-1")
        rows.append(f"{file} {' '.join(flags)}")
        parts.append(f"{file} {0 if i < 16 else 1 if i < 20 else 2}")
    lines = ["24", " ".join(CELEBA_LABELS), *rows]
    (root / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (root / "list_eval_partition.txt").write_text("\n".join(parts) + "\n", encoding="utf-8")
    return root


def write_classes(root: Path, names: tuple[str, ...]) -> Path:
    for i, name in enumerate(names):
        for split, count in (("train", 3), ("test", 2)):
            for k in range(count):
                colour = (40 + 25 * i, 200 - 20 * i, 90)
                draw_square(root / split / name / f"{i}{k}{split}.png", colour, 10 * i + k)
    return root


def write_faces_judge(path: Path) -> Path:
    return write_classifier(path, LabelSpace(FACES, [FACES[:3]], name="celeba"))


def write_classifier(path: Path, space: LabelSpace) -> Path:
    """A judge with fresh weights, of the network that classifiers have here."""
    network = {
        "_target_": "stargan.networks.resnet.ResNet18",
        **{"image_size": SIZE, "label_size": space.size, "channels": 4},
    }
    about = describe(
        networks={"classifier": network},
        roles={"read": reads("classifier")},
        labels=JointLabelSpace((space,)),
        image={"size": [SIZE, SIZE], "crop": {space.name: None}},
        training={"method": "classifier"},
    )
    save_export(path, {"classifier": networks.build(network).eval()}, about)
    return path


def stand_in(home: Path, patch: pytest.MonkeyPatch) -> None:
    """A tiny model and a photo in place of those of the package, where a checkout has none."""
    if not shipped.MODEL.is_file():
        model = write_export(home / "shipped.safetensors", settings())
        for place in ("stargan.shipped", "stargan.export.parts"):
            patch.setattr(f"{place}.MODEL", model)
    if not shipped.INPUTS.is_dir():
        imaging.save_png(photo(), home / "shipped" / "face_1.png")
        for place in ("stargan.shipped", "stargan.imaging.files"):
            patch.setattr(f"{place}.INPUTS", home / "shipped")


def furnish(home: Path) -> None:
    """Make all that the pages name, in the current folder."""
    celeba = write_celeba(home / "CELEBA")
    write_classes(home / "RAFD", EXPRESSIONS)
    write_classes(home / "CLASSES", CLASSES)
    write_sides(home / "SIDES")
    write_files(home / "DIGITS")
    write_files(home / "DIGITS", "FashionMNIST")
    photos = home / "PHOTOS"
    photos.mkdir()
    for name in ("000021.jpg", "000022.jpg"):
        shutil.copy(celeba / "img_align_celeba" / name, photos / name)
    for name in ("PHOTO", "photo.jpg", "photo.png"):
        Image.open(photos / "000021.jpg").save(home / name, format="PNG")
    boxes = ["image,label,left,top,width,height"]
    boxes += [f"{p.name},,5,5,20,20" for p in (home / "CLASSES" / "test").glob("*/*.png")]
    (home / "boxes.csv").write_text("\n".join(boxes) + "\n", encoding="utf-8")
    for file in (celeba / "img_align_celeba").glob("*.jpg"):
        mask = np.zeros((218, 178), np.uint8)
        mask[60:150, 40:140] = 255
        (home / "MASKS").mkdir(exist_ok=True)
        Image.fromarray(mask).save(home / "MASKS" / f"{file.stem}.png")

    write_faces_judge(home / "judge_faces.safetensors")
    for name, labels in (("moods", EXPRESSIONS), ("colours", CLASSES)):
        space = LabelSpace(labels, categorical=True, name=name)
        write_classifier(home / f"judge_{name}.safetensors", space)
    # Trained by the commands themselves, as little as they allow.
    modern = ("method=stargan_modern", "data.root=CELEBA", "callbacks=evaluate")
    judge = ("callbacks.evaluate.judge=judge_faces.safetensors", "callbacks.evaluate.count=2")
    train("experiment=celeba", *modern, *judge, "run_dir=runs/faces")
    train("experiment=demo", "run_dir=runs/demo/2026-01-01_00-00-00")
    train("experiment=rafd", "method=stargan_modern", "data.root=RAFD", "run_dir=runs/moods")
    train("experiment=mnist_dcgan", "data.root=DIGITS", "run_dir=runs/digits")
    train("experiment=mnist_classifier", "data.root=DIGITS", "run_dir=runs/judge")
    diat = ("experiment=celeba", "method=diat", "data.root=CELEBA")
    for folder, target in (("blond", "Blond_Hair"), ("male", "Male")):
        train(*diat, f"method.target={target}", f"run_dir=set/{folder}")
    write_export(home / "tiny.safetensors", settings(size=SIZE))
    cli.run(["export", "model=tiny.safetensors", "output=200000-G.ckpt", "format=official"])
    cli.run(["export", "model=runs/faces", "output=face.onnx", "images=PHOTOS"])
