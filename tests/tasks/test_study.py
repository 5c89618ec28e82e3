"""``stargan study build`` and ``tally``; the page by its text."""

from __future__ import annotations

import base64
import json
import re
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stargan import cli
from stargan.errors import UserError
from stargan.evaluation import study
from stargan.evaluation.ballots import Answer, Ballot, BallotBox
from stargan.evaluation.study import draw, in_words
from stargan.evaluation.study_key import Study, read_key
from stargan.reports.study import embedded
from tests.studies import ATTRIBUTES, TITLES, as_text, comparison
from tests.tiny import MOODS

SMALL = ["count=2", "questions=6", "checks=2", "device=cpu"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return comparison(tmp_path_factory.mktemp("compared"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, compared: Path) -> Path:
    output = tmp_path_factory.mktemp("study")
    cli.run(["study", "build", f"compare={compared}", f"output={output}", *SMALL])
    return output


def data_of(folder: Path) -> dict[str, Any]:
    text = (folder / "study.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="study">(.*?)</script>', text, re.S)
    assert found
    return json.loads(found[1])


def voters(key: Study, favourites: str) -> list[Ballot]:
    """Voters who always choose one method each."""
    found = []
    for i, favourite in enumerate(favourites.split(), 1):
        answers = {
            q: Answer(next(n for n, m in asked.answers.items() if m == favourite), i)
            for q, asked in key.questions.items()
        }
        answers |= {q: Answer(right.right, i) for q, right in key.checks.items()}
        found.append(Ballot(f"{i:032x}", answers))
    return found


def test_the_page_says_nowhere_whose_a_picture_is(built: Path) -> None:
    text = (built / "study.html").read_text(encoding="utf-8")
    readable = re.sub(r"data:image/webp;base64,[A-Za-z0-9+/=]+", "", text).lower()
    for word in (*TITLES, *TITLES.values(), "attributes", "seed_1", "hair + male", "blond_hair"):
        assert word.lower() not in readable, word
    assert not re.findall(r"(?:src|href|action)=[\"']?(?:https?:)?//", readable), "no foreign host"
    data, key = data_of(built), read_key(built)
    assert data["study"] == key.fingerprint
    assert len(data["questions"]) == len(key.questions) == 14
    names = []
    for one in data["questions"]:
        listed = [answer["name"] for answer in one["answers"]]
        assert listed == sorted(key.questions[one["name"]].answers)
        assert set(key.questions[one["name"]].answers.values()) == set(TITLES)
        names += [one["name"], *listed]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[0-9a-f]{12}", name) for name in names)
    # The order of the names is no method's: each comes first somewhere, in enough questions.
    first = {key.questions[q["name"]].answers[q["answers"][0]["name"]] for q in data["questions"]}
    assert len(first) > 1


def test_checks_have_one_right_answer_by_construction(built: Path) -> None:
    data, key = data_of(built), read_key(built)
    assert len(data["checks"]) == len(key.checks) == 2
    for one in data["checks"]:
        same = [a["name"] for a in one["answers"] if a["picture"] == one["photo"]]
        assert same == [key.checks[one["name"]].right]
        assert len({a["picture"] for a in one["answers"]}) == len(one["answers"]) == 4


def test_a_seed_gives_one_study(
    tmp_path: Path, compared: Path, built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = ["study", "build", f"compare={compared}", *SMALL]
    cli.run([*again, f"output={tmp_path / 'again'}"])
    assert "14 questions: Hair 2, Male 2, Young 2, Hair + Male 2" in capsys.readouterr().out
    for name in ("study.html", "key.json"):
        assert (tmp_path / "again" / name).read_bytes() == (built / name).read_bytes()
    cli.run([*again, f"output={tmp_path / 'again'}"])
    with pytest.raises(UserError, match="holds another study"):
        cli.run([*again, f"output={tmp_path / 'again'}", "seed=1"])
    cli.run([*again, f"output={tmp_path / 'other'}", "seed=1"])
    assert read_key(tmp_path / "other").fingerprint != read_key(built).fingerprint
    assert not set(read_key(tmp_path / "other").questions) & set(read_key(built).questions)


def test_seeds_take_turns_and_sizes_do_not_tell(tmp_path: Path) -> None:
    folder = comparison(tmp_path / "c", {"stargan": "A", "diat": "B"}, seeds=2, sizes=(32, 16))
    more = ["columns=[Hair,Hair + Male]", "count=3", "questions=null", "checks=0"]
    cli.run(["study", "build", f"compare={folder}", f"output={tmp_path / 's'}", *more])
    key, data = read_key(tmp_path / "s"), data_of(tmp_path / "s")
    assert {q.column for q in key.questions.values()} == {"Hair", "Hair + Male"}
    assert (key.each, key.checks, data["shape"]) == (6, {}, "32 / 32")
    pictures = [a["picture"] for q in data["questions"] for a in q["answers"]]
    assert {pixels(picture).shape for picture in pictures} == {(32, 32, 3)}


def test_the_picture_is_the_method_s(compared: Path, built: Path) -> None:
    """What the key says of a picture is true: made anew by that model, from that photo."""
    rooms = study.read_comparison(compared)
    room = study.open_room("attributes", rooms["attributes"], "cpu", ())
    for one in study.questions_of(room, ["Male"], 2, 0, 32):
        page = next(q for q in data_of(built)["questions"] if q["name"] == one.name)
        assert page["photo"] == embedded(one.photo)
        for answer in page["answers"]:
            method = one.methods[answer["name"]]
            model, test = room.models[method][0], room.tests[method][0]
            image = torch.from_numpy(np.array(one.photo)).permute(2, 0, 1)[None] / 127.5 - 1
            row = next(
                i for i in test.rows.tolist()
                if torch.allclose(test.images([i]), image, atol=1e-6)
            )  # fmt: skip
            label = test.labels[test.rows.tolist().index(row)][None]
            made = model(image, label, ATTRIBUTES.flip(label, "Male"), torch.tensor([0]))
            shown = study.imaging.to_pil(made[0])
            difference = np.abs(pixels(answer["picture"]) - np.asarray(shown, dtype=int))
            assert difference.max() <= 1


def pixels(address: str) -> np.ndarray:
    """A ``data:`` address as integers ``(H, W, 3)``."""
    data = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"), dtype=int)


def test_the_tally_of_three_voters(
    tmp_path: Path, built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "study"
    shutil.copytree(built, place)
    key = read_key(place)
    one, two, three = voters(key, "stargan stargan diat")
    votes = tmp_path / "votes"
    votes.mkdir()
    for name, ballot in (("a", one), ("b", two), ("a (1)", one)):
        (votes / f"{name}.json").write_text(as_text(ballot, key))
    BallotBox(place / "votes.sqlite", key).add(three)
    failed = voters(key, "cyclegan cyclegan cyclegan cyclegan")[3]
    for q, right in key.checks.items():
        failed.answers[q] = Answer(next(a for a in right.answers if a != right.right), 1)
    BallotBox(place / "votes.sqlite", key).add(failed)
    cli.run(["study", "tally", f"study={place}", f"votes={votes}", f"output={tmp_path / 't.json'}"])
    found = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert list(found["preference"]) == [
        *("Hair", "Male", "Young", "Hair + Male", "Hair + Young", "Male + Young"),
        "Hair + Male + Young",
    ]
    for of in found["preference"].values():
        assert of["stargan"]["value"] == pytest.approx(2 / 3)
        assert (of["diat"]["value"], of["diat"]["count"]) == (pytest.approx(1 / 3), 6)
        assert of["cyclegan"]["value"] == 0
    assert (found["voters"], found["copies"], found["left_out"]["failed"]) == (3, 1, 1)
    said = capsys.readouterr().out
    assert "3, of whom 3 answered all their questions" in said
    assert "1 voters who failed an attention check" in said
    text = (tmp_path / "t.md").read_text(encoding="utf-8")
    assert "| asked for | votes | StarGAN | DIAT | CycleGAN |" in text
    assert "| Hair + Male | 6 | 66.7% 0.0 to 100.0% |" in text
    assert "Krippendorff" in text
    assert "3 voters are few" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["build", "compare=nowhere", "output=OUT"], "is no folder of a comparison"),
        (["build", "compare=UNFINISHED", "output=OUT"], "is not finished"),
        (["build", "compare=ALONE", "output=OUT"], "no two methods"),
        (["build", "compare=DAMAGED", "output=OUT"], "is damaged"),
        (["build", "compare=FINE", "output=FILE"], "is a file"),
        (
            ["build", "compare=FINE", "output=OUT", "methods=[stargna,diat]"],
            "Did you mean 'stargan'",
        ),
        (["build", "compare=FINE", "output=OUT", "methods=[diat]"], "name two or more"),
        (["build", "compare=FINE", "output=OUT", "methods=diat"], "must be a list"),
        (["build", "compare=FINE", "output=OUT", "columns=[Hiar]"], "Did you mean 'Hair'"),
        (["build", "compare=FINE", "output=OUT", "count=0"], "count=0 must be a whole number"),
        (["build", "compare=FINE", "output=OUT", "checks=true"], "checks=True must be"),
        (["build", "compare=FINE", "output=OUT", "title= "], "title= is empty"),
        (["tally", "study=nowhere", "output=t.json"], "is no study"),
        (["tally", "study=FINE", "output=t.json"], "is no study"),
        (["tally", "study=BUILT", "output=t.md"], "must be a .json file"),
        (
            ["tally", "study=BUILT", "output=OUT.json"],
            "there are no votes to count: give the files",
        ),
        (["tally", "study=BUILT", "output=OUT.json", "fails=-1"], "fails=-1 must be"),
        (["tally", "study=BROKEN", "output=OUT.json"], "key.json' is damaged"),
        (["serve", "study=nowhere"], "is no study"),
        (["serve", "study=BUILT", "voters=0"], "voters=0 must be"),
        (["serve", "study=PAGELESS", "port=0"], "build the study again"),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path, compared: Path, built: Path, words: list[str], says: str
) -> None:
    for name in ("UNFINISHED", "ALONE", "DAMAGED", "BROKEN", "PAGELESS"):
        (tmp_path / name).mkdir()
    stamp = (compared / "comparison.json").read_text()
    for name in ("UNFINISHED", "ALONE", "DAMAGED"):
        (tmp_path / name / "comparison.json").write_text(stamp)
    plain = json.loads((compared / "report.json").read_text())
    plain["data"][0]["methods"] = plain["data"][0]["methods"][:1]
    (tmp_path / "ALONE" / "report.json").write_text(json.dumps(plain))
    (tmp_path / "DAMAGED" / "report.json").write_text('{"data": [{"data": "x"}]}')
    key = (built / "key.json").read_text(encoding="utf-8")
    (tmp_path / "BROKEN" / "key.json").write_text(key.replace('"stargan": "StarGAN",', ""))
    (tmp_path / "PAGELESS" / "key.json").write_text(key)
    (tmp_path / "FILE").write_text("")
    places = {"FINE": compared, "BUILT": built}
    for name in ("OUT", "FILE", "UNFINISHED", "ALONE", "DAMAGED", "BROKEN", "PAGELESS"):
        places[name] = tmp_path / name
    for name, path in places.items():
        words = [w.replace(f"={name}", f"={path}") for w in words]
    with pytest.raises(UserError) as caught:
        cli.run(["study", *words])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "OUT").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Blond_Hair": 1, "Black_Hair": 0}, "Make the hair blond"),
        ({"Male": 0}, "Make the person a woman"),
        ({"Young": 0}, "Make the person older"),
        (
            {"Black_Hair": 0, "Brown_Hair": 1, "Male": 0, "Young": 0},
            "Make the hair brown, and the person a woman and older",
        ),
        ({"Male": 0, "Young": 0}, "Make the person a woman and older"),
        (
            {"Black_Hair": 0, "Brown_Hair": 1, "Young": 0},
            "Make the hair brown and the person older",
        ),
    ],
)
def test_wishes_in_words(change: dict[str, int], words: str) -> None:
    label = torch.tensor([1.0, 0, 0, 1, 1])
    target = label.clone()
    for name, value in change.items():
        target[ATTRIBUTES.index(name)] = value
    assert in_words(ATTRIBUTES, label, target) == words


def test_wishes_of_any_label() -> None:
    one, two = torch.tensor([0.0, 0, 1]), torch.tensor([1.0, 0, 0])
    assert in_words(MOODS, one, two) == "Make the face happy"
    own = study.LabelSpace(("Wearing_Hat", "cat", "dog"), [("cat", "dog")], name="own")
    assert in_words(own, torch.tensor([1.0, 1, 0]), torch.tensor([0.0, 0, 1])) == (
        "Make it “not Wearing Hat” and “dog”"
    )


def test_each_wish_in_turn_and_no_photo_twice() -> None:
    rng = np.random.default_rng(0)
    drawn = draw([[1, 2, 3, 4], [4, 5], []], 5, rng, lambda photo: photo != 1)
    photos = [[[1, 2, 3, 4], [4, 5]][wish][place] for wish, place in drawn]
    assert sorted(photos) == [2, 3, 4, 5]
    assert [wish for wish, _ in drawn][:2] == [0, 1]
    assert draw([[], []], 3, rng, lambda photo: True) == []
