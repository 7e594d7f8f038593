"""On which line of a TOML text each key stands, so that an error can point at it.

`tomllib` gives values without places. This walks over a text that `tomllib` has already accepted, so it
needs to know just enough of TOML to tell keys from values, and never has to complain.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping

from callctl.config.settings import KeyPath

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRINGS = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^\s,\]}#]+(?: [0-9][^\s,\]}#]*)?")
"""A number, truth value or date; a date and its time may have one space between them."""


def key_lines(text: str) -> Mapping[KeyPath, int]:
    """Return the line of each key and table of `text`, which must be valid TOML; the first line is 1."""
    walk = _Walk(text)
    walk.document()
    return walk.lines


class _Walk:
    """One walk over one text; `at` is how far it has come."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self._lengths: dict[KeyPath, int] = {}
        self._line_starts = [0, *(newline.end() for newline in re.finditer("\n", text))]

    def document(self) -> None:
        table: KeyPath = ()
        while self._skip(_BLANK) < len(self.text):
            if self.text.startswith("[[", self.at):
                table = self._element(self._header("[[", "]]"))
            elif self.text[self.at] == "[":
                table = self._inside(self._header("[", "]"))
            else:
                self._pair(table)

    def _header(self, opening: str, closing: str) -> KeyPath:
        self.at += len(opening)
        keys = self._keys()
        self.at += len(closing)
        return keys

    def _element(self, keys: KeyPath) -> KeyPath:
        """Return the path of the next element of a list of tables."""
        path = (*self._inside(keys[:-1]), keys[-1])
        index = self._lengths.get(path, 0)
        self._lengths[path] = index + 1
        self._note(path)
        self._note((*path, index))
        return (*path, index)

    def _inside(self, keys: KeyPath) -> KeyPath:
        """Return the path of a table, which lies in the last element of any list of tables on the way."""
        path: KeyPath = ()
        for key in keys:
            path = (*path, key)
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
            self._note(path)
        return path

    def _pair(self, table: KeyPath) -> None:
        start = self.at
        keys = self._keys()
        path = table
        for key in keys:
            path = (*path, key)
            self._note(path, start)
        self.at += 1  # the "="
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        character = self.text[self.at]
        if character == "[":
            self.at += 1
            index = 0
            while self._after_blank() != "]":
                self._note((*path, index))
                self._value((*path, index))
                index += 1
                self._comma()
            self.at += 1
        elif character == "{":
            self.at += 1
            while self._after_blank() != "}":
                self._pair(path)
                self._comma()
            self.at += 1
        else:
            self._skip(_STRINGS if character in "\"'" else _SCALAR)

    def _keys(self) -> KeyPath:
        """Read a dotted key, with the spaces around it."""
        keys: list[str] = []
        while True:
            self._skip(_SPACE)
            start = self.at
            if self.text[start] in "\"'":
                quoted = self.text[start : self._skip(_STRINGS)]
                keys.append(_unquoted(quoted))
            else:
                keys.append(self.text[start : self._skip(_BARE)])
            self._skip(_SPACE)
            if self.text[self.at] != ".":
                return tuple(keys)
            self.at += 1

    def _comma(self) -> None:
        if self._after_blank() == ",":
            self.at += 1

    def _after_blank(self) -> str:
        return self.text[self._skip(_BLANK)]

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
        return self.at

    def _note(self, path: KeyPath, at: int | None = None) -> None:
        place = self.at if at is None else at
        self.lines.setdefault(path, bisect_right(self._line_starts, place))


def _unquoted(quoted: str) -> str:
    return next(iter(tomllib.loads(f"{quoted} = 0")))
