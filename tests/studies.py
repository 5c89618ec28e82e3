"""A finished comparison without training, and a made-up study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stargan import configs
from stargan.evaluation.ballots import Answer, Ballot
from stargan.evaluation.study_key import Asked, Right, Study
from stargan.labels import LabelSpace
from tests.tiny import HAIR, settings, write_export

ATTRIBUTES = LabelSpace((*HAIR, "Male", "Young"), [HAIR], name="attributes")
TITLES = {"stargan": "StarGAN", "diat": "DIAT", "cyclegan": "CycleGAN"}


def comparison(
    folder: Path, methods: dict[str, str] = TITLES, seeds: int = 1, sizes: tuple[int, ...] = (32,)
) -> Path:
    """What ``stargan compare`` leaves behind, with random weights."""
    few = (f"data.attributes.count.{split}=24" for split in ("train", "val", "test"))
    words = ["experiment=demo", *few]
    data = configs.of_training(words)["data"]
    listed: list[dict[str, Any]] = []
    runs = {}
    for number, (method, title) in enumerate(methods.items()):
        for seed in range(1, seeds + 1):
            name = f"runs/attributes/{method}/seed_{seed}"
            run = folder / name
            run.mkdir(parents=True)
            (run / "config.yaml").write_text(configs.to_yaml({"data": data}), encoding="utf-8")
            size = sizes[number % len(sizes)]
            plain = settings(ATTRIBUTES, size=size)
            write_export(run / "generator.safetensors", plain, 10 * number + seed)
            # report.json knows no folder of the machine.
            listed.append({"method": method, "title": title, "seed": seed, "runs": [name]})
            runs[name] = []
    report = {"data": [{"data": "attributes", "methods": listed}]}
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "comparison.json").write_text(json.dumps({"suite": "tiny", "runs": runs}))
    return folder


def made_up() -> Study:
    """Three questions of one column, one of another, a check; answers are ``q1-a`` and so on."""

    def answers(name: str) -> dict[str, str]:
        return {f"{name}-{method}": method for method in "abc"}

    questions = {f"q{i}": Asked("Hair", "Blond_Hair", answers(f"q{i}")) for i in (1, 2, 3)}
    questions["q4"] = Asked("Male", "not Male", answers("q4"))
    return Study(
        "f" * 16,
        "Made up",
        4,
        {"a": "Method A", "b": "Method B", "c": "Method C"},
        questions,
        {"check": Right(["yes", "no"], "yes")},
    )


def ballot(voter: int, chosen: str, check: str = "yes", at: int = 1) -> Ballot:
    """A voter's answers: ``aab-`` chooses a, a, b and skips the last question."""
    numbered = [(f"q{i}", i, method) for i, method in enumerate(chosen, 1) if method != "-"]
    answers = {q: Answer(f"{q}-{method}", at + i) for q, i, method in numbered}
    if check:
        answers["check"] = Answer(check, at)
    return Ballot(f"{voter:032x}", answers)


def as_text(ballot: Ballot, of: Study, **changes: Any) -> str:
    """The JSON that the page makes."""
    answers = {q: {"name": a.name, "at": a.at} for q, a in ballot.answers.items()}
    plain = {"study": of.fingerprint, "voter": ballot.voter, "answers": answers}
    return json.dumps(plain | changes)
