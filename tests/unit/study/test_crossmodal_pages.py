"""The pages of tables of pictures and words and of the waterfall: whole, silent, and what failed is said."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_training_page import Seen
from trainings import epoch

from nearsight.study.crossmodal.report import TO_IMAGES, TO_TEXTS
from nearsight.study.crossmodal.tables import PairRow, PairTableDone
from nearsight.study.crossmodal.trials import Figure, Summary
from nearsight.study.crossmodal.waterfall import Stage, Waterfall
from nearsight.study.pages.pair_table import pair_table_page, write_pair_table_page
from nearsight.study.pages.training_history import curves
from nearsight.study.pages.waterfall import waterfall_page, write_waterfall_page

ODD = "<script>alert('x')</script> & \"<b>\" \udce9"


def measured(rsum: float | None = 120.0, **given: Any) -> Summary:
    figures = {}
    if rsum is not None:
        share = Figure(rsum / 600, rsum / 600 - 0.01, rsum / 600 + 0.01, 0.01)
        figures = {f"{way} {label}": share for way in (TO_TEXTS, TO_IMAGES)
                   for label in ("R@1", "R@5", "R@10", "triplet accuracy")}  # fmt: skip
        figures["rSum"] = Figure(rsum, rsum - 5, rsum + 5, 8.0)
    body: dict[str, Any] = {
        "figures": figures, "loss": 0.25, "validation_loss": 0.5, "seeds": (0,), "seconds": 30.0, "findings": (),
        "failed": (),
    }  # fmt: skip
    return Summary(**(body | given))


def table(**given: Any) -> PairTableDone:
    rows = (
        PairRow("as published", "report/a", 256, (0.1, 0.2, 0.3), measured(findings=("doctor/dead",)), "b stands in"),
        PairRow("as published", "report/a", 512, (0.4, 0.5, 0.6), measured(None, failed=("seed 0: not finite",)), ""),
        PairRow("ours", "modern/b", 256, None, measured(240.0, seeds=(0, 1, 2), failed=("seed 2: too hot",)), ""),
    )
    body: dict[str, Any] = {"name": "table9", "title": "A table", "way": TO_TEXTS, "data": "made", "rows": rows,
                            "notes": ("Mind the gap.",)}  # fmt: skip
    return PairTableDone(**(body | given))


def fallen(**given: Any) -> Waterfall:
    stages = (
        Stage("the report's recipe", (), measured(30.0), None),
        Stage("first", ("loop.lr=1",), measured(100.0), 70.0),
        Stage("second", ("dim=2", "seed=3"), measured(90.0, findings=("doctor/low-rank",)), -10.0),
        Stage("third", ("dim=3",), measured(None, failed=("seed 0: not finite",)), None),
        Stage("fourth", ("dim=4",), measured(280.0), None),
    )
    return Waterfall(**({"data": "made", "stages": stages, "notes": ("Mind the gap.",)} | given))


def same_everywhere(text: str) -> Seen:
    """What every page is held to."""
    page = Seen(text)
    assert "script" not in page.tags
    assert not [name for _, name, _ in page.given if name.startswith("on")]
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text
    for tag, inside in re.findall(r"<svg ([^>]*)>(.*?)</svg>", text, re.DOTALL):
        assert 'aria-hidden="true"' in tag or inside.startswith("<title>")
    assert "nan" not in text
    return page


class TestPairTable:
    def test_published_stands_beside_measured(self, tmp_path: Path) -> None:
        write_pair_table_page(table(), tmp_path / "t.html")
        page = same_everywhere((tmp_path / "t.html").read_text())
        for told in ("A table", "0.100 / 0.200", "0.300", "0.250 / 0.500", "20.0 / 20.0 / 20.0", "120.0",
                     "115.0 – 125.0, 95%", "3 seeds", "0.5", "doctor/dead", "b stands in",
                     "Mind the gap.", "made"):  # fmt: skip
            assert told in page.text, told

    def test_a_row_without_figures_says_why(self) -> None:
        text = pair_table_page(table())
        assert text.count("seed 0: not finite") == 1
        assert "seed 2: too hot" in text
        assert text.count('role="img"') == 2

    def test_bars_are_on_one_scale(self) -> None:
        at = [float(x) for x in re.findall(r'class="dot" cx="([\d.]+)"', pair_table_page(table()))]
        assert (at[1] - 5) / (at[0] - 5) == pytest.approx(2, rel=0.01)
        assert at[1] < 175

    def test_rows_of_one_recipe_stand_together(self) -> None:
        assert re.findall(r'<td class="word" rowspan="(\d)"', pair_table_page(table())) == ["2", "1"]
        assert pair_table_page(table()).count("<small>report/a</small>") == 1

    def test_odd_words_stay_words(self) -> None:
        rows = (PairRow(ODD, ODD, 8, None, measured(findings=(ODD,), failed=(ODD,)), ODD),
                PairRow(ODD, ODD, 9, None, measured(None, failed=(ODD,)), ODD))  # fmt: skip
        text = pair_table_page(table(title=ODD, name=ODD, data=ODD, rows=rows, notes=(ODD,)))
        same_everywhere(text)
        assert "&lt;b&gt;" in text
        assert '"<b>"' not in text

    def test_a_table_of_failures_alone(self) -> None:
        row = PairRow("r", "r", 8, None, measured(None, loss=None, validation_loss=None, failed=("seed 0: no",)), "")
        assert "- / -" in same_everywhere(pair_table_page(table(rows=(row,)))).text


class TestWaterfall:
    def test_all_stages_are_told_and_drawn(self, tmp_path: Path) -> None:
        write_waterfall_page(fallen(), tmp_path / "w.html")
        text = (tmp_path / "w.html").read_text()
        page = same_everywhere(text)
        for told in ("the report's recipe", "+70.0", "-10.0", "100.0 (+70.0)", "failed", "seed 0: not finite", "dim=2",
                     "seed=3", "doctor/low-rank", "Mind the gap."):  # fmt: skip
            assert told in page.text, told
        chart = text.partition('<figure class="chart">')[2].partition("</figure>")[0]
        assert re.findall(r'<rect class="(\w+) spread"', chart) == ["stood", "rose", "fell", "stood"]
        assert 'viewBox="0 0 360 ' in chart, "as wide as a phone: it can be read on one"

    def test_a_bar_goes_from_the_row_above_to_its_own(self) -> None:
        chart = waterfall_page(fallen()).partition('<figure class="chart">')[2]
        bars = [(float(x), float(w)) for x, w in re.findall(r'spread" x="([\d.]+)" width="([\d.]+)"', chart)]
        ends = [x + w for x, w in bars]
        assert bars[1][0] == pytest.approx(ends[0], abs=0.15)
        assert bars[2][0] + bars[2][1] == pytest.approx(ends[1], abs=0.15), "what is lost is taken from the end"
        assert max(ends) < 360

    def test_odd_words_stay_words(self) -> None:
        stages = (Stage(ODD, (ODD,), measured(findings=(ODD,), failed=(ODD,)), 1.0),
                  Stage(ODD, (ODD,), measured(None, failed=(ODD,)), None))  # fmt: skip
        text = waterfall_page(fallen(data=ODD, stages=stages, notes=(ODD,)))
        same_everywhere(text)
        assert "&lt;b&gt;" in text
        assert '"<b>"' not in text


class TestHeldOutLoss:
    def test_is_drawn_beside_the_training_s_and_listed(self) -> None:
        history = tuple(replace(epoch(n), validation_loss=2 / n) for n in range(1, 6))
        text = curves(history)
        assert text.count('<polyline class="beside"') == 1
        assert "held out (dashed) 2 → 0.4" in text
        assert "0.4000" in text
        # the axis reaches the higher of both
        drawn = re.findall(r'<polyline class="(?:beside|curve)" points="([^"]*)"', text)[:2]
        heights = [float(point.split(",")[1]) for line in drawn for point in line.split()]
        assert min(heights) >= 22
        assert max(heights) <= 162

    def test_is_absent_where_it_is_unknown(self) -> None:
        text = curves(tuple(epoch(n) for n in range(1, 6)))
        assert "beside" not in text
        assert "dashed" not in text
