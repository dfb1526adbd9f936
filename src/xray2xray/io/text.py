"""JSON and YAML from outside: bounded in size, plain values only."""

import json
from pathlib import Path
from typing import Any

import yaml

from ..core.errors import InputError, reading
from ..core.limits import MAX_TEXT_BYTES


def read_json(path: str | Path, what: str = "cannot be read as JSON", remedy: str = "copy it again") -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        InputError: it is missing, too large, no JSON or no object; `what` is wrong then, and `remedy` what to do.
    """
    with reading(path, what, remedy):
        return _mapping(json.loads(read_text(path)))


def read_yaml(path: str | Path, what: str = "cannot be read as YAML", remedy: str = "copy it again") -> dict[str, Any]:
    """The mapping in a YAML file without aliases: they let a short text stand for terabytes.

    Raises:
        InputError: as `read_json`.
    """
    with reading(path, what, remedy):
        text = read_text(path)
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ValueError("it has aliases (*name); write out what they stand for")
        return _mapping(yaml.safe_load(text))


def read_text(path: str | Path) -> str:
    """The text of a file of at most MAX_TEXT_BYTES.

    Raises:
        InputError: it is larger.
    """
    with Path(path).open("rb") as file:
        data = file.read(MAX_TEXT_BYTES + 1)
    if len(data) > MAX_TEXT_BYTES:
        raise InputError(f"{path}: more than {MAX_TEXT_BYTES // 2**20} MiB; it is no file of settings")
    return data.decode("utf-8-sig")


def _mapping(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ValueError("no settings by name in it")
    return content
