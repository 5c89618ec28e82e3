"""metrics.csv: one row for each step, also of what is measured after the last one."""

from __future__ import annotations

from pathlib import Path

from stargan.training.metrics_log import MetricsLog, read_rows
from tests.rig import fit, make_engine, make_stargan


class Late(MetricsLog):
    """Measures at the end, as callbacks do that come before the log."""

    def on_train_end(self, trainer, module):  # type: ignore[no-untyped-def]
        self.note({"eval/error": 0.25})
        super().on_train_end(trainer, module)


def test_what_is_measured_at_the_end_reaches_the_last_row(tmp_path: Path) -> None:
    for every, steps in ((2, [2, 4]), (3, [3, 4])):
        terms = Late(tmp_path / f"{every}.csv", every)
        fit(make_engine(make_stargan()), 4, terms)
        rows = read_rows(terms.path)
        assert [row["step"] for row in rows] == steps
        assert [row.get("eval/error") for row in rows] == [None, 0.25]
        assert all("D/adv" in row for row in rows)
        assert terms.latest["eval/error"] == 0.25
