"""The page of ``semples-mmseg explore``: one photo, its tags, its CAMs and its mask."""

from __future__ import annotations

import contextlib
import html
import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..utils.errors import MissingPackage
from ..utils.label_png import write_mask
from .explorer import Explorer, PhotoCams, fit_within

if TYPE_CHECKING:
    import gradio

UPLOAD_LIMIT = '32mb'
LONGEST_SIDE = 1024
"""Photos are shrunk to this many pixels, so that an answer takes seconds."""

_MANY_CLASSES = 40
# Small photos fill their frames.
_CSS = (
    '#photo img, #mask img, #cam img, #prompt img {width: 100%; height: 100%; object-fit: contain}'
)
_ALL = 'all tags'


def require_gradio() -> Any:
    """Import Gradio, with its usage reports switched off.

    Raises:
        ImportError: If it is not installed.
    """
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
    try:
        import gradio
    except ImportError as error:
        raise MissingPackage(
            'semples-mmseg explore needs Gradio: pip install "semples-mmseg[explore]"'
        ) from error
    return gradio


def build_page(explorer: Explorer, title: str) -> gradio.Blocks:
    """Build the page.

    Args:
        explorer: The model.
        title: Title of the page.
    """
    gr = require_gradio()
    downloads = tempfile.TemporaryDirectory(prefix='semples-explore-')

    def find_cams(photo: np.ndarray | None, tags: Sequence[str]) -> PhotoCams | None:
        if photo is None:
            return None
        if not tags:
            raise gr.Error('Tick the tags of the photo: the model finds only ticked tags.')
        return explorer.compute_cams(fit_within(photo, LONGEST_SIDE), tags)

    def show_cams(seen: PhotoCams | None, tag: str) -> np.ndarray | None:
        if seen is None:
            return None
        return explorer.cam_picture(seen, tag if tag in seen.tags else None)

    def show_prompt(seen: PhotoCams | None, tag: str) -> Any:
        if seen is None:
            return None
        shown = tag if tag in seen.tags else seen.tags[0]
        picture = explorer.prompt_picture(seen.photo, shown)
        return gr.Image(picture, label=f'Background prompt of {shown}')

    def show_mask(seen: PhotoCams | None, score: float, crf: bool) -> tuple[Any, str, str | None]:
        if seen is None:
            return None, '', None
        try:
            mask = explorer.mask(seen, score, crf)
        except ImportError as error:
            raise gr.Error(str(error)) from error
        path = Path(downloads.name) / f'mask_{os.urandom(8).hex()}.png'
        write_mask(path, mask, explorer.palette)
        return explorer.mask_picture(seen.photo, mask), _legend(explorer, mask), str(path)

    shown_image: dict[str, Any] = dict(
        interactive=False, format='png', height=300, buttons=['download', 'fullscreen']
    )
    many = len(explorer.classes) > _MANY_CLASSES
    with gr.Blocks(title=title, analytics_enabled=False) as page:
        page.downloads = downloads  # kept as long as the page
        gr.Markdown(f'# {html.escape(title)}\nUpload a photo and tick what it shows.')
        seen = gr.State()
        with gr.Row():
            with gr.Column(min_width=240):
                photo = gr.Image(
                    type='numpy',
                    label='Photo',
                    sources=['upload', 'clipboard'],
                    height=300,
                    elem_id='photo',
                )
                names = list(explorer.classes)
                tags = (
                    gr.Dropdown(names, multiselect=True, label='Tags', value=[])
                    if many
                    else gr.CheckboxGroup(names, label='Tags')
                )
                find = gr.Button('Find', variant='primary')
                score = gr.Slider(
                    0,
                    1,
                    explorer.background_score,
                    step=0.01,
                    label='Background score',
                    info='Higher: smaller masks. It starts at the score of the run.',
                )
                crf = gr.Checkbox(label='Refine by the dense CRF')
            with gr.Column(min_width=240):
                mask = gr.Image(label='Mask', elem_id='mask', **shown_image)
                legend = gr.HTML()
                download = gr.DownloadButton('Download the mask (8-bit PNG of class ids)')
            with gr.Column(min_width=240):
                cams = gr.Image(label='CAM', elem_id='cam', **shown_image)
                prompt = gr.Image(label='Background prompt', elem_id='prompt', **shown_image)
                shown = gr.Dropdown([_ALL], value=_ALL, label='CAM and prompt of')

        def choices(given: PhotoCams | None) -> Any:
            found = () if given is None else given.tags
            return gr.Dropdown([_ALL, *found], value=_ALL)

        outputs = [mask, legend, download]
        masked = dict(fn=show_mask, inputs=[seen, score, crf], outputs=outputs)
        found = find.click(find_cams, [photo, tags], seen).success(choices, seen, shown)
        found.success(show_cams, [seen, shown], cams).success(**masked).success(
            show_prompt, [seen, shown], prompt
        )
        shown.input(show_cams, [seen, shown], cams)
        shown.input(show_prompt, [seen, shown], prompt)
        score.change(**masked, trigger_mode='always_last')
        crf.input(**masked)
    return page


def _legend(explorer: Explorer, mask: np.ndarray) -> str:
    """Colours, names and shares of the classes of a mask, as HTML."""
    rows = []
    for number, name in enumerate(explorer.classes, 1):
        if not (share := float((mask == number).mean())):
            continue
        red, green, blue = explorer.palette[number]
        rows.append(
            f'<li><span style="display:inline-block;width:1em;height:1em;'
            f'background:rgb({red},{green},{blue})"></span> {html.escape(name)} {share:.1%}</li>'
        )
    return f'<ul>{"".join(rows)}</ul>' if rows else '<p>Only background.</p>'


def serve(page: gradio.Blocks, port: int | None = None, open_browser: bool = True) -> None:
    """Serve a page on this machine alone, until Ctrl-C.

    Args:
        page: See ``build_page``.
        port: Port of 127.0.0.1; by default the first free one from 7860.
        open_browser: Whether to open it in the user's browser.

    Raises:
        OSError: If the port is taken.
    """
    gr = require_gradio()
    theme = gr.themes.Default(font=['system-ui', 'sans-serif'], font_mono=['monospace'])
    page.queue(default_concurrency_limit=1)
    page.launch(
        server_name='127.0.0.1',
        server_port=port,
        inbrowser=open_browser,
        share=False,
        max_file_size=UPLOAD_LIMIT,
        theme=theme,
        css=_CSS,
        show_error=True,
        quiet=True,
        footer_links=[],
        prevent_thread_lock=True,
    )
    print(f'The page is at {page.local_url} (Ctrl-C ends it)', flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
    page.close(verbose=False)
    page.downloads.cleanup()
