"""``stargan health``: reads a run that has ended or still trains, and writes a page about it."""

from __future__ import annotations

from pathlib import Path

from stargan import configs
from stargan.callbacks.gan_health import LOG_NAME, read_log
from stargan.errors import Plain, UserError
from stargan.health.monitors import BY_NAME
from stargan.health.page import last_sample, make_page, replay
from stargan.progress import plain_console
from stargan.runs import run_folder
from stargan.training.metrics_log import read_rows


def main(config: Plain) -> Path:
    """Write the page and say the verdicts.

    Args:
        config: ``run``, a run folder; ``output``, the page, or None for health.html there.

    Returns:
        The page.

    Raises:
        UserError: no run folder, nothing logged yet, a page that cannot be written.
    """
    console = plain_console()
    given = Path(config["run"]).expanduser()
    folder = run_folder(given) or given
    settings = configs.load_yaml(folder / "config.yaml")
    log = folder / "metrics.csv"
    rows = read_rows(log) if log.is_file() else []
    if not rows:
        raise UserError(
            f"{folder} has no rows in metrics.csv yet: wait until log.every_n_steps steps are made."
        )
    if "method" not in settings:
        raise UserError(f"{folder / 'config.yaml'} is not the configuration of a training run.")
    health, found = replay(folder, settings, rows)
    # The run's own story knows of rollbacks, whose rows are gone; without it, what the rows say.
    story = read_log(folder / LOG_NAME) or found
    path = Path(config["output"] or folder / "health.html").expanduser()
    name = str(settings.get("name", folder.name))
    page = make_page(name, health, rows, story, last_sample(folder))
    page.save(path)
    for trouble in health.troubles.values():
        monitor = BY_NAME[trouble.monitor]
        console.print(
            f"{monitor.title}, since step {trouble.since}: {trouble.evidence}",
            soft_wrap=True,
        )
        console.print(f"  what usually helps: {monitor.cures}", soft_wrap=True)
    if not health.troubles:
        console.print("all is well" if health.judged else "too young to be judged", soft_wrap=True)
    console.print(f"page       {path}", markup=False, soft_wrap=True)
    return path
