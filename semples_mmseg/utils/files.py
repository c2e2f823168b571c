"""Reading text, lists, strict JSON and XML; every error names the file."""

import hashlib
import json
import os
import re
from collections import Counter
from typing import Any
from xml.etree import ElementTree

from .errors import Refusal


def file_digest(*paths: str | os.PathLike) -> str:
    """SHA-256 of the content of files, one after another, in hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, 'rb') as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def read_bytes(path: str | os.PathLike, kind: str = 'file') -> bytes:
    """Read a file; ``kind`` says in messages what it should be."""
    if os.path.exists(path) and not os.path.isfile(path):  # opening a pipe blocks
        raise Refusal(f'{kind} {path} is a folder, a pipe or a device, not a file')
    with open(path, 'rb') as file:
        return file.read()


def read_text(path: str | os.PathLike, kind: str = 'file') -> str:
    """Read a UTF-8 text, with or without byte order mark; see ``read_bytes``."""
    content = read_bytes(path, kind)
    try:
        return content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise Refusal(f'{kind} {path} is not a text in UTF-8 ({error}); save it as such') from None


def read_lines(path: str | os.PathLike, kind: str = 'file') -> list[str]:
    """The lines, ended by CR or LF only, that are not blank, without spaces around them."""
    text = read_text(path, kind)
    return [line.strip() for line in re.split(r'[\r\n]', text) if line.strip()]


def read_json(path: str | os.PathLike, kind: str = 'file') -> Any:
    """Read strict JSON: a repeated key (Python keeps the last), NaN and infinity are errors."""
    return parse_json(read_text(path, kind), f'{kind} {path}')


def parse_json(text: str, where: str) -> Any:
    """Parse strict JSON, as ``read_json``; ``where`` says in errors what the text is."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(f'{where} is not a JSON text file: {error}') from None


def read_xml(path: str | os.PathLike, kind: str = 'file') -> ElementTree.Element:
    """Read the root of an XML file; document types and entities are refused."""
    return parse_xml(read_text(path, kind), f'{kind} {path}')


def parse_xml(text: str, where: str) -> ElementTree.Element:
    """Parse XML as ``read_xml``; ``where`` says in errors what the text is."""
    try:
        # Label tools declare no entities; refusing them rules out expansion attacks.
        if '<!DOCTYPE' in text or '<!ENTITY' in text:
            raise Refusal('it declares a document type or entities')
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise Refusal(f'{where} is not an XML file that can be read: {error}') from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = Counter(key for key, _ in pairs)
        raise Refusal(f'the key {keys.most_common(1)[0][0]!r} is repeated')
    return found


def _constant(name: str) -> None:
    raise Refusal(f'{name} is not a number')
