"""README, CONTRIBUTING and docs: their commands, Python blocks, paths and links."""

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
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import mmseg.registry as registry
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from semples_mmseg.cli.options import merge_options
from semples_mmseg.utils.config_options import read_options

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *(ROOT / 'docs').glob('**/*.md')])
FENCE = re.compile(r'^```(\w*)\n(.*?)^```', re.M | re.S)
LINK = re.compile(r'\]\(([^)\s]+)\)')
CODE = re.compile(r'`([^`\n]+)`')
# Folders of the repository; other folders that pages name (data/, work_dirs/) are the reader's.
FOLDERS = ('.ci', 'benchmarks', 'configs', 'docs', 'projects', 'semples_mmseg', 'tests', 'tools')
SUFFIXES = ('.cff', '.md', '.py', '.sh', '.svg', '.toml')


def lines_of(page: Path, pattern: re.Pattern) -> Iterator[tuple[str, re.Match]]:
    """Every match on a page with its place, ``file:line``."""
    text = page.read_text(encoding='utf-8')
    for match in pattern.finditer(text):
        yield f'{page.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}', match


def all_pages(pattern: re.Pattern) -> list[tuple[str, re.Match]]:
    return [found for page in PAGES for found in lines_of(page, pattern)]


@functools.cache
def repository_files() -> list[str]:
    listed = subprocess.run(
        ['git', 'ls-files', '--cached', '--others', '--exclude-standard'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def commands() -> list[tuple[str, list[str]]]:
    """Every command line of the pages' code blocks, as words."""
    found = []
    for place, block in all_pages(FENCE):
        if block[1] not in ('', 'bash', 'shell'):
            continue
        page, line = place.rsplit(':', 1)
        joined, start = '', int(line) + 1
        for number, text in enumerate(block[2].splitlines(), start):
            if not joined:
                start = number
            joined += text
            if joined.endswith('\\'):
                joined = joined[:-1]
                continue
            for part in re.split(r' && | \| | ; ', joined.split(' #')[0]):
                # `[--option]` may be left out and `a|b` is a choice: the longest form is tested
                part = re.sub(r'[\[\]]', '', re.sub(r'\|[\w|]+', '', part))
                words = _words(part)
                if words:
                    found.append((f'{page}:{start}', words))
            joined = ''
    return found


def _words(text: str) -> list[str]:
    try:
        words = shlex.split(text, comments=True)
    except ValueError:  # a table or a message, no command
        return []
    while words and (re.match(r'[A-Z_]+=', words[0]) or words[0] in ('nice', 'srun')):
        words.pop(0)
    return words


def program_of(words: list[str]) -> tuple[str, list[str]] | None:
    """The tool, module or ``semples-mmseg`` that a command starts, and its arguments."""
    if words[0] == 'torchrun':
        index = next((i for i, word in enumerate(words) if word.endswith('.py')), None)
        return None if index is None else (words[index], words[index + 1 :])
    if words[0].startswith('tools/') and words[0].endswith('.sh'):
        # dist_train.sh CONFIG N ..., dist_test.sh CONFIG CHECKPOINT N ...,
        # slurm_*.sh PARTITION JOB CONFIG ...
        name = 'test.py' if 'test' in words[0] else 'train.py'
        if 'slurm' in words[0]:
            return f'tools/{name}', words[3:]
        count = 2 if 'test' in words[0] else 1
        return f'tools/{name}', words[1 : 1 + count] + words[2 + count :]
    if words[0] in ('python', 'python3') and len(words) > 1:
        if words[1] == '-m':
            return words[2], words[3:]
        return words[1], words[2:]
    if words[0] == 'semples-mmseg':
        return 'semples-mmseg', words[1:]
    return None


class Parsed(BaseException):
    """Ends a program after it has read its command line."""


def parse(program: str, arguments: list[str]) -> argparse.Namespace | None:
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
    ):
        try:
            _start(program)
        except Parsed as parsed:
            return parsed.args[0]
    return None


def _start(program: str) -> None:
    if program == 'semples-mmseg':
        entry = re.search(
            r'^semples-mmseg = "(.+):(.+)"', (ROOT / 'pyproject.toml').read_text(), re.M
        )
        assert entry, 'pyproject.toml has no command semples-mmseg'
        getattr(importlib.import_module(entry[1]), entry[2])()
    elif program.endswith('.py'):
        with mock.patch.object(sys, 'path', [str((ROOT / program).parent), *sys.path]):
            runpy.run_path(str(ROOT / program), run_name='__main__')
    else:
        importlib.import_module(program).main()


def is_ours(program: str) -> bool:
    return program == 'semples-mmseg' or program.startswith(
        ('benchmarks.', 'projects/', 'tests/', 'tools/')
    )


OURS = [
    pytest.param(*found, id=place)
    for place, words in commands()
    if (found := program_of(words)) and is_ours(found[0])
]


def test_commands_are_found():
    assert len(OURS) > 30
    assert {'tools/train.py', 'tools/test.py', 'tools/run_pipeline.py'} <= {
        p.values[0] for p in OURS
    }


@pytest.mark.parametrize(('program', 'arguments'), OURS)
def test_commands_are_accepted(program, arguments, capsys):
    arguments = [word for word in arguments if word != '...']
    try:
        args = parse(program, arguments)
    except SystemExit as end:
        assert end.code == 0, f'{shlex.join(arguments)}\n{capsys.readouterr().err}'
        return
    assert args is not None, f'{program} does not parse its command line with argparse'
    missing = [
        word for word in arguments if word.startswith('configs/') and not (ROOT / word).exists()
    ]
    assert not missing, f'no such config: {missing}'
    changes = getattr(args, 'cfg_options', None)
    config = getattr(args, 'config', None)
    if changes and config and config.startswith('configs/'):
        merge_options(Config.fromfile(ROOT / config), read_options(changes))


@functools.cache
def config_at(path: str) -> Config:
    return Config.fromfile(ROOT / path)


@pytest.mark.parametrize(
    ('words'),
    [pytest.param(words, id=place) for place, words in commands() if words[0] == 'pytest'],
)
def test_tests_that_are_named_exist(words):
    paths = [word for word in words[1:] if word.startswith('tests/')]
    assert all((ROOT / path).exists() for path in paths), paths


def python_blocks(page: Path) -> list[tuple[str, str]]:
    return [(place, block[2]) for place, block in lines_of(page, FENCE) if block[1] == 'python']


EXAMPLES = [ROOT / 'docs' / name for name in ('api.md', 'mmseg_tools.md')]
# Run by tests/test_own_photos/test_fit.py after a run of the commands.
OWN_PHOTOS = ROOT / 'docs' / 'own_photos.md'
SETTINGS = [
    pytest.param(code, id=place)
    for page in PAGES
    if page not in (*EXAMPLES, OWN_PHOTOS)
    for place, code in python_blocks(page)
]


@pytest.mark.parametrize('code', SETTINGS)
def test_blocks_of_settings_are_right(code):
    """They are executed, and the components that they name exist."""
    tree = ast.parse(code)
    exec(code, {'__name__': 'docs'})
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    for call in calls:
        for keyword in call.keywords:
            if keyword.arg == 'type' and isinstance(keyword.value, ast.Constant):
                assert is_registered(str(keyword.value.value)), (
                    f'no component {keyword.value.value}'
                )


@pytest.fixture
def demo_files(tmp_path, monkeypatch):
    """What the examples use: weights (random ones) at the places of the demo's, and photos."""
    importlib.import_module('semples_mmseg.demo')
    torch.manual_seed(0)
    for config, weights in (
        ('configs/semples/demo_refine.py', 'work_dirs/demo/semples/refine.pth'),
        ('configs/segmenter/segmenter_demo.py', 'work_dirs/demo/segmenter/epoch_10.pth'),
    ):
        model = registry.MODELS.build(config_at(config).model)
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
    assert names['mask'].shape == (64, 80) and set(np.unique(names['mask'])) <= {0, 5}
    if page.name == 'api.md':
        assert Image.open('photos_masks/photo1.png').size == (80, 64)
        assert all(torch.isfinite(names[loss]) for loss in ('match', 'prompt', 'refine'))


def is_registered(name: str) -> bool:
    registries = (getattr(registry, key) for key in dir(registry) if key.isupper())
    return any(found.get(name) is not None for found in registries)


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r'^#+ (.*)$', FENCE.sub('', page.read_text(encoding='utf-8')), re.M)
    plain = (re.sub(r'[^\w\- ]', '', heading.lower()) for heading in headings)
    return {re.sub(r'[ -]+', '-', text.strip()) for text in plain}


