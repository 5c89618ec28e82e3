"""The page itself: Gradio's components, and what each event shows.

Every event takes and gives raw values (``preprocess=False, postprocess=False``): Gradio would fetch
a photo's address from the internet, decode it before anybody has looked at its size, and write
every result to disk. Here photos pass ``limits`` and pictures travel inside the answer.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.events import api
from gradio.state_holder import StateHolder
from PIL import Image

from stargan.errors import UserError
from stargan.labels import parse_edits
from stargan.web import pictures
from stargan.web.controls import Control, Setting, edits_from, is_active, settings_from, tap
from stargan.web.limits import Limits, read_photo, uploaded_file
from stargan.web.studio import ServedModel, Studio
from stargan.web.visits import Visit, Visits, discard_soon

STYLE = Path(__file__).with_name("page.css")
PICK = """
element.addEventListener('click', event => {
  const pressed = event.target.closest('[data-pick]');
  if (pressed) trigger('click', {pick: pressed.dataset.pick});
});
"""
GONE = "There is no photo, or this page was left alone so long that it is forgotten: choose one."
BROKEN = "Something went wrong on the server; whoever runs it finds the reason in its log."

Shown = dict[Component, Any]


def _html(value: str = "", **settings: Any) -> gr.HTML:
    """A piece of HTML that looks as ``page.css`` says and not as Gradio's buttons and links."""
    return gr.HTML(value, apply_default_css=False, **settings)


def _leave_files_alone(photo: gr.Image) -> None:
    """Keep Gradio from fetching the file that a visitor names, by URL, before we look at it."""

    async def stays(url_or_file_path: str | Path | None) -> str | None:
        return None if url_or_file_path is None else str(url_or_file_path)

    photo.async_move_resource_to_block_cache = stays  # type: ignore[method-assign]


class Panel:
    """The controls of one model as components.

    Attributes:
        controls: what they stand for.
        graded: whether strengths mean something to the model.
        choosers, strengths: one component each, in the order of the controls.
    """

    def __init__(self, controls: Sequence[Control], graded: bool = True) -> None:
        self.controls = controls
        self.graded = graded
        self.choosers: list[Any] = []
        self.strengths: list[Any] = []
        for control in controls:
            if control.heading:
                _html(f"<h3>{control.heading}</h3>")
            with gr.Column(elem_classes="control", min_width=0):
                if control.is_choice:
                    resting = control.choices[0][1]
                    chooser: Any = gr.Radio(
                        control.choices,
                        value=resting,
                        label=control.title,
                        elem_classes="choice",
                    )
                else:
                    chooser = gr.Checkbox(
                        label=control.title, elem_classes="switch", container=False
                    )
                self.choosers.append(chooser)
                self.strengths.append(
                    gr.Slider(
                        0,
                        1,
                        value=1,
                        step=0.05,
                        label="Strength",
                        visible=False,
                        container=False,
                        elem_classes="strength",
                        buttons=[],
                    )
                )

    @property
    def components(self) -> list[Any]:
        """Everything that can be set: choosers, then strengths."""
        return [*self.choosers, *self.strengths]

    def settings(self, values: Sequence[Any]) -> list[Setting]:
        """The settings that these values of ``components`` make."""
        half = len(self.controls)
        return [Setting(v, s) for v, s in zip(values[:half], values[half:], strict=True)]

    def shown(self, edits: Mapping[str, float], own: Mapping[str, bool] | None) -> Shown:
        """Updates that make the controls stand for these edits."""
        result: Shown = {}
        settings = settings_from(self.controls, edits, own)
        for control, setting, chooser, strength in zip(
            self.controls, settings, self.choosers, self.strengths, strict=True
        ):
            active = self.graded and is_active(control, setting, own)
            result[chooser] = gr.update(value=setting.value)
            result[strength] = gr.update(value=setting.strength, visible=active)
        return result


