"""Find vertex classes and their fields in a codelet, from its preprocessed source (so macros and #if are settled).

What this reader does not understand is an error with file and line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from codelet_tokens import OPEN, CodeletError, Token, closing, closing_angle, join, preprocess, tokenize

BASES = {"Vertex", "MultiVertex"}
UNSUPPORTED_BASES = {"SupervisorVertex", "ExternalExchangeVertex", "MultiVertexIf", "SupervisorVertexIf"}
#: Statements of a class body that declare no field.
NOT_FIELDS = {"using", "typedef", "friend", "static", "static_assert", "template", "class", "struct", "enum", "union",
              "constexpr", "operator", "explicit", "virtual"}  # fmt: skip


@dataclass
class VertexClass:
    """A class that derives from poplar::Vertex or poplar::MultiVertex."""

    name: str  # with its namespaces
    template: bool
    token: Token
    fields: list[str] = field(default_factory=list)


class Reader:
    """One walk over the namespaces of a codelet's tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.classes: dict[str, VertexClass] = {}
        self.instances: list[tuple[str, str, Token]] = []  # class, arguments, where

    def read(self) -> None:
        """Find all vertex classes, and check that each template is instantiated."""
        self._scope(0, len(self.tokens), "")
        for name, _, token in self.instances:
            if name not in self.classes and not any(known.endswith(f"::{name}") for known in self.classes):
                continue  # an instantiation of some other template
            if not self._class(name).template:
                raise token.error(f"'{name}' is not a template, and needs no instantiation")
        for known in self.classes.values():
            if known.template and not any(self.is_named(name, known) for name, _, _ in self.instances):
                raise known.token.error(
                    f"vertex template '{known.name}' is never instantiated: add 'template class {known.name}<...>;'"
                )

    def is_named(self, name: str, known: VertexClass) -> bool:
        """Return whether an instantiation's name means this class."""
        return known.name == name or known.name.endswith(f"::{name}")

    def _class(self, name: str) -> VertexClass:
        return next(known for known in self.classes.values() if self.is_named(name, known))

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
    """Return the names of the non-static data members of a class body, in order."""
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
    """Return whether there are parentheses outside of template arguments and initialisers."""
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
    """Return the names that a data member declaration declares; none for any other declaration."""
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


def read(compiler: str, source: Path, includes: list[str], definitions: list[str]) -> Reader:
    """Return the vertex classes of a codelet; there is at least one."""
    reader = Reader(tokenize(preprocess(compiler, source, includes, definitions)))
    reader.read()
    if not reader.classes:
        raise CodeletError(f"{source}:1: no class derives from poplar::Vertex or poplar::MultiVertex")
    return reader
