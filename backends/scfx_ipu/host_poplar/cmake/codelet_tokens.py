"""The tokens of a codelet, after the preprocessor and with their file and line; brackets that belong together."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

TOKEN = re.compile(
    r"""R"(?P<delimiter>[^()\\ ]*)\(.*?\)(?P=delimiter)"      # raw string
      | "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*'                 # string, character
      | [A-Za-z_]\w* | \.?\d(?:[\w.']|[eEpP][+-])*            # name, number
      | :: | \[\[ | \]\] | ->\*? | << | [-+*/%&|^!=<>]=  | .  # punctuation; >> stays two tokens, for templates
    """,
    re.VERBOSE | re.DOTALL,
)
LINE_MARKER = re.compile(r'^#\s*(?:line\s+)?(\d+)\s+"((?:[^"\\]|\\.)*)"([\d ]*)')
OPEN, CLOSE = {"(": ")", "[": "]", "{": "}", "[[": "]]"}, {")", "]", "}", "]]"}


class CodeletError(Exception):
    """A codelet that cannot be registered; the text starts with file:line."""


@dataclass(frozen=True)
class Token:
    """One token of a codelet's source, with its place."""

    text: str
    file: str
    line: int

    def error(self, message: str) -> CodeletError:
        """Return an error with the token's place."""
        return CodeletError(f"{self.file}:{self.line}: {message}")


def preprocess(compiler: str, source: Path, includes: list[str], definitions: list[str]) -> str:
    """Return the source after the preprocessor."""
    command = [
        compiler,
        "-E",
        "-std=c++17",
        "-x",
        "c++",
        *(f"-I{i}" for i in includes),
        *definitions,
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise CodeletError(f"{source}:1: the preprocessor failed:\n{done.stderr}")
    return done.stdout


def tokenize(text: str) -> list[Token]:
    """Return tokens of the codelet's own files: what system headers and poplar/ bring has no vertex of ours."""
    tokens: list[Token] = []
    file, line, foreign = "", 1, False
    for row in text.split("\n"):
        if marker := LINE_MARKER.match(row):
            line, file = int(marker[1]), marker[2]
            foreign = "3" in marker[3].split() or "/poplar/" in file or file.startswith("<")
            continue
        if not foreign and not row.lstrip().startswith("#"):
            tokens += [Token(t[0], file, line) for t in TOKEN.finditer(row) if not t[0].isspace()]
        line += 1
    return tokens


def closing(tokens: list[Token], start: int) -> int:
    """Return the index of the bracket that closes the one at `start`."""
    stack = []
    for i in range(start, len(tokens)):
        text = tokens[i].text
        if text in OPEN:
            stack.append(OPEN[text])
        elif text in CLOSE:
            # ]] also closes two single brackets, as in a[b[0]].
            if text == "]]" and stack[-1] == "]":
                stack.pop()
            if not stack or stack[-1] != text[: len(stack[-1])]:
                raise tokens[i].error(f"unbalanced '{text}'")
            stack.pop()
            if not stack:
                return i
    raise tokens[start].error(f"'{tokens[start].text}' is never closed")


def closing_angle(tokens: list[Token], start: int) -> int:
    """Return the index of the '>' that closes the '<' at `start`."""
    depth, i = 0, start
    while i < len(tokens):
        text = tokens[i].text
        if text in OPEN:
            i = closing(tokens, i)
        elif text == "<":
            depth += 1
        elif text == ">":
            depth -= 1
            if depth == 0:
                return i
        elif text == ";":
            break
        i += 1
    raise tokens[start].error("'<' is never closed")


def join(tokens: list[Token]) -> str:
    """Join template arguments as poputil::templateVertex writes them: no blanks but between words."""
    out = ""
    for token in tokens:
        word = re.match(r"\w", token.text)
        out += (" " if word and out and re.search(r"\w$", out) else "") + token.text
    return out
