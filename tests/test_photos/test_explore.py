"""``semples-mmseg explore``: its answers, and its page in a browser where there is one."""

import http.client
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request

import numpy as np
import pytest
from PIL import Image

from semples_mmseg.photos.explorer import Explorer, fit_within
from semples_mmseg.photos.run import Run
from semples_mmseg.photos.web_page import _remove_uploads

HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1] + '/.lock', timeout=0):
    print('held', flush=True)
    sys.stdin.read()
"""
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')


def test_an_unfinished_run_says_so(explored, tmp_path):
    shutil.copytree(explored.folder, tmp_path / 'run')
    (tmp_path / 'run/semples/refine.pth').unlink()
    with pytest.raises(FileNotFoundError, match='the run is not finished'):
        Explorer(Run(tmp_path / 'run'))


def test_answers(explored):
    explorer = Explorer(explored)
    assert explorer.classes == ('cup', 'key') and explorer.background_score == 0.4
    photo = np.asarray(Image.open(explored.folder.parent / 'photos/cup/1.png'))
    look = explorer.compute_cams(photo, ['key'])
    assert look.tags == ('key',) and look.classes == (1,) and look.cams.shape == (1, 48, 64)
    areas = [int((look.mask(score) == 2).sum()) for score in (0.0, 0.5, 1.0)]
    assert areas[0] > areas[1] > areas[2] == 0
    mask = look.mask(0.3)
    assert set(np.unique(mask)) <= {0, 2}
    both = explorer.compute_cams(photo, ['key', 'cup'])
    assert both.picture('cup').shape == photo.shape
    prompt = explorer.prompt_picture(photo, 'cup')
    assert prompt.shape == photo.shape and prompt.std() > 0


def test_the_crf_keeps_to_the_tags(explored):
    pytest.importorskip('pydensecrf.densecrf')
    explorer = Explorer(explored)
    photo = np.asarray(Image.open(explored.folder.parent / 'photos/cup/1.png'))
    mask = explorer.compute_cams(photo, ['key']).mask(0.3, crf=True)
    assert mask.dtype == np.uint8 and set(np.unique(mask)) <= {0, 2}


def test_a_photo_above_the_limit_of_the_run_gets_a_mask_of_its_own_size(explored):
    explorer = Explorer(explored)  # CAMs are computed at 96 pixels
    photo = np.zeros((150, 200, 3), np.uint8)
    look = explorer.compute_cams(photo, ['key', 'cup'])
    assert look.cams.shape == (2, 150, 200)
    assert look.mask(0.3).shape == photo.shape[:2]
    assert fit_within(photo, 100).shape == (75, 100, 3) and fit_within(photo, 999) is photo


@pytest.fixture
def address(explored, tmp_path):
    """The page of a process, which ends cleanly by Ctrl-C and leaves no uploads."""
    pytest.importorskip('gradio')
    temporary = tmp_path / 'temporary'
    temporary.mkdir()
    words = ['-m', 'semples_mmseg', 'explore', str(explored.folder), '--no-browser']
    process = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {'TMPDIR': str(temporary)},
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if found := re.search(r'The page is at (http://127\.0\.0\.1:\d+/)', line):
            break
    else:
        pytest.fail(''.join(lines))
    yield found[1]
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0 and 'KeyboardInterrupt' not in rest, rest
    assert not any(temporary.rglob('semples-explore-*'))


def test_uploads_of_a_killed_page_are_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    (tmp_path / 'mine').mkdir(mode=0o700)
    for name in ('killed', 'running', 'begins', 'public'):
        folder = tmp_path / f'semples-explore-{name}'
        folder.mkdir(mode=0o755 if name == 'public' else 0o700)
        (folder / 'photo.png').touch()
        if name != 'begins':
            os.utime(folder, (0, 0))
    (tmp_path / 'semples-explore-link').symlink_to(tmp_path / 'mine')
    running = tmp_path / 'semples-explore-running'
    words, pipe = [sys.executable, '-c', HOLD, str(running)], subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe) as process:
        assert process.stdout.readline() == b'held\n'
        os.utime(running, (0, 0))
        _remove_uploads()
        process.stdin.close()
    left = sorted(path.name.removeprefix('semples-explore-') for path in tmp_path.iterdir())
    assert left == ['begins', 'link', 'mine', 'public', 'running']
    assert not any((tmp_path / 'mine').iterdir())


def test_only_the_own_page_may_ask_and_upload(address, tmp_path):
    port = int(address.rstrip('/').rpartition(':')[2])
    own, other = f'127.0.0.1:{port}', f'evil.example:{port}'

    def ask(method, path, body=None, **headers):
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
        connection.request(method, f'/gradio_api/{path}', body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    for host in (other, 'evil.example', '127.0.0.1.evil.example', ''):
        assert ask('GET', 'info', Host=host)[0] == 403
    body = '--X\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nx\r\n--X--'
    form = {'Content-Type': 'multipart/form-data; boundary=X'}
    for foreign in (f'http://{other}', 'null', f'https://{own}', 'http://127.0.0.1:1'):
        assert ask('POST', 'upload', body, Origin=foreign, **form)[0] == 403
        assert ask('GET', 'info', Origin=foreign)[0] == 403
    status, text = ask('POST', 'upload', body, Origin=f'http://{own}', **form)
    assert status == 200
    (uploads,) = (tmp_path / 'temporary').glob('semples-explore-*')
    (file,) = json.loads(text)
    assert file.startswith(f'{uploads}/') and uploads.stat().st_mode & 0o777 == 0o700
    for path in ('/etc/passwd', file):  # neither is a photo
        given = dict(path=path, meta={'_type': 'gradio.FileData'})
        call = json.dumps(dict(data=[given, ['key']], fn_index=0, session_hash='s'))
        assert ask('POST', 'queue/join', call, **{'Content-Type': 'application/json'})[0] == 200
        answer = ask('GET', 'queue/data?session_hash=s')[1]
        assert '"success":false' in answer.replace(' ', '')
        assert path not in answer and str(tmp_path) not in answer


def test_page_in_a_browser(address, explored, tmp_path):
    api = pytest.importorskip('playwright.sync_api')
    if CHROMIUM is None:
        pytest.skip('no chromium')
    with urllib.request.urlopen(address) as answer:
        page_text = answer.read().decode()
    assert str(explored.folder) not in page_text
    with api.sync_playwright() as playwright:
        flags = ['--no-sandbox', '--disable-gpu', '--disable-background-networking']
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page(viewport=dict(width=1400, height=1000))
        foreign = []
        page.on('request', lambda request: foreign.append(request.url))
        page.goto(address)
        photo = explored.folder.parent / 'photos/cup/1.png'
        page.locator('input[type=file]').first.set_input_files(str(photo))
        page.get_by_label('key', exact=True).check()
        page.get_by_role('button', name='Find', exact=True).click()
        page.locator('#mask img').wait_for(timeout=60_000)
        page.locator('#prompt img').wait_for(timeout=60_000)
        page.get_by_text('Background prompt of key').wait_for()
        # a photo of 64 pixels fills its frame
        assert page.locator('#mask img').bounding_box()['width'] > 200
        first = page.locator('#mask img').get_attribute('src')
        before = read_picture(page, first)
        page.get_by_label('number input for Background score').fill('0.05')
        page.get_by_label('number input for Background score').press('Enter')
        page.wait_for_function(
            'src => document.querySelector("#mask img").getAttribute("src") !== src', arg=first
        )
        after = read_picture(page, page.locator('#mask img').get_attribute('src'))
        assert before.shape == after.shape == (48, 64, 3) and (before != after).any()
        page.screenshot(path=tmp_path / 'page.png', full_page=True)
        with page.expect_download() as download:
            page.get_by_role('button', name='Download the mask').click()
        label = np.asarray(Image.open(download.value.path()))
        assert label.shape == (48, 64) and set(np.unique(label)) <= {0, 2} and label.any()
        page.get_by_label('Remove Image').or_(page.get_by_label('Clear')).first.click()
        page.locator('#mask img').wait_for(state='detached')  # nor the CAM of the old photo
        assert not page.locator('#cam img').count() and not page.locator('#prompt img').count()
        page.get_by_role('button', name='Find', exact=True).click()
        page.get_by_text('Give a photo first').wait_for()
        (tmp_path / 'half.png').write_bytes(photo.read_bytes()[:-99])
        page.locator('input[type=file]').first.set_input_files(tmp_path / 'half.png')
        page.locator('#photo img').wait_for(state='attached')
        page.get_by_role('button', name='Find', exact=True).click()
        page.get_by_text('The photo cannot be read').wait_for()
        browser.close()
    assert all(url.startswith((address, 'data:', 'blob:')) for url in foreign), foreign


def read_picture(page, source):
    """The pixels that the browser shows."""
    return np.asarray(Image.open(io.BytesIO(page.request.get(source).body())).convert('RGB'))
