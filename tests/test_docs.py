"""README and all other pages: their commands, Python blocks, paths, links and messages."""

from __future__ import annotations

import argparse
import ast
import functools
import importlib
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import mmseg.registry as registry
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from run_tool import run_tool

from semples_mmseg.cli.launch import merge_options
from semples_mmseg.utils.configs import read_options

ROOT = Path(__file__).parents[1]
DOCS = ROOT / 'docs'
GLOBS = ('README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'docs/*.md', '[bp]*/**/*.md')
PAGES = sorted(page for glob in GLOBS for page in ROOT.glob(glob))
FENCE = re.compile(r'^```(\w*)\n(.*?)^```', re.M | re.S)
LINK = re.compile(r'\]\(([^)\s]+)\)')
CODE = re.compile(r'`([^`\n]+)`')
QUOTED_MESSAGE = re.compile(r'^\*\*`(.+?)`', re.M)
# Folders of the repository; other folders that pages name (data/, work_dirs/) are the reader's.
FOLDERS = ('.ci', 'benchmarks', 'configs', 'docs', 'projects', 'semples_mmseg', 'tests', 'tools')
SUFFIXES = ('.cff', '.md', '.py', '.sh', '.svg', '.toml')


def places(page, pattern):
    """Every match on a page with its place, ``file:line``."""
    text = page.read_text(encoding='utf-8')
    for match in pattern.finditer(text):
        yield f'{page.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}', match


def on_all_pages(pattern):
    return [found for page in PAGES for found in places(page, pattern)]


@functools.cache
def repository_files():
    command = ['git', 'ls-files', '--cached', '--others', '--exclude-standard']
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def commands():
    """Every command line of the pages' code blocks, as words."""
    for place, block in on_all_pages(FENCE):
        if block[1] in ('', 'bash', 'shell'):
            lines = re.sub(r'\\\n', ' ', block[2]).splitlines()
            for line in lines:
                for part in re.split(r' && | \| | ; ', line.split(' #')[0]):
                    # `[--option]` may be left out and `a|b` is a choice: the longest form is tested
                    words = as_words(re.sub(r'[\[\]]|\|[\w|]+', '', part))
                    if words:
                        yield place, words


def as_words(text):
    try:
        words = shlex.split(text, comments=True)
    except ValueError:  # a table or a message, no command
        return []
    while words and re.match(r'[A-Z_]+=', words[0]):
        words.pop(0)
    return words


def program_of(words):
    """Our tool, module or ``semples-mmseg`` that a command starts, and its arguments."""
    if words[0] == 'torchrun':
        words = words[next(i for i, word in enumerate(words) if word.endswith('.py')) :]
    elif words[0].startswith('tools/dist_'):
        # dist_train.sh CONFIG N ..., dist_test.sh CONFIG CHECKPOINT N ...
        tool, count = ('train', 2) if 'train' in words[0] else ('test', 3)
        words = [f'tools/{tool}.py', *words[1:count], *words[count + 1 :]]
    elif words[0] in ('python', 'python3'):
        words = words[2:] if words[1] == '-m' else words[1:]
    ours = ('benchmarks.', 'projects/', 'tests/', 'tools/')
    found = words and (words[0] == 'semples-mmseg' or words[0].startswith(ours))
    return (words[0], words[1:]) if found else None


class Parsed(BaseException):
    """Ends a program after it has read its command line."""


def parse(program, arguments):
    """Start a program and stop it once its command line is parsed.

    Raises:
        SystemExit: If the command line is refused.
    """
    original = argparse.ArgumentParser.parse_args

    def stop(self, *args, **kwargs):
        raise Parsed(original(self, *args, **kwargs))

    with (
        mock.patch.object(argparse.ArgumentParser, 'parse_args', stop),
        mock.patch.object(sys, 'argv', [program, *arguments]),
        mock.patch.object(sys, 'path', [str((ROOT / program).parent), *sys.path]),
    ):
        try:
            if program.endswith('.py'):
                runpy.run_path(str(ROOT / program), run_name='__main__')
            else:
                module = 'semples_mmseg.cli.main' if program == 'semples-mmseg' else program
                importlib.import_module(module).main()
        except Parsed as parsed:
            return parsed.args[0]
    return None


OURS = [
    pytest.param(*found, id=f'{place} {" ".join(words)[:40]}')
    for place, words in commands()
    if (found := program_of(words))
]


def test_commands_are_found():
    assert {'tools/train.py', 'tools/run_pipeline.py', 'semples-mmseg'} <= {
        found.values[0] for found in OURS
    }
    assert len(OURS) > 30


@pytest.mark.parametrize(('program', 'arguments'), OURS)
def test_commands_are_accepted(program, arguments, capsys):
    try:
        args = parse(program, arguments)
    except SystemExit as end:
        assert end.code == 0, f'{shlex.join(arguments)}\n{capsys.readouterr().err}'
        return
    assert args is not None, f'{program} does not parse its command line with argparse'
    configs = [word for word in arguments if word.startswith('configs/')]
    assert all((ROOT / word).exists() for word in configs), configs
    changes = getattr(args, 'cfg_options', None)
    if changes and str(args.config).startswith('configs/'):
        merge_options(Config.fromfile(ROOT / args.config), read_options(changes))


def test_python_commands_import_what_is_there():
    """The imports of ``python -c "..."``; what follows them may take long."""
    codes = [words[2] for _, words in commands() if words[:2] == ['python', '-c']]
    assert codes
    for code in codes:
        tree = ast.parse(code)
        tree.body = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
        exec(compile(tree, code, 'exec'), {})


def python_blocks(page):
    return [(place, block[2]) for place, block in places(page, FENCE) if block[1] == 'python']


EXAMPLES = [DOCS / 'api.md', DOCS / 'predicting.md']
OWN_PARTS = DOCS / 'extending.md'
# That of own_photos.md is run by tests/test_photos/test_fit.py, after a run of the commands.
SETTINGS = [
    pytest.param(code, id=place)
    for page in PAGES
    if page not in (*EXAMPLES, OWN_PARTS, DOCS / 'own_photos.md')
    for place, code in python_blocks(page)
]


@pytest.mark.parametrize('code', SETTINGS)
def test_blocks_of_settings_are_right(code):
    """They are executed, and the components that they name exist."""
    exec(code, {'__name__': 'docs'})
    registries = [getattr(registry, key) for key in dir(registry) if key.isupper()]
    for call in (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)):
        for keyword in call.keywords:
            if keyword.arg == 'type' and isinstance(keyword.value, ast.Constant):
                name = str(keyword.value.value)
                assert any(found.get(name) is not None for found in registries), name


@pytest.fixture
def demo_files(tmp_path, monkeypatch):
    """What the examples use: weights (random ones) at the places of the demo's, and photos."""
    importlib.import_module('semples_mmseg.demo')
    torch.manual_seed(0)
    for config, weights in (
        ('configs/semples/demo_refine.py', 'work_dirs/demo/semples/refine.pth'),
        ('configs/segmenter/segmenter_demo.py', 'work_dirs/demo/segmenter/weights.pth'),
    ):
        model = registry.MODELS.build(Config.fromfile(ROOT / config).model)
        file = tmp_path / weights
        file.parent.mkdir(parents=True)
        torch.save(dict(state_dict=model.state_dict(), meta={}), file)
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    (tmp_path / 'photos').mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    for name in ('photo1.jpg', 'meadow.png', 'lake.png'):
        Image.fromarray(pixels).save(tmp_path / 'photos' / name)
    (tmp_path / 'photos/list.txt').write_text('photo1\n')
    (tmp_path / 'photos/tags.json').write_text('{"photo1": ["cow", "car"]}')
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize('page', EXAMPLES, ids=lambda page: page.name)
def test_python_examples_run(page, demo_files):
    names: dict[str, Any] = {}
    for place, code in python_blocks(page):
        exec(compile(code, place, 'exec'), names)
    if page.name == 'predicting.md':
        assert names['mask'].shape == (64, 80) and names['cams'].shape == (1, 64, 80)
        assert names['result']['tags'] == ['cow'] and len(names['results']['predictions']) == 2
    else:
        assert Image.open('photos_masks/photo1.png').size == (80, 64)
        assert all(torch.isfinite(names[loss]) for loss in ('match', 'prompt', 'refine'))


def test_parts_of_ones_own_train(tmp_path, monkeypatch):
    """Each config of the page, with all parts of the page in one file, for an epoch a stage."""
    blocks = [code for _, code in python_blocks(OWN_PARTS)]
    parts, configs = (
        [code for code in blocks if code.startswith(f'# {name}.py\n')]
        for name in ('my_parts', 'my_config')
    )
    assert len(parts) + len(configs) == len(blocks) and len(configs) == 3
    (tmp_path / 'my_parts.py').write_text('\n'.join(parts))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv('DATA_ROOT', str(tmp_path / 'demo'))
    sets = ('train', 'val')
    small = [f'{of}_dataloader.dataset.num_{part}=4' for of in sets for part in sets]
    for number, code in enumerate(configs):
        (tmp_path / f'my_config{number}.py').write_text(code)
        count = len(Config.fromfile(f'my_config{number}.py').stages)
        changes = [
            f'stages.{k}.{key}' for k in range(count) for key in ('epochs=1', 'batch_size=2')
        ]
        run_tool('train.py', f'my_config{number}.py', '--cfg-options', *small, *changes)
    assert Path('work_dirs/my_config0/smaller.pth').is_file()
    assert Path('work_dirs/my_config1/refine.pth').is_file()
    adapted = torch.load('work_dirs/my_config2/match.pth', weights_only=True)['state_dict']
    assert not adapted['image_head.encoder.clip.adapter.weight'].equal(torch.eye(64))


def anchors(page):
    """Anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r'^#+ (.*)$', FENCE.sub('', page.read_text(encoding='utf-8')), re.M)
    plain = (re.sub(r'[^\w\- ]', '', heading.lower()) for heading in headings)
    return {re.sub(r'[ -]+', '-', text.strip()) for text in plain}


def test_links_lead_somewhere():
    wrong = []
    for page in [*PAGES, ROOT / 'CHANGELOG.md']:
        for place, match in places(page, LINK):
            path, _, anchor = match[1].partition('#')
            linked = (page.parent / path).resolve() if path else page
            if re.match(r'[a-z]+:', path) or (linked.suffix != '.md' and linked.exists()):
                continue
            if not linked.exists() or (anchor and anchor not in anchors(linked)):
                wrong.append(f'{place}: {match[1]}')
    assert not wrong, '\n'.join(wrong)


def expanded(text):
    """``a/{b,c}.py`` -> ``a/b.py``, ``a/c.py``."""
    match = re.search(r'\{([^{}]*,[^{}]*)\}', text)
    if match is None:
        return [text]
    start, end = text[: match.start()], text[match.end() :]
    return [path for part in match[1].split(',') for path in expanded(start + part + end)]


def test_paths_exist():
    files = repository_files()
    folders = {str(parent) for name in files for parent in Path(name).parents}
    named = [(place, path) for place, match in on_all_pages(CODE) for path in expanded(match[1])]
    named += [
        (place, word) for place, words in commands() if words[0] == 'pytest' for word in words
    ]
    wrong = []
    for place, path in named:
        if not re.fullmatch(r'[\w./-]+', path) or path.startswith(('/', '~')):
            continue
        if path.endswith(SUFFIXES):
            known = any(f'/{name}'.endswith(f'/{path}') for name in files)
        else:
            in_repository = path.split('/')[0] in FOLDERS and '/' in path
            known = not in_repository or path in files or path.strip('/') in folders
        if not known:
            wrong.append(f'{place}: {path}')
    assert not wrong, '\n'.join(wrong)


def test_quoted_messages_are_those_of_the_code():
    texts = []
    for path in (ROOT / 'semples_mmseg').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.JoinedStr):  # what it fills in matches `...`
                parts = (v.value if isinstance(v, ast.Constant) else '\0' for v in node.values)
                texts.append(''.join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    quoted = on_all_pages(QUOTED_MESSAGE)
    wrong = []
    for place, match in quoted:
        pattern = '.*'.join(re.escape(part) for part in match[1].split('...'))
        if not any(re.search(pattern, text, re.S) for text in texts):
            wrong.append(f'{place}: {match[1]}')
    assert quoted and not wrong, '\n'.join(wrong)


def test_imports_follow_the_table_of_the_architecture():
    page = (DOCS / 'architecture.md').read_text(encoding='utf-8')
    allowed: dict[str, set[str]] = {}
    for folder, may in re.findall(r'^\| `(\w+)/` \|.*\| ([^|]*)\|$', page, re.M):
        above = may.strip() == 'all of the above'
        allowed[folder] = set(allowed) if above else set(CODE.findall(may))
    package, wrong = ROOT / 'semples_mmseg', []
    assert {path.parent.name for path in package.glob('*/__init__.py')} == allowed.keys()
    for path in package.glob('*/**/*.py'):
        folder, *rest = path.relative_to(package).parts
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.ImportFrom) and node.level == len(rest) + 1 and node.module:
                imported = node.module.split('.')[0]
                if imported in allowed.keys() - allowed[folder]:
                    wrong.append(f'{path.relative_to(ROOT)}:{node.lineno}: {imported}')
    assert not wrong, '\n'.join(wrong)


def test_docstrings_are_markdown():
    """The site shows them as Markdown, where reStructuredText's roles would be plain text."""
    role = re.compile(r':(class|meth|func|mod|attr|data|math|exc):`')
    package = (ROOT / 'semples_mmseg').rglob('*.py')
    wrong = [found[0] for path in package for found in places(path, role)]
    assert not wrong, '\n'.join(wrong)