def test_links_lead_somewhere():
    wrong = []
    for place, match in all_pages(LINK):
        target = match[1]
        if re.match(r'[a-z]+:', target):
            continue
        page = ROOT / place.rsplit(':', 1)[0]
        path, _, anchor = target.partition('#')
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            wrong.append(f'{place}: {target}')
    assert not wrong, '\n'.join(wrong)


def expanded(text: str) -> list[str]:
    """``a/{b,c}.py`` -> ``a/b.py``, ``a/c.py``."""
    match = re.search(r'\{([^{}]*,[^{}]*)\}', text)
    if match is None:
        return [text]
    parts = match[1].split(',')
    return [
        path for p in parts for path in expanded(text[: match.start()] + p + text[match.end() :])
    ]


def test_paths_in_backticks_exist():
    files = repository_files()
    folders = {str(parent) for name in files for parent in Path(name).parents}
    wrong = []
    for place, match in all_pages(CODE):
        for path in expanded(match[1]):
            if not re.fullmatch(r'[\w./-]+', path) or path.startswith(('/', '~')):
                continue
            named = path.split('/')[0] in FOLDERS and '/' in path
            known = path in files or path.strip('/') in folders
            if path.endswith(SUFFIXES):
                named, known = True, any(f'/{name}'.endswith(f'/{path}') for name in files)
            if named and not known:
                wrong.append(f'{place}: {path}')
    assert not wrong, '\n'.join(wrong)


