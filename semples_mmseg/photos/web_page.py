"""The page of ``semples-mmseg explore``: one photo, its tags, its CAMs and its mask."""

from __future__ import annotations

import contextlib
import html
import importlib.util
import os
import re
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.errors import MissingPackage, Refusal
from ..utils.images import read_image
from ..utils.io import folder_lock
from ..utils.label_png import write_mask
from .explorer import Explorer, PhotoCams, fit_within
from .overlays import overlay_mask

LONGEST_SIDE = 1024
"""Photos are shrunk to this many pixels, so that an answer takes seconds."""

_MANY_CLASSES = 40
_UPLOADS = 'semples-explore-'
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


def serve(
    explorer: Explorer, title: str, port: int | None = None, open_browser: bool = True
) -> None:
    """Serve the page on this machine alone, until Ctrl-C.

    Uploads and masks are in a folder of this user alone, which is gone at the end; the next page
    removes that of a page that was killed.

    Args:
        explorer: The model.
        title: Title of the page.
        port: Port of 127.0.0.1; by default the first free one from 7860.
        open_browser: Whether to open it in the user's browser.
    """
    gr = require_gradio()
    from starlette.middleware import Middleware

    _remove_uploads()
    temporary = tempfile.TemporaryDirectory(prefix=_UPLOADS, ignore_cleanup_errors=True)
    with temporary as folder, folder_lock(folder):  # of mode 700
        os.environ['GRADIO_TEMP_DIR'] = folder
        page = _build_page(explorer, title, Path(folder))
        page.queue(default_concurrency_limit=1)
        try:
            page.launch(
                server_name='127.0.0.1',
                server_port=port,
                inbrowser=open_browser,
                share=False,
                max_file_size='32mb',
                theme=gr.themes.Default(font=['system-ui', 'sans-serif'], font_mono=['monospace']),
                css=_CSS,
                show_error=False,  # only our own, as gr.Error: others name paths
                quiet=True,
                footer_links=[],
                prevent_thread_lock=True,
                app_kwargs=dict(middleware=[Middleware(_OwnAddress)]),
            )
            with contextlib.suppress(KeyboardInterrupt):
                print(f'The page is at {page.local_url} (Ctrl-C ends it)', flush=True)
                threading.Event().wait()
        finally:
            page.close(verbose=False)


def _remove_uploads() -> None:
    """Remove the folders of this user's pages that were killed, whose locks are free."""
    for old in Path(tempfile.gettempdir()).glob(f'{_UPLOADS}*'):
        with contextlib.suppress(OSError, Refusal):
            status = old.lstat()
            if status.st_mode == stat.S_IFDIR | 0o700 and time.time() - status.st_mtime > 60:
                with folder_lock(old):  # within a minute of its begin it may not be locked yet
                    shutil.rmtree(old)


