"""The command line: quick help, one sentence for bad input, no heavy imports."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stargan import cli, configs
from stargan.configs import Key
from stargan.errors import UserError
from stargan.help import OFTEN, listing


def refused(*arguments: str) -> str:
    with pytest.raises(UserError) as caught:
        cli.run(list(arguments))
    return str(caught.value)


@pytest.mark.parametrize("name", sorted(configs.options("experiment")))
@pytest.mark.parametrize("method", ["stargan", "stargan_modern"])
def test_every_experiment_composes(name: str, method: str) -> None:
    config = configs.compose("train", [f"experiment={name}", f"method={method}"], mandatory=False)
    assert config["name"] == name
    assert ("modern" in config["method"]["generator"]["_target_"]) == (method == "stargan_modern")
    assert set(config["data"]["use"]) <= set(config["data"])


@pytest.mark.parametrize("name", sorted(configs.options("debug")))
def test_every_debug_mode_composes(name: str) -> None:
    assert configs.compose("train", ["experiment=demo", f"debug={name}"])["name"] == name


def test_the_paper_s_settings() -> None:
    config = configs.compose("train", ["experiment=celeba", "data.root=x"])
    method = config["method"]
    assert (config["data"]["image_size"], config["data"]["batch_size"]) == (128, 16)
    assert (method["lambda_cls"], method["lambda_rec"], method["lambda_gp"]) == (1, 10, 10)
    assert (method["n_critic"], method["adversarial"], method["betas"]) == (5, "wgan", [0.5, 0.999])
    assert config["trainer"]["max_steps"] == 200_000


def test_free_text_reaches_the_task_as_typed() -> None:
    root = "/a b/c,d=e (1)/it's"
    config = configs.compose("train", ["experiment=celeba", f"data.root={root}"])
    assert config["data"]["celeba"]["root"] == root
    words = ["model=m", "input=i", "to=Blond_Hair,Young=0", "output=o"]
    assert configs.compose("translate", words)["to"] == "Blond_Hair,Young=0"


def test_the_paper_s_names_need_no_prefix() -> None:
    config = configs.compose("train", ["experiment=demo", "lambda_rec=3", "n_critic=2"])
    assert (config["method"]["lambda_rec"], config["method"]["n_critic"]) == (3, 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], "Did you mean 'train'"),
        (["train"], "which experiment"),
        (["train", "experiment=dmo"], "Did you mean experiment=demo"),
        (["train", "experiment=demo", "data.batchsize=4"], "Did you mean data.batch_size="),
        (["train", "experiment=demo", "lamda_rec=4"], "Did you mean method.lambda_rec="),
        (["train", "experiment=demo", "data"], "write key=value"),
        (["train", "experiment=demo", "~nothing"], "Could not delete"),
        (["train", "experiment=demo", "seed=1,2"], "seed=1,2"),
        (["train", "experiment=celeba"], "data.root must be given"),
        (["train", "experiment=joint"], "data.celeba.root, data.rafd.root must be given"),
        (["train", "experiment=demo", "trainer.gradient_clip_val=1"], "no meaning"),
        (["train", "experiment=demo", "checkpoint=3"], "is a section"),
        (["train", "experiment=demo", "--verbose"], "unknown option"),
        (["train", "resume=no/such/run"], "no run folder"),
        (["translate", "model=x"], "must be given"),
        (["study"], "stargan study: which one? Say build, serve, tally."),
        (["study", "study=x"], "which one?"),
        (["study", "taly"], "'taly' is unknown. Did you mean 'tally'?"),
        (["study", "build", "compar=x"], "Did you mean compare="),
        (["study", "build", "compare=x", "columns=[a,]"], "columns=[a,] has an empty name"),
        (["study", "build", "nonsense=x"], "All keys: stargan study build --cfg job;"),
        (["import-official", "nonsense=x"], "All keys: stargan import-official --cfg job;"),
    ],
)
def test_bad_words_are_refused_in_one_sentence(arguments: list[str], words: str) -> None:
    message = refused(*arguments)
    assert words in message
    assert "\n" not in message


def test_exit_code_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "experiment=demo", "nonsense=1"])
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("stargan: unknown key 'nonsense'")
    assert "Traceback" not in printed.err
    assert len(printed.err.strip().splitlines()) == 1


def test_cfg_job_prints_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["train", "experiment=demo", "data.image_size=48", "--cfg", "job"])
    assert yaml.safe_load(capsys.readouterr().out)["data"]["image_size"] == 48


@pytest.mark.parametrize("task", ["", "study", *cli.TASKS])
def test_help_names_the_words(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    cli.run([*task.split(), "--help"])
    shown = capsys.readouterr().out
    assert "usage: stargan" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("task", sorted(cli.TASKS))
def test_keys_of_the_help_have_the_words_of_conf(
    task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.run([*task.split(), "--help"])
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    flat = " ".join(shown.split())
    if task == "train":
        keys = {k: v for k, v in configs.documented().items() if k in OFTEN}
        assert len(keys) > 10
    else:
        keys = configs.keys_of(configs.config_dir() / f"{configs.file_name(task)}.yaml")
        keys = {k: v for k, v in keys.items() if k not in ("defaults", "limits")}
    for name, key in keys.items():
        assert f"{name}={key.default} {key.words} " in f"{flat} "
        # A name never runs into its words: spaces, or a line of its own.
        assert re.search(rf"\n  {re.escape(f'{name}={key.default}')}(  |\n {{28}}\S)", shown)


def test_a_long_name_stands_on_a_line_of_its_own() -> None:
    words = "word " * 30
    lines = listing({"short": words, "a_name_of_more_than_thirty_letters": words}).splitlines()
    assert lines[0].startswith("  short" + " " * 21 + "word")
    assert all(line.startswith(" " * 28 + "word") for line in (lines[1], lines[-1]))
    long = next(line for line in lines if "a_name" in line)
    assert long == "  a_name_of_more_than_thirty_letters"
    assert lines[lines.index(long) + 1].startswith(" " * 28 + "word")
    assert listing({"a": "x", "bcd": "y"}) == "  a    x\n  bcd  y"


def test_comments_of_a_file_are_read_by_key(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text(
        "# @package _global_\n# The file.\n\ndefaults:\n  - data: x\n"
        "# First\n# and second line: with a colon.\na: 1\nb: ${a}\n# Of c.\nc:\n"
        "  # Of d.\n  d: {e: 2}\n  f: null\n# Lost.\n\ng: ???\n"
    )
    assert configs.keys_of(path) == {
        "defaults": Key("", ""),
        "a": Key("First and second line: with a colon.", "1"),
        "b": Key("", ""),
        "c": Key("Of c.", ""),
        "c.d": Key("Of d.", "{e: 2}"),
        "c.f": Key("", ""),
        "g": Key("", ""),
    }


CONF = configs.config_dir()


@pytest.mark.parametrize(
    "file", sorted(p.relative_to(CONF).as_posix() for p in CONF.rglob("*.yaml"))
)
def test_every_key_of_conf_has_a_comment(file: str) -> None:
    """Above it, or above the same key in another file of its group; ``{...}`` is one value."""
    group = file.partition("/")[0] if "/" in file else ""
    if group == "suite":  # Suites explain their words in the first of them and in the docs.
        return
    place = {"": "", "experiment": "", "debug": "", "network": "method.classifier."}.get(
        group, f"{group}."
    )
    known = configs.documented() if group else configs.keys_of(CONF / file)
    loaded = yaml.safe_load((CONF / file).read_text(encoding="utf-8"))
    loaded.pop("defaults", None)
    for leaf in configs.leaves(loaded):
        # The class, which the file's first line is about; a file that is empty on purpose.
        if not leaf or leaf.endswith("_target_"):
            continue
        # A table of settings says what the keys of its columns' names are.
        table = leaf.partition(".")[0]
        key = place + (table if table in ("settings", "lengths") else leaf)
        while key not in known and "." in key:
            key = key.rpartition(".")[0]
        assert known[key].words, f"{place}{leaf} has no comment"


def test_help_and_configuration_load_no_torch() -> None:
    code = (
        "import sys\n"
        "from stargan import cli\n"
        "cli.run(['train', '--help'])\n"
        "heavy = {'hydra', 'omegaconf', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "cli.run(['train', 'experiment=demo', '--cfg', 'job'])\n"
        "heavy = {'torch', 'pytorch_lightning', 'torchvision', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_configuration_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "what's mine"
    (own / "data").mkdir(parents=True)
    (own / "data" / "squares.yaml").write_text(
        "# Squares.\ndefaults: [base]\nuse: [squares]\nsquares: {_target_: mylab.Squares, n: 3}\n"
    )
    words = ("train", "experiment=demo", f"conf={own}")
    cli.run([*words, "data=squares", "data.squares.n=4", "--cfg", "job"])
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["data"]["squares"] == {"_target_": "mylab.Squares", "n": 4}
    assert "conf" not in shown
    assert "Did you mean data=squares?" in refused(*words, "data=squars")
    for wrong in tmp_path, tmp_path / "nowhere":
        assert "is no folder of configuration" in refused(
            "train", "experiment=demo", f"conf={wrong}"
        )