MESSAGES = re.compile(r'^### `(.+)`$', re.M)
MESSAGES_OF_A_TABLE = re.compile(r'^\| `(.+?)` \| ', re.M)


@functools.cache
def texts_of_package() -> list[str]:
    """All string constants of the package; what an f-string fills in is a NUL."""
    texts = []
    for path in (ROOT / 'semples_mmseg').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.JoinedStr):
                parts = (v.value if isinstance(v, ast.Constant) else '\0' for v in node.values)
                texts.append(''.join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


def test_messages_of_faq_and_own_photos_are_those_of_the_code():
    wrong = []
    named = [
        *lines_of(ROOT / 'docs' / 'faq.md', MESSAGES),
        *lines_of(OWN_PHOTOS, MESSAGES_OF_A_TABLE),
    ]
    for place, match in named:
        parts = (re.escape(part) for part in match[1].split('...'))
        pattern = re.compile('.*'.join(parts), re.S)
        if not any(pattern.search(text) for text in texts_of_package()):
            wrong.append(f'{place}: {match[1]}')
    assert not wrong, '\n'.join(wrong)


def allowed_imports() -> dict[str, set[str]]:
    """The table of folders in docs/architecture.md."""
    page = (ROOT / 'docs' / 'architecture.md').read_text(encoding='utf-8')
    allowed: dict[str, set[str]] = {}
    for folder, may in re.findall(r'^\| `(\w+)/` \|.*\| ([^|]*)\|$', page, re.M):
        above = set(allowed)
        allowed[folder] = above if may.strip() == 'all of the above' else set(CODE.findall(may))
    return allowed


def test_imports_follow_the_table_of_the_architecture():
    allowed, wrong = allowed_imports(), []
    package = ROOT / 'semples_mmseg'
    folders = {path.parent.name for path in package.glob('*/__init__.py')}
    assert folders == allowed.keys()
    for path in package.glob('*/**/*.py'):
        folder, *rest = path.relative_to(package).parts
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.ImportFrom) and node.level == len(rest) + 1 and node.module:
                imported = node.module.split('.')[0]
                if imported in folders and imported not in allowed[folder]:
                    wrong.append(f'{path.relative_to(ROOT)}:{node.lineno}: {imported}')
    assert not wrong, '\n'.join(wrong)


def test_docstrings_are_markdown():
    """The site shows them as Markdown, where reStructuredText's roles would be plain text."""
    role = re.compile(r':(class|meth|func|mod|attr|data|math|exc):`')
    package = (ROOT / 'semples_mmseg').rglob('*.py')
    wrong = [found[0] for path in package for found in lines_of(path, role)]
    assert not wrong, '\n'.join(wrong)
