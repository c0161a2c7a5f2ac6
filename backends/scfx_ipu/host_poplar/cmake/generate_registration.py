"""Write the translation unit that registers a codelet's vertex classes with the host's Poplar.

Graphcore's popc finds vertex classes and fields in the compiler; here the names come from the preprocessed source
(so macros and #if are settled) and everything else (kind, element type, place) from C++ itself, in the generated unit:
`host_poplar::field<decltype(X::y)>`. What this reader does not understand is an error with file and line.

    generate_registration.py --compiler g++ --output rys_registration.cpp --include include codelets/rys.cpp
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass, field
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
BASES = {"Vertex", "MultiVertex"}
UNSUPPORTED_BASES = {"SupervisorVertex", "ExternalExchangeVertex", "MultiVertexIf", "SupervisorVertexIf"}
#: Statements of a class body that declare no field.
NOT_FIELDS = {"using", "typedef", "friend", "static", "static_assert", "template", "class", "struct", "enum", "union",
              "constexpr", "operator", "explicit", "virtual"}  # fmt: skip
OPEN, CLOSE = {"(": ")", "[": "]", "{": "}", "[[": "]]"}, {")", "]", "}", "]]"}


class CodeletError(Exception):
    """A codelet that cannot be registered; the text starts with file:line."""


@dataclass(frozen=True)
class Token:
    text: str
    file: str
    line: int

    def error(self, message: str) -> CodeletError:
        return CodeletError(f"{self.file}:{self.line}: {message}")


@dataclass
class VertexClass:
    """A class that derives from poplar::Vertex or poplar::MultiVertex."""

    name: str  # with its namespaces
    template: bool
    token: Token
    fields: list[str] = field(default_factory=list)


def preprocess(compiler: str, source: Path, includes: list[str], definitions: list[str]) -> str:
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
    """Tokens of the codelet's own files: what system headers and poplar/ bring has no vertex of ours."""
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
    """Index of the bracket that closes the one at `start`."""
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
    """Index of the '>' that closes the '<' at `start`."""
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