class _OwnAddress:
    """Refuse requests that other pages send, or that come by another name of this machine.

    A page of a stranger can have its own name resolve to 127.0.0.1 (DNS rebinding).

    Args:
        app: The ASGI application.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope['type'] != 'lifespan':
            from starlette.responses import PlainTextResponse

            hosts, origins = (
                [value for key, value in scope['headers'] if key == name]
                for name in (b'host', b'origin')
            )
            own = len(hosts) == 1 and re.fullmatch(rb'(127\.0\.0\.1|localhost)(:\d+)?', hosts[0])
            if not own or any(origin != b'http://' + hosts[0] for origin in origins):
                await PlainTextResponse('Not an address of this page', 403)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _build_page(explorer: Explorer, title: str, downloads: Path) -> Any:
    """The page as ``gradio.Blocks``; masks to download are written to a folder."""
    gr = require_gradio()

    def find_cams(photo: str | None, tags: Sequence[str]) -> tuple[PhotoCams, Any]:
        if photo is None or not tags:
            first = 'Tick what the photo shows' if photo else 'Give a photo first'
            raise gr.Error(f'{first}: the model finds ticked tags alone.', print_exception=False)
        try:
            pixels = read_image(photo)
        except (OSError, ValueError) as error:
            reason = html.escape(str(error).replace(f'image {photo}', 'The photo'))
            raise gr.Error(reason, print_exception=False) from error
        found = explorer.compute_cams(fit_within(pixels, LONGEST_SIDE), tags)
        return found, gr.Dropdown([_ALL, *found.tags], value=_ALL)

    def show_cams(seen: PhotoCams | None, tag: str) -> tuple[Any, Any]:
        if seen is None:
            return None, None
        one = tag if tag in seen.tags else None
        named = one or seen.tags[0]
        prompt = explorer.prompt_picture(seen.photo, named)
        return seen.picture(one), gr.Image(prompt, label=f'Background prompt of {named}')

    def show_mask(seen: PhotoCams | None, score: float, crf: bool) -> tuple[Any, str, str | None]:
        if seen is None:
            return None, '', None
        mask = seen.mask(score, crf)
        path = downloads / f'mask_{os.urandom(8).hex()}.png'
        write_mask(path, mask, explorer.palette)
        return overlay_mask(seen.photo, mask, explorer.palette), _legend(explorer, mask), str(path)

    def picture(label: str, name: str, **options: Any) -> Any:
        return gr.Image(label=label, elem_id=name, height=300, **options)

    shown: dict[str, Any] = dict(
        interactive=False, format='png', buttons=['download', 'fullscreen']
    )
    with gr.Blocks(title=title, analytics_enabled=False) as page:
        gr.HTML(f'<h1>{html.escape(title)}</h1><p>Upload a photo and tick what it shows.</p>')
        seen = gr.State()
        with gr.Row():
            with gr.Column(min_width=240):
                photo = picture('Photo', 'photo', sources=['upload', 'clipboard'])
                photo.preprocess = lambda given: given and given.path  # Gradio hides what is wrong
                names = list(explorer.classes)
                if len(names) > _MANY_CLASSES:
                    tags = gr.Dropdown(names, multiselect=True, label='Tags', value=[])
                else:
                    tags = gr.CheckboxGroup(names, label='Tags')
                find = gr.Button('Find', variant='primary')
                score = gr.Slider(
                    0,
                    1,
                    explorer.background_score,
                    step=0.01,
                    label='Background score',
                    info='Higher: smaller masks. It starts at the score of the run.',
                )
                there = importlib.util.find_spec('pydensecrf') is not None
                crf = gr.Checkbox(label='Refine by the dense CRF', visible=there)
            with gr.Column(min_width=240):
                mask = picture('Mask', 'mask', **shown)
                legend = gr.HTML()
                download = gr.DownloadButton('Download the mask (8-bit PNG of class ids)')
            with gr.Column(min_width=240):
                cams = picture('CAM', 'cam', **shown)
                prompt = picture('Background prompt', 'prompt', **shown)
                tag = gr.Dropdown([_ALL], value=_ALL, label='CAM and prompt of')
        masked = dict(fn=show_mask, inputs=[seen, score, crf], outputs=[mask, legend, download])
        pictures = dict(fn=show_cams, inputs=[seen, tag], outputs=[cams, prompt])
        found = find.click(find_cams, [photo, tags], [seen, tag])
        found.success(**masked).success(**pictures)
        old = [seen, mask, legend, download, cams, prompt]
        photo.change(lambda: [None] * len(old), None, old)
        tag.input(**pictures)
        score.change(**masked, trigger_mode='always_last')
        crf.input(**masked)
    return page


def _legend(explorer: Explorer, mask: np.ndarray) -> str:
    """Colours, names and shares of the classes of a mask, as HTML."""
    rows = ''
    for number, name in enumerate(explorer.classes, 1):
        if share := float((mask == number).mean()):
            rows += (
                '<li><span style="display:inline-block;width:1em;height:1em;'
                f'background:rgb{tuple(explorer.palette[number])}"></span> '
                f'{html.escape(name)} {share:.1%}</li>'
            )
    return f'<ul>{rows}</ul>' if rows else '<p>Only background.</p>'
