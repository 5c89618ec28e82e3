"""A report as one HTML file, and the same words and tables as Markdown.

The file links to nothing: pictures, curves and style are inside. It follows the reader's light or
dark mode, uses the width that there is, and reads on a phone: wide tables and picture grids scroll
inside their own frame. Its headings are listed at the side, on narrow screens above.

::

    page = Page("How good is it")
    page.heading("Figures")
    page.table(["label", "error"], [["Male", "2.1 %"]])
    page.plot({"D/adv": [(20, 1.4), (40, 1.2)]}, title="Adversarial terms", x="step")
    page.grid([[before, after]], ["input", "Male"])
    page.save("report.html")
"""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image
from torch import Tensor

from stargan import imaging
from stargan.writing import markdown_row, write_whole

Point = tuple[float, float]
Picture = Image.Image | Tensor
"""PIL, or ``(3, H, W)`` in [-1, 1]."""

_COLOURS = 6  # curves of one plot that can be told apart: --c0 ... --c5 in the style
_POINTS = 400  # more points of a curve than this are means of neighbours
_SENTENCE = 32  # more characters than a figure with its interval
_SHORT, _FEW = 6, 2  # rows of so few pictures, and so many of them in each half at least
_WIDTH, _HEIGHT = 360, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 34


class Page:
    """Collects blocks in order and writes them.

    Args:
        title: heading of the page.
        subtitle: a line under it.
        refresh: seconds after which a browser reads the file again; None: never.
    """

    def __init__(self, title: str, subtitle: str = "", refresh: int | None = None) -> None:
        self.title = title
        self.subtitle = subtitle
        self.refresh = refresh
        self._headings: list[tuple[int, str]] = []
        self._html: list[str] = []
        self._markdown: list[str] = []
        self._plots = False

    def heading(self, text: str, level: int = 2) -> None:
        """A heading of level 2 or 3, which the contents list."""
        self._headings.append((level, text))
        mark = f'id="part{len(self._headings)}"'
        self._put(f"<h{level} {mark}>{_inline(text)}</h{level}>", f"{'#' * level} {text}")

    def text(self, text: str) -> None:
        """A paragraph; ``**bold**``, ``*emphasis*`` and `` `code` `` as in Markdown."""
        self._put(f"<p>{_inline(text)}</p>", text)

    def warning(self, text: str) -> None:
        """A paragraph that must not be missed."""
        self._put(f'<p class="warning">{_inline(text)}</p>', f"> **Note:** {text}")

    def items(self, facts: Mapping[str, str]) -> None:
        """Names and words, one below the other."""
        pairs = "".join(f"<dt>{_inline(k)}</dt><dd>{_inline(v)}</dd>" for k, v in facts.items())
        self._put(f"<dl>{pairs}</dl>", "\n".join(f"- {k}: {v}" for k, v in facts.items()))

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str = ""
    ) -> None:
        """A table; the first column names the rows, the others stand to the right.

        Args:
            columns: heads.
            rows: as many cells each; a line break in a cell makes a second, smaller line.
            caption: below the table: what the figures are.

        Raises:
            ValueError: a row of another length.
        """
        head = "".join(f"<th>{_inline(c)}</th>" for c in columns)
        body = ""
        for row in rows:
            if len(row) != len(columns):
                raise ValueError(f"a row of {len(row)} cells under {len(columns)} columns")
            cells = [_cell(cell) for cell in row]
            body += f"<tr><th>{cells[0]}</th>{''.join(map(_data, row[1:], cells[1:]))}</tr>"
        words = f"<figcaption>{_inline(caption)}</figcaption>" if caption else ""
        lines = [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows]
        text = "\n".join(markdown_row(line) for line in lines)
        self._put(
            f'<figure><div class="wide"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>{words}</figure>",
            text + (f"\n\n{caption}" if caption else ""),
        )

    def plot(
        self,
        curves: Mapping[str, Sequence[Point]],
        title: str = "",
        x: str = "step",
        marks: Sequence[tuple[float, str]] = (),
        log: bool = False,
        low: float | None = None,
        high: float | None = None,
    ) -> None:
        """Curves in one frame; plots that follow each other stand side by side where they fit.

        Args:
            curves: name to points (x, y), at most six; values that are not finite are left out.
            title: above the frame.
            x: what the horizontal axis is.
            marks: vertical lines at x with a word each.
            log: logarithmic vertical axis; values that are not positive are left out.
            low, high: ends of the vertical axis; None: those of the values.

        Raises:
            ValueError: more than six curves.
        """
        if len(curves) > _COLOURS:
            raise ValueError(f"{len(curves)} curves in one plot: at most {_COLOURS}")
        figure = _plot(curves, title, x, marks, log, low, high)
        if self._plots:
            # Into the row of the plot before.
            self._html[-1] = self._html[-1].removesuffix("</div>") + figure + "</div>"
        else:
            self._put(f'<div class="plots">{figure}</div>', "")
        self._plots = True

    def picture(self, image: Picture, caption: str = "") -> None:
        """One picture, at most as wide as the page."""
        words = f"<figcaption>{_inline(caption)}</figcaption>" if caption else ""
        self._put(f'<figure class="picture">{_img(image, caption)}{words}</figure>', "")

    def grid(
        self,
        rows: Sequence[Sequence[Picture | None]],
        columns: Sequence[str],
        names: Sequence[str] | None = None,
        caption: str = "",
        tile: int = 128,
    ) -> None:
        """Pictures in rows and columns; many short rows stand in two halves side by side.

        Args:
            rows: pictures, None for a blank.
            columns: caption of each column.
            names: caption of each row, under it; a line break makes a second line.
            caption: below the whole.
            tile: width of a picture on the screen in pixels; smaller on a phone.

        Raises:
            ValueError: captions that do not match.
        """
        if any(len(row) != len(columns) for row in rows):
            raise ValueError(f"rows of another length than {len(columns)} columns")
        if names is not None and len(names) != len(rows):
            raise ValueError(f"{len(names)} names for {len(rows)} rows")
        # Names of labels break at their underscores rather than anywhere.
        heads = [_inline(c).replace("_", "_<wbr>") for c in columns]
        head = "".join(f"<th>{c}</th>" for c in heads)
        body = []
        for i, row in enumerate(rows):
            shown = ["" if t is None else _img(t, c) for t, c in zip(row, columns, strict=True)]
            cells = "".join(f"<td>{img}</td>" for img in shown)
            said = ""
            if names is not None and names[i]:
                said = f'<tr><td class="name" colspan="{len(columns)}">{_cell(names[i])}</td></tr>'
            body.append(f"<tr>{cells}</tr>{said}")
        halves = 2 if len(columns) <= _SHORT and len(rows) >= 2 * _FEW else 1
        each = -(-len(rows) // halves) or 1
        tables = "".join(
            f'<div class="wide"><table class="grid"><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(body[i : i + each])}</tbody></table></div>"
            for i in range(0, len(rows), each)
        )
        words = f"<figcaption>{_inline(caption)}</figcaption>" if caption else ""
        sizes = f"--tile:{tile}px;--columns:{len(columns)}"
        self._put(f'<figure><div class="sheets" style="{sizes}">{tables}</div>{words}</figure>', "")

    def save(self, path: str | Path) -> None:
        """Write the HTML file, whole or not at all.

        Raises:
            UserError: the place cannot be written to.
        """
        under = f'<p class="subtitle">{_inline(self.subtitle)}</p>' if self.subtitle else ""
        listed = "".join(
            f'<a class="level{level}" href="#part{i}">{_inline(text)}</a>'
            for i, (level, text) in enumerate(self._headings, 1)
        )
        nav = f'<nav aria-label="Contents">{listed}</nav>' if listed else ""
        again = f'<meta http-equiv="refresh" content="{self.refresh}">' if self.refresh else ""
        text = (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">{again}'
            f"<title>{html.escape(self.title)}</title><style>{_STYLE}</style></head>\n<body>{nav}"
            f"<main><h1>{_inline(self.title)}</h1>{under}\n"
            + "\n".join(self._html)
            + "\n</main></body>"
            "</html>\n"
        )
        write_whole(path, text)

    def save_markdown(self, path: str | Path) -> None:
        """Write headings, text and tables as Markdown; plots and pictures are left out.

        Raises:
            UserError: the place cannot be written to.
        """
        lines = [f"# {self.title}", *([self.subtitle] if self.subtitle else [])]
        blocks = [block for block in self._markdown if block]
        for block, after in zip(blocks, [*blocks[1:], "#"], strict=True):
            if not block.startswith("#") or _depth(after) > _depth(block) or _depth(after) == 0:
                lines.append(block)  # a heading of pictures alone is left out
        write_whole(path, "\n\n".join(lines) + "\n")

    def _put(self, block: str, markdown: str) -> None:
        self._html.append(block)
        self._markdown.append(markdown)
        self._plots = False


def _depth(block: str) -> int:
    """The level of a Markdown heading, 0 of anything else."""
    return len(block) - len(block.lstrip("#"))


def _inline(text: str) -> str:
    """Escaped, with Markdown's bold, emphasis and code."""
    pieces = re.split(r"(`[^`]*`)", text)
    done = []
    for piece in pieces:
        if len(piece) > 1 and piece[0] == piece[-1] == "`":
            done.append(f"<code>{html.escape(piece[1:-1])}</code>")
            continue
        piece = html.escape(piece)
        piece = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", piece)
        done.append(re.sub(r"(?<!\w)\*(?!\s)(.+?)(?<!\s)\*(?!\w)", r"<i>\1</i>", piece))
    return "".join(done)


def _cell(text: str) -> str:
    first, line, rest = text.partition("\n")
    return _inline(first) + (f"<small>{_inline(rest)}</small>" if line else "")


def _data(text: str, cell: str) -> str:
    """A table's cell: figures stand to the right, whole sentences wrap."""
    kind = ' class="words"' if max(map(len, text.split("\n"))) > _SENTENCE else ""
    return f"<td{kind}>{cell}</td>"


def _img(picture: Picture, alt: str) -> str:
    """An ``<img>`` with its data inside: PNG of small pictures, WebP of larger ones."""
    image = imaging.to_pil(picture) if isinstance(picture, Tensor) else picture.convert("RGB")
    data = BytesIO()
    kind = "png" if max(image.size) <= 64 else "webp"
    if kind == "png":
        image.save(data, "PNG", optimize=True)
    else:
        image.save(data, "WEBP", quality=90)
    text = base64.b64encode(data.getvalue()).decode()
    size = f'width="{image.width}" height="{image.height}"'
    return f'<img src="data:image/{kind};base64,{text}" alt="{html.escape(alt)}" {size}>'


def _plot(
    curves: Mapping[str, Sequence[Point]],
    title: str,
    x: str,
    marks: Sequence[tuple[float, str]],
    log: bool,
    low: float | None,
    high: float | None,
) -> str:
    """A ``<figure>`` with an SVG; colours come from the page's style."""
    kept = {
        name: _thin([(a, b) for a, b in points if math.isfinite(b) and (b > 0 or not log)])
        for name, points in curves.items()
    }
    points = [p for line in kept.values() for p in line]
    head = f"<figcaption>{_inline(title)}</figcaption>" if title else ""
    if not points:
        return f'<figure class="plot">{head}<p>nothing was recorded</p></figure>'
    along = [a for a, _ in points] + [a for a, _ in marks]
    left, right = min(along), max(along)
    bottom = min(b for _, b in points) if low is None else low
    top = max(b for _, b in points) if high is None else high
    if log:
        bottom, top = math.log10(bottom), math.log10(top)
    if right == left:
        right = left + 1
    if top <= bottom:
        top, bottom = bottom + 0.5, bottom - 0.5

    def place(a: float, b: float) -> tuple[float, float]:
        b = min(max(math.log10(b) if log else b, bottom), top)
        return (
            _LEFT + (a - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - (b - bottom) / (top - bottom) * (_HEIGHT - _TOP - _BOTTOM),
        )

    parts = []
    for value in _log_ticks(bottom, top) if log else _ticks(bottom, top, 5):
        _, y = place(left, value)
        parts.append(f'<path class="rule" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 3.5:.1f}" class="end">{_short(value)}</text>')
    for tick in _ticks(left, right, 4):
        px, _ = place(tick, 10**bottom if log else bottom)
        parts.append(f'<text x="{px:.1f}" y="{_HEIGHT - 20}" class="mid">{_short(tick)}</text>')
    parts.append(f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 5}" class="end">{_inline(x)}</text>')
    for i, (name, line) in enumerate(kept.items()):
        path = "M" + "L".join("{:.1f} {:.1f}".format(*place(*p)) for p in line) if line else ""
        if len(line) == 1:
            px, py = place(*line[0])
            parts.append(f'<circle class="dot c{i}" cx="{px:.1f}" cy="{py:.1f}" r="3"/>')
        elif line:
            title_of = f"<title>{html.escape(name)}</title>"
            parts.append(f'<path class="curve c{i}" d="{path}">{title_of}</path>')
    for i, (a, word) in enumerate(marks):
        px, _ = place(a, 10**bottom if log else bottom)
        side = "end" if px > _WIDTH / 2 else "start"
        y = _TOP + 10 + 12 * (i % 4)
        parts.append(f'<path class="mark" d="M{px:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
        shift = -4 if side == "end" else 4
        text = html.escape(word)
        parts.append(f'<text x="{px + shift:.1f}" y="{y}" class="{side} word">{text}</text>')
    legend = "".join(f'<span class="c{i}">{_inline(n)}</span>' for i, n in enumerate(kept))
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(title)}"'
    return (
        f'<figure class="plot">{head}<svg {box}>{"".join(parts)}</svg>'
        f'<div class="legend">{legend}</div></figure>'
    )


def _thin(points: Sequence[Point]) -> list[Point]:
    """At most ``_POINTS`` points: means of neighbours."""
    step = -(-len(points) // _POINTS)
    if step <= 1:
        return list(points)
    parts = [points[i : i + step] for i in range(0, len(points), step)]
    return [(sum(a for a, _ in p) / len(p), sum(b for _, b in p) / len(p)) for p in parts]


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Round values within a range, about so many."""
    raw = (high - low) / max(count, 1)
    size = 10.0 ** math.floor(math.log10(raw))
    step = next((m * size for m in (1, 2, 2.5, 5, 10) if m * size >= raw), 10 * size)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten, of a range given by logarithms; powers alone if it is wide.

    A range too narrow to hold two of them gets round values as on a plain axis.
    """
    digits = (1, 2, 5) if high - low < 3 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    found = [d * 10.0**k for k in powers for d in digits if low <= math.log10(d) + k <= high]
    return found if len(found) > 1 else _ticks(10**low, 10**high, 4)


def _short(value: float) -> str:
    if abs(value) >= 10000:
        return f"{value / 1000:g}k"
    return f"{value:.4g}" if abs(value) >= 1e-3 or value == 0 else f"{value:.1e}"


_STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1d1d22;--soft:#63636e;--rule:#e3e3e8;
--wash:#f5f5f8;--warn:#fff3d6;--warnink:#6b4a00;
--c0:#2463c9;--c1:#d1541b;--c2:#1f8a4c;--c3:#9a3fb5;--c4:#b58a00;--c5:#0a8a9c}
@media(prefers-color-scheme:dark){:root{--paper:#16161a;--ink:#ececf1;--soft:#a0a0ac;
--rule:#34343c;--wash:#202027;--warn:#3a2f12;--warnink:#ffd98a;
--c0:#79a8ff;--c1:#ff9a66;--c2:#5fd08f;--c3:#d892f0;--c4:#e8c04a;--c5:#5ed3e3}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:1920px;min-width:0;padding:20px 16px 64px}
h1{font-size:1.7rem;line-height:1.2;margin:8px 0}
h2{font-size:1.25rem;margin:40px 0 8px;padding-top:12px;border-top:1px solid var(--rule)}
h3{font-size:1.05rem;margin:24px 0 6px}h2,h3{scroll-margin-top:8px}
p{margin:8px 0;max-width:52em}.subtitle{color:var(--soft)}
code{font:.9em ui-monospace,Menlo,Consolas,monospace;background:var(--wash);padding:1px 4px;
border-radius:4px;overflow-wrap:anywhere}
.warning{background:var(--warn);color:var(--warnink);padding:10px 14px;border-radius:8px;
max-width:60em}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:12px 0}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
figure{margin:14px 0}
figcaption{color:var(--soft);font-size:.86rem;margin-top:6px;max-width:72em}
.wide{overflow-x:auto;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:6px 10px;border-bottom:1px solid var(--rule);text-align:right;white-space:nowrap;
vertical-align:top}
thead th{color:var(--soft);font-weight:600;white-space:normal;vertical-align:bottom;
line-height:1.25}
th:first-child{text-align:left}
tbody th{font-weight:600;position:sticky;left:0;background:var(--paper)}
td.words{white-space:normal;text-align:left;min-width:14rem}
small{display:block;color:var(--soft);font-size:.78rem;font-weight:400}
.sheets{display:grid;gap:0 28px;
grid-template-columns:repeat(auto-fill,minmax(min(100%,calc(var(--columns)*.78*var(--tile))),1fr))}
table.grid{font-size:.82rem;table-layout:fixed;width:calc(var(--columns)*var(--tile)*1.25);
min-width:calc(var(--columns)*76px);max-width:100%}
table.grid th,table.grid td{border:0;padding:2px;text-align:center;white-space:normal;
position:static;overflow-wrap:break-word;hyphens:auto}
table.grid img{display:block;width:100%;height:auto;border-radius:3px}
table.grid td.name{text-align:left;color:var(--soft);padding:0 2px 10px;overflow-wrap:anywhere}
table.grid td.name small{display:inline;margin-left:8px}
.picture img{max-width:100%;height:auto;border-radius:4px}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(310px,100%),1fr));gap:18px}
.plot{margin:8px 0;min-width:0}.plot svg{width:100%;height:auto;max-width:520px;display:block}
.plot figcaption{color:var(--ink);font-weight:600;margin:0 0 4px}
svg text{fill:var(--soft);font:11px system-ui,sans-serif}
svg .end{text-anchor:end}svg .mid{text-anchor:middle}svg .word{fill:var(--ink)}
.rule{stroke:var(--rule);fill:none}.mark{stroke:var(--soft);stroke-dasharray:3 3}
.curve{fill:none;stroke:currentColor;stroke-width:1.6;stroke-linejoin:round}
.dot{fill:currentColor}
.c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}
.c4{color:var(--c4)}.c5{color:var(--c5)}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:.82rem}
.legend span::before{content:"";display:inline-block;width:12px;height:3px;margin:0 5px 3px 0;
background:currentColor}
nav{display:flex;gap:4px 16px;padding:10px 16px;font-size:.86rem;overflow-x:auto;
white-space:nowrap;border-bottom:1px solid var(--rule)}
nav a{color:var(--soft);text-decoration:none}nav a:hover{color:var(--ink);text-decoration:underline}
nav .level2{font-weight:600}
@media(min-width:1100px){body{display:grid;grid-template-columns:230px minmax(0,1fr)}
nav{position:sticky;top:0;max-height:100vh;overflow-y:auto;flex-direction:column;align-self:start;
gap:6px;padding:28px 8px 28px 20px;white-space:normal;border:0;line-height:1.3}
nav .level2{margin-top:6px}nav .level3{padding-left:12px}
main{padding:20px 32px 64px}main:only-child{grid-column:1/-1}}
@media(max-width:600px){main{padding:12px 12px 48px}
dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}
th,td{padding:5px 8px}table.grid{font-size:.74rem}
tbody th{white-space:normal;min-width:6rem;max-width:40vw}}
@media print{.wide{overflow:visible}nav{display:none}body{display:block}}
""".strip()