class Page:
    """The Gradio application.

    Args:
        studio: the models.
        limits: what visitors may send.
        folder: where Gradio keeps uploads; Gradio must have been told of it.

    Attributes:
        blocks: what Gradio serves.
        visits: what is remembered of visitors.
    """

    def __init__(self, studio: Studio, limits: Limits, folder: Path) -> None:
        self.studio = studio
        self.limits = limits
        self.folder = folder
        self.visits = Visits(limits.visits, limits.idle_minutes * 60)
        with gr.Blocks(title="stargan", analytics_enabled=False) as self.blocks:
            self._lay_out()
            self._bind()
        # Gradio keeps the last values of every session; as many as we remember ourselves.
        self.blocks.state_session_capacity = limits.visits
        self.blocks.queue(max_size=limits.waiting, default_concurrency_limit=limits.parallel)

    @property
    def style(self) -> str:
        """CSS of the page."""
        return STYLE.read_text(encoding="utf-8")

    @staticmethod
    def theme() -> gr.themes.Base:
        """Quiet colours, and the fonts that the visitor's machine has: none is fetched."""
        return gr.themes.Base(
            primary_hue=gr.themes.colors.teal,
            neutral_hue=gr.themes.colors.stone,
            radius_size=gr.themes.sizes.radius_lg,
            font=("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"),
            font_mono=("ui-monospace", "Menlo", "Consolas", "monospace"),
        ).set(
            body_background_fill="#f8f7f4",
            body_background_fill_dark="#141312",
            block_background_fill="#ffffff",
            block_background_fill_dark="#1d1b1a",
            color_accent="#0f7f76",
            color_accent_soft="#d9efec",
            color_accent_soft_dark="#12403c",
        )

    def forget(self, session: str) -> None:
        """Forget a visitor, in Gradio's memory too."""
        self.visits.forget(session)
        self._held.session_data.pop(session, None)
        self._held.time_last_used.pop(session, None)

    def tidy(self) -> None:
        """Forget what has been idle too long, in Gradio's memory too."""
        self.visits.forget_idle()
        oldest = datetime.now() - timedelta(minutes=self.limits.idle_minutes)
        for session in list(self._held.session_data):
            if self._held.time_last_used.get(session, datetime.min) < oldest:
                self.forget(session)

    @property
    def _held(self) -> StateHolder:
        """What Gradio remembers of sessions: the last value of every component."""
        held: StateHolder = self.blocks.state_holder
        return held

    def _lay_out(self) -> None:
        models = self.studio.models
        _html(
            "<h1>stargan</h1><p>Change one thing about a picture, and leave the rest.</p>",
            elem_id="head",
        )
        self.model = gr.Radio(
            [(model.title, i) for i, model in enumerate(models)],
            value=0,
            label="Model",
            visible=len(models) > 1,
            elem_id="model",
            elem_classes="choice",
        )
        with gr.Row(elem_id="desk"):
            with gr.Column(scale=5, min_width=300, elem_id="left"):
                self.photo = gr.Image(
                    label="Photo",
                    show_label=False,
                    sources=["upload", "webcam", "clipboard"],
                    type="filepath",
                    buttons=[],
                    placeholder="Drop a photo here\nor click to choose one",
                    alt_text="Your photo",
                    elem_id="photo",
                )
                _leave_files_alone(self.photo)
                self.trouble = _html(elem_id="trouble")
                self.examples = _html(self._example_tiles(), js_on_load=PICK, elem_id="examples")
                self.reading = _html(elem_id="reading")
                self.framing = _html(elem_id="framing")
                self.panels: list[Panel] = []
                self.boxes: list[Component] = []
                for i, model in enumerate(models):
                    with gr.Column(visible=i == 0, elem_classes="labels", min_width=0) as box:
                        self.panels.append(Panel(model.controls, model.translator.graded))
                    self.boxes.append(box)
            with gr.Column(scale=7, min_width=300, elem_id="right"):
                self.slider = gr.ImageSlider(
                    label="Photo and result",
                    show_label=False,
                    interactive=False,
                    buttons=[],
                    max_height=640,
                    elem_id="slider",
                )
                self.result = _html(elem_id="result")
                self.compare = _html(elem_id="compare")
                self.evidence = _html(elem_id="evidence")
                self.row = _html(js_on_load=PICK, elem_id="row")
        _html(
            "<p>Photos are read in memory and forgotten when this page is closed. "
            "Nothing leaves this server.</p>",
            elem_id="foot",
        )

    def _example_tiles(self) -> str:
        tiles = "".join(
            f'<button type="button" data-pick="{i}" aria-label="Example {i + 1}">'
            f'<img src="{pictures.data_url(pictures.enlarged(image, 112))}" alt=""></button>'
            for i, image in enumerate(self.studio.examples)
        )
        return f'<div class="examples"><span class="lead">Or try</span>{tiles}</div>'

    def _bind(self) -> None:
        """Which event runs what. Nothing of it is part of the API but the two endpoints."""
        everything = [
            *(self.photo, self.trouble, self.reading, self.framing, self.slider, self.result),
            *(self.compare, self.evidence, self.row, *self.boxes),
            *(c for panel in self.panels for c in panel.components),
        ]
        stays = (self.photo, self.reading, self.framing, *self.boxes)
        after_change = [c for c in everything if c not in stays]
        common: dict[str, Any] = {
            "preprocess": False,
            "postprocess": False,
            "api_visibility": "private",
            "concurrency_id": "studio",
            "concurrency_limit": self.limits.parallel,
        }
        quiet = {**common, "show_progress": "hidden", "trigger_mode": "always_last"}
        values = [c for panel in self.panels for c in panel.components]

        self.blocks.load(self._first, outputs=everything, **quiet)
        self.photo.input(
            self._photo,
            [self.photo, self.model],
            everything,
            **{**common, "show_progress": "minimal", "show_progress_on": [self.slider]},
        )
        self.examples.click(self._example, [self.model], everything, **quiet)
        self.model.input(self._model, [self.model], everything, **quiet)
        self.row.click(self._tap, [self.model], after_change, **quiet)
        # A slider tells of every step it is dragged over: always_last keeps up with it.
        gr.on(
            [c.input for c in values],
            self._change,
            [self.model, *values],
            after_change,
            **quiet,
        )
        self.blocks.unload(self._leave)
        self._api()

    # Events: each gives the components that change.

    def _first(self, request: gr.Request) -> Shown:
        """A first example and a first edit, so that the page shows at once what it does."""
        return self._said(lambda: self._open(request, self.studio.examples[0], 0, first=True))

    def _photo(self, payload: Any, index: int, request: gr.Request) -> Shown:
        if payload is None:
            self.visits.forget(str(request.session_hash))
            return self._empty()
        shown = self._said(lambda: self._open(request, self._read(payload), index))
        if self.photo not in shown:  # It cannot be read: the last one must not stay, either.
            self.visits.forget(str(request.session_hash))
        return {**self._empty(), **shown}

    def _example(self, index: int, request: gr.Request, event: gr.EventData) -> Shown:
        photos = self.studio.examples
        return self._said(lambda: self._open(request, photos[int(event.pick)], index))

    def _model(self, index: int, request: gr.Request) -> Shown:
        boxes = {box: gr.update(visible=i == index) for i, box in enumerate(self.boxes)}
        visit = self.visits.find(str(request.session_hash))
        if visit is None:
            return {**self._empty(), **boxes}
        return {**boxes, **self._said(lambda: self._everything(visit, index))}

    def _change(self, index: int, request: gr.Request, *values: Any) -> Shown:
        """``values``: those of the controls of all models."""
        return self._said(lambda: self._changed(request, index, values))

    def _changed(self, request: gr.Request, index: int, values: Sequence[Any]) -> Shown:
        visit = self._visit(request)
        start = sum(len(panel.components) for panel in self.panels[:index])
        panel = self.panels[index]
        settings = panel.settings(values[start : start + len(panel.components)])
        own = visit.seen[index].own
        visit.edits = edits_from(panel.controls, settings, own)
        # Only the strengths come and go: to set a control that is being moved would move it back.
        strengths = {
            strength: gr.update(visible=panel.graded and is_active(control, setting, own))
            for control, setting, strength in zip(
                panel.controls, settings, panel.strengths, strict=True
            )
        }
        return {**strengths, **self._results(visit, index)}

    def _tap(self, index: int, request: gr.Request, event: gr.EventData) -> Shown:
        def pressed() -> Shown:
            visit = self._visit(request)
            panel, own = self.panels[index], visit.seen[index].own
            visit.edits = tap(panel.controls, visit.edits, str(event.pick), own)
            return {**panel.shown(visit.edits, own), **self._results(visit, index)}

        return self._said(pressed)

    def _leave(self, request: gr.Request) -> None:
        self.forget(str(request.session_hash))

    def _api(self) -> None:
        """The endpoints for programs; their components are never seen."""
        with gr.Column(visible=False):
            photo = gr.Image(type="filepath", label="photo", sources=["upload"])
            _leave_files_alone(photo)
            labels = gr.Textbox(label="labels")
            strength = gr.Number(1, label="strength")
            model = gr.Textbox(self.studio.models[0].title, label="model")
            result = gr.Image(format="png", label="result")
            gr.Button().click(
                self._translate,
                [photo, labels, strength, model],
                result,
                preprocess=False,
                api_name="translate",
                api_description=(
                    "Changes labels of a photo. labels: a text like Blond_Hair,Young=0, each value "
                    "in [0, 1]; the photo's other labels are kept. strength: from the photo, 0, to "
                    "the labels, 1. model: one of /labels; the first if left out. Gives a PNG of "
                    "the model's size."
                ),
                concurrency_id="studio",
                concurrency_limit=self.limits.parallel,
            )
        api(self._labels, api_name="labels")

    def _translate(self, photo: Any, labels: str, strength: float, model: str) -> Any:
        try:
            served = self._named(model)
            wish = parse_edits(str(labels))
            return served.translator(self._read(photo), wish, strength=float(strength))
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None
        except (TypeError, ValueError):
            raise gr.Error("strength is no number.", print_exception=False) from None

    def _labels(self) -> dict[str, list[str]]:
        """The models of this page, each with the labels it can change."""
        return {model.title: list(model.translator.changeable) for model in self.studio.models}

    # What is shown.

    def _read(self, payload: Any) -> Image.Image:
        """The uploaded photo, whose file goes."""
        file = uploaded_file(payload, self.folder)
        try:
            return read_photo(file, self.limits)
        finally:
            discard_soon(file)

    def _visit(self, request: gr.Request) -> Visit:
        visit = self.visits.find(str(request.session_hash))
        if visit is None:
            raise UserError(GONE)
        return visit

    def _open(
        self, request: gr.Request, photo: Image.Image, index: int, first: bool = False
    ) -> Shown:
        session = str(request.session_hash)
        before = self.visits.find(session)
        visit = self.studio.see(photo)
        if first:
            visit.edits = self.studio.first_edit(visit, index)
        elif before is not None:
            # The next photo gets what was chosen for the last one, as far as it changes anything.
            controls, own = self.panels[index].controls, visit.seen[index].own
            visit.edits = edits_from(controls, settings_from(controls, before.edits, own), own)
        self.visits.keep(session, visit)
        shown = pictures.enlarged(photo)
        return {self.photo: pictures.as_payload(shown), **self._everything(visit, index)}

    def _everything(self, visit: Visit, index: int) -> Shown:
        seen = visit.seen[index]
        return {
            self.reading: pictures.reading(seen.probability, seen.own),
            self.framing: pictures.framing(self._framing(index), seen.framing),
            **self.panels[index].shown(visit.edits, seen.own),
            **self._results(visit, index),
        }

    def _framing(self, index: int) -> str:
        return self.studio.models[index].translator.model.framing.words

    def _results(self, visit: Visit, index: int) -> Shown:
        model, seen = self.studio.models[index], visit.seen[index]
        edits = model.known(visit.edits)
        result = model.translate(seen, edits)
        pair = [pictures.to_pil(seen.photo), pictures.to_pil(result)]
        return {
            self.trouble: "",
            self.slider: [pictures.as_payload(pictures.enlarged(image)) for image in pair],
            self.result: pictures.outcome(pair[1], edits),
            self.compare: self.studio.compare(visit, edits),
            self.evidence: self.studio.evidence(seen, result, edits, index),
            self.row: model.row(seen, edits),
        }

    def _empty(self) -> Shown:
        """The page without a photo."""
        shown: Shown = {self.photo: None, self.slider: None, self.trouble: ""}
        for html in (
            self.reading,
            self.framing,
            self.result,
            self.compare,
            self.evidence,
            self.row,
        ):
            shown[html] = ""
        for panel in self.panels:
            shown |= panel.shown({}, None)
        return shown

    def _said(self, make: Callable[[], Shown]) -> Shown:
        """What ``make`` shows, or words on the page for what went wrong."""
        try:
            return make()
        except UserError as error:
            return {self.trouble: pictures.message(str(error))}
        except Exception:
            traceback.print_exc()
            return {self.trouble: pictures.message(BROKEN)}

    def _named(self, title: str) -> ServedModel:
        """A model by its title; the first for an empty one."""
        if not title:
            return self.studio.models[0]
        known = {model.title: model for model in self.studio.models}
        if title not in known:
            raise UserError(f"there is no model '{title}' here: one of {', '.join(known)}.")
        return known[title]