class Reader:
    """One walk over the namespaces of a codelet's tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.classes: dict[str, VertexClass] = {}
        self.instances: list[tuple[str, str, Token]] = []  # class, arguments, where

    def read(self) -> None:
        self._scope(0, len(self.tokens), "")
        for name, _, token in self.instances:
            if name not in self.classes and not any(known.endswith(f"::{name}") for known in self.classes):
                continue  # an instantiation of some other template
            if not self._class(name).template:
                raise token.error(f"'{name}' is not a template, and needs no instantiation")
        for known in self.classes.values():
            if known.template and not any(self._is(name, known) for name, _, _ in self.instances):
                raise known.token.error(
                    f"vertex template '{known.name}' is never instantiated: add 'template class {known.name}<...>;'"
                )

    def _is(self, name: str, known: VertexClass) -> bool:
        return known.name == name or known.name.endswith(f"::{name}")

    def _class(self, name: str) -> VertexClass:
        return next(known for known in self.classes.values() if self._is(name, known))

    def _scope(self, i: int, end: int, prefix: str) -> None:
        """Declarations between i and end, inside namespace `prefix`."""
        template = False
        while i < end:
            text = self.tokens[i].text
            if text == "namespace":
                i = self._namespace(i, prefix)
            elif text == "template" and i + 1 < end and self.tokens[i + 1].text == "<":
                i, template = closing_angle(self.tokens, i + 1) + 1, True
                continue
            elif text == "template":
                i = self._instantiation(i, prefix)
            elif text in ("class", "struct") and i + 1 < end:
                i = self._class_head(i, prefix, template)
            elif text in OPEN:
                i = closing(self.tokens, i) + 1
            else:
                i += 1
                if text != ";":
                    continue
            template = False

    def _namespace(self, i: int, prefix: str) -> int:
        names = []
        i += 1
        while self.tokens[i].text not in ("{", ";", "="):
            if self.tokens[i].text not in ("::", "inline"):
                names.append(self.tokens[i].text)
            i += 1
        if self.tokens[i].text != "{":
            return i
        last = closing(self.tokens, i)
        if not names:  # members of an unnamed namespace are named from outside as if it were not there
            names = [prefix.removesuffix("::")] if prefix else []
            prefix = ""
        self._scope(
            i + 1, last, "".join(f"{n}::" for n in ([prefix.removesuffix("::")] if prefix else []) + names)
        )
        return last + 1

    def _instantiation(self, i: int, prefix: str) -> int:
        start = self.tokens[i]
        i += 1
        if self.tokens[i].text not in ("class", "struct"):
            return i
        name = ""
        i += 1
        while self.tokens[i].text not in ("<", ";", "{"):
            name += self.tokens[i].text
            i += 1
        if self.tokens[i].text != "<":
            return i
        last = closing_angle(self.tokens, i)
        self.instances.append((prefix + name.removeprefix("::"), join(self.tokens[i + 1 : last]), start))
        return last + 1

    def _class_head(self, i: int, prefix: str, template: bool) -> int:
        """A class: registered if it is a vertex, stepped over if not."""
        keyword = self.tokens[i].text
        i += 1
        while self.tokens[i].text == "[[":
            i = closing(self.tokens, i) + 1
        token = self.tokens[i]
        name = token.text
        if not re.match(r"[A-Za-z_]", name):
            return i
        i += 1
        if self.tokens[i].text == "final":
            i += 1
        if self.tokens[i].text == "<" and template:
            i = closing_angle(self.tokens, i) + 1  # a partial specialisation
        if self.tokens[i].text not in (":", "{"):
            return i
        head = i
        while self.tokens[i].text != "{":
            i += 1
        bases = [t.text for t in self.tokens[head:i]]
        last = closing(self.tokens, i)
        self._require_known_base(bases, token)
        if BASES & set(bases):
            vertex = VertexClass(prefix + name, template, token)
            vertex.fields = list(fields(self.tokens[i + 1 : last], name, public=keyword == "struct"))
            self.classes[vertex.name] = vertex
        return last + 1

    def _require_known_base(self, bases: list[str], token: Token) -> None:
        if bad := UNSUPPORTED_BASES & set(bases):
            raise token.error(
                f"'{token.text}' derives from {bad.pop()}; the host runs Vertex and MultiVertex only"
            )
        known = {name.rpartition("::")[2] for name in self.classes}
        if indirect := known & set(bases):
            raise token.error(
                f"'{token.text}' derives from the vertex class '{indirect.pop()}'; derive it from "
                "poplar::Vertex or poplar::MultiVertex itself"
            )


def fields(body: list[Token], name: str, public: bool) -> list[str]:
    """Names of the non-static data members of a class body, in order."""
    found: list[str] = []
    statement: list[Token] = []
    i = 0
    while i < len(body):
        token = body[i]
        if not statement and token.text in ("public", "private", "protected") and body[i + 1].text == ":":
            public = token.text == "public"
            i += 2
            continue
        if token.text == "[[":  # attributes, such as poplar::constraint
            i = closing(body, i) + 1
            continue
        if token.text in OPEN:
            last = closing(body, i)
            statement += body[i : last + 1]
            i = last + 1
            # The body of a function ends its statement without a semicolon.
            if token.text == "{" and is_function(statement):
                statement = []
            continue
        i += 1
        if token.text != ";":
            statement.append(token)
            continue
        for member in members(statement, name):
            if not public:
                raise member.error(f"field '{member.text}' of vertex '{name}' is private: make it public")
            found.append(member.text)
        statement = []
    return found


def is_function(statement: list[Token]) -> bool:
    """There are parentheses outside of template arguments and initialisers."""
    i = 0
    while i < len(statement):
        text = statement[i].text
        if text == "(":
            return True
        if text in ("=", "{"):
            return False
        if text == "<" and i:
            i = closing_angle(statement, i)
        i += 1
    return False


def members(statement: list[Token], name: str) -> list[Token]:
    """The names that a data member declaration declares; none for any other declaration."""
    if not statement or statement[0].text in NOT_FIELDS or is_function(statement):
        return []
    if any(t.text in ("static", "constexpr", "operator") for t in statement):
        return []
    declarators: list[list[Token]] = [[]]  # without what stands inside of brackets
    i = 0
    while i < len(statement):
        text = statement[i].text
        if text == ",":
            declarators.append([])
        else:
            declarators[-1].append(statement[i])
        if text == "<":
            i = closing_angle(statement, i)
        elif text in OPEN:
            i = closing(statement, i)
        i += 1
    found = []
    for declarator in declarators:
        texts = [t.text for t in declarator]
        if not declarator:
            raise statement[0].error(f"vertex '{name}': an empty declaration")
        if "=" in texts or "{" in texts:
            raise declarator[0].error(
                f"vertex '{name}': a field has a default value, but vertices are laid out without a constructor; "
                "give it with Graph::setInitialValue"
            )
        if "[" in texts or "*" in texts or "&" in texts:
            raise declarator[0].error(
                f"vertex '{name}': a field is an array, a pointer or a reference; use poplar::Vector, Input, "
                "Output or InOut"
            )
        found.append(declarator[-1])
    return found


def join(tokens: list[Token]) -> str:
    """Template arguments as poputil::templateVertex writes them: no blanks but between words."""
    out = ""
    for token in tokens:
        word = re.match(r"\w", token.text)
        out += (" " if word and out and re.search(r"\w$", out) else "") + token.text
    return out


def generate(source: Path, reader: Reader) -> str:
    stem = source.name.partition(".")[0]
    vertices: list[tuple[str, VertexClass]] = []
    for known in reader.classes.values():
        if known.template:
            vertices += [
                (f"{known.name}<{a}>", known) for n, a, _ in reader.instances if reader._is(n, known)
            ]
        else:
            vertices.append((known.name, known))
    lines = [
        f"// Generated from {source.name}; do not edit.",
        "// The codelet's own unnamed namespaces are local to this unit, as they are under popc.",
        "#if defined(__GNUC__) && !defined(__clang__)",
        '#pragma GCC diagnostic ignored "-Wsubobject-linkage"',
        "#endif",
        f'#include "{source}"',
        "",
        "#include <cstddef>",
        "",
        '#include "host_poplar/Registry.hpp"',
        "",
        "// offsetof in a class with an empty base is fine on every compiler this builds with.",
        '#pragma GCC diagnostic ignored "-Winvalid-offsetof"',
        "",
    ]
    for k, (name, _) in enumerate(vertices):
        lines.append(f"using host_poplar_vertex_{stem}_{k} = ::{name};")
        lines.append(f"static bool host_poplar_compute_{stem}_{k}(void *object, unsigned worker) {{")
        lines.append(f"  return host_poplar::call_compute<host_poplar_vertex_{stem}_{k}>(object, worker);")
        lines.append("}")
    lines.append("")
    lines.append(f'static const host_poplar::RegisterCodelets host_poplar_registration("{stem}", {{')
    for k, (name, known) in enumerate(vertices):
        alias = f"host_poplar_vertex_{stem}_{k}"
        lines.append(f'    host_poplar::vertex<{alias}>("{name}", host_poplar_compute_{stem}_{k}, {{')
        lines += [
            f'        host_poplar::field<decltype({alias}::{f})>("{f}", offsetof({alias}, {f})),'
            for f in known.fields
        ]
        lines.append("    }),")
    lines.append("});")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="register a codelet's vertex classes with the host's Poplar")
    parser.add_argument("source", type=Path)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--include", action="append", default=[])
    parser.add_argument("--define", action="append", default=[], help="a compiler flag such as -DX=1")
    options = parser.parse_args()
    try:
        reader = Reader(
            tokenize(preprocess(options.compiler, options.source, options.include, options.define))
        )
        reader.read()
        if not reader.classes:
            raise CodeletError(
                f"{options.source}:1: no class derives from poplar::Vertex or poplar::MultiVertex"
            )
        options.output.write_text(generate(options.source.resolve(), reader))
    except CodeletError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
