"""``stargan serve``: a page in the browser that translates photos."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from stargan.errors import UserError
from stargan.export import refuse_untrained
from stargan.inference.translator import Translator
from stargan.judges.judge import Reader, open_judge
from stargan.web.host import require, until_ended
from stargan.web.limits import Limits
from stargan.web.server import PageServer
from stargan.web.studio import Studio, titles


def serve(cfg: Mapping[str, Any]) -> None:
    """Serve until Ctrl-C.

    Args:
        cfg: see ``conf/serve.yaml``.

    Raises:
        UserError: no Gradio, a model that cannot be opened, a port in use, an impossible limit.
    """
    # Before models are opened: the commonest mistakes are told at once.
    require("gradio", "serve")
    limits = Limits(**cfg["limits"])
    with PageServer(_studio(cfg), limits, cfg["host"], cfg["port"], cfg["root_path"]) as server:
        until_ended(server)
    print("ended; nothing is kept.")


main = serve


def _studio(cfg: Mapping[str, Any]) -> Studio:
    given = cfg["model"]
    paths = [str(p) for p in (given if isinstance(given, (list, tuple)) else [given]) if p]
    if not paths:
        raise UserError("model= names no model.")
    trust = cfg.get("trust") or ()
    models = {
        title: Translator.from_pretrained(path, cfg["device"], cfg["batch_size"], trust=trust)
        for title, path in zip(titles(paths), paths, strict=True)
    }
    for title, path in zip(titles(paths), paths, strict=True):
        refuse_untrained(models[title].model.training, path, cfg.get("force", False))
    judge = open_judge(cfg["judge"], cfg["device"], trust) if cfg["judge"] else None
    for title, translator in models.items():
        if judge is not None and translator.model.reader is None:
            with suppress(UserError):  # It may know some of the labels only.
                translator.model.reader = Reader(judge, translator.spaces)
        check_reading(title, translator)
    examples = Path(cfg["examples"]).expanduser() if cfg["examples"] else None
    return Studio(models, judge, examples)


def check_reading(title: str, translator: Translator) -> None:
    """Refuse a model whose networks are chosen by a photo's own labels, which nobody reads.

    Raises:
        UserError: names the model.
    """
    model = translator.model
    if model.reader is None and not model.rule.graded:
        needed = [
            n for i in range(len(model.labels.spaces)) for n in sorted(model.rule.compared(i))
        ]
        if needed:
            raise UserError(
                f"'{title}' has a network for each change and cannot read a photo's own labels, by "
                f"which they are chosen: add judge=, a classifier of {', '.join(needed)}."
            )
