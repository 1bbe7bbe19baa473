"""What would break a client that was generated from the last released contract. `python -m tests.contract.breaking`
compares `openapi.json` with `released.json`, which a release copies (`make release`). The known tools for this are not
Python and not JavaScript, and these rules fit on a page.

Breaking: an operation, parameter, field, media type, status or word is gone or has another name; an input that was
refused nothing is now required, or taken within narrower bounds; an answer may lack what was always there, or be of
another type or format; a default, a tag (a module of the Python client), a server or the way to say who calls is
another; an operation asks for another scope. Not breaking: an input that takes more, be it a word beside a form
(`none` where an id was asked for). Not breaking, but printed: a new word where answers have an enum. The words of
a desk grow (channels, kinds of events), and a /v2 for each would be worse than a client that is generated anew; see
docs/clients.md. An answer that was one word always (`const`) or of a form (a UUID) is closed: any other word in its
place breaks. Another name of a schema is told, too."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.document import at, plain

Node = dict[str, Any]
RELEASED = Path(__file__).with_name("released.json")
_METHODS = ("get", "put", "post", "patch", "delete")
_UPPER = ("maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum")
_LOWER = ("minLength", "minItems", "minProperties", "minimum", "exclusiveMinimum")
_FORM = ("pattern", "format", "uniqueItems", "multipleOf", "readOnly", "allOf", "not", "propertyNames")
# What generated code goes by, either way: any change of it is another type, or something else that is done.
_SAME_SENT, _SAME_ANSWERED = ("default",), ("format",)
_SAME_QUERY = ("style", "explode", "allowReserved")


@dataclass(frozen=True, slots=True)
class Change:
    where: str
    what: str
    breaking: bool = True

    def __str__(self) -> str:
        return f"{'breaks' if self.breaking else 'new   '}  {self.where}: {self.what}"


def compare(old: Node, new: Node) -> list[Change]:
    """Every difference that a client of `old` would notice, once each."""
    return list(dict.fromkeys(_Comparison(plain(old), plain(new)).operations()))


@dataclass
class _Comparison:
    old: Node
    new: Node
    _seen: set[tuple[str, str, bool]] = field(default_factory=set)

    def operations(self) -> Iterator[Change]:
        yield from self._document()
        for path, item in self.old["paths"].items():
            for method in _METHODS:
                if method in item:
                    where = f"{method.upper()} {path}"
                    after = self.new["paths"].get(path, {}).get(method)
                    yield from self._operation(where, item[method], after) if after else [Change(where, "is gone")]

    def _document(self) -> Iterator[Change]:
        for url in _urls(self.old) - _urls(self.new):
            yield Change("servers", f"{url} is gone")
        for name in _schemes(self.old) - _schemes(self.new):
            yield Change("security", f"{name} is gone")

    def _operation(self, where: str, old: Node, new: Node) -> Iterator[Change]:
        if old.get("tags") != new.get("tags"):
            yield Change(where, f"tags are {new.get('tags')} and were {old.get('tags')}")
        if old["operationId"] != new["operationId"]:
            yield Change(where, f"{old['operationId']} is now called {new['operationId']}")
        for scope in sorted(_scopes(new) - _scopes(old)):
            yield Change(where, f"now needs {scope}")
        yield from self._parameters(where, old, new)
        yield from self._body(f"{where} body", old.get("requestBody"), new.get("requestBody"))
        for status, answer in old["responses"].items():
            if status not in new["responses"]:
                yield Change(where, f"no longer answers {status}")
            else:
                after = new["responses"][status]
                yield from self._answer(f"{where} {status}", at(self.old, answer), at(self.new, after))

    def _parameters(self, where: str, old: Node, new: Node) -> Iterator[Change]:
        before, after = self._named(self.old, old), self._named(self.new, new)
        for (place, name), parameter in before.items():
            if (place, name) not in after:
                yield Change(where, f"{place} parameter {name} is gone")
                continue
            changed = after[place, name]
            if changed.get("required") and not parameter.get("required"):
                yield Change(where, f"{place} parameter {name} is now required")
            yield from _other(f"{where} {name}", parameter, changed, _SAME_QUERY)
            yield from self.schemas(f"{where} {name}", parameter["schema"], changed["schema"], sent=True)
        for place, name in after.keys() - before.keys():
            if after[place, name].get("required"):
                yield Change(where, f"{place} parameter {name} is new and required")

    def _named(self, document: Node, operation: Node) -> dict[tuple[str, str], Node]:
        found = [at(document, each) for each in operation.get("parameters", ())]
        # The names of headers are blind to case.
        return {(each["in"], each["name"].lower() if each["in"] == "header" else each["name"]): each for each in found}

    def _body(self, where: str, old: Node | None, new: Node | None) -> Iterator[Change]:
        if new and new.get("required") and not (old or {}).get("required"):
            yield Change(where, "is now required")
        if old and not new:
            yield Change(where, "is gone")
        elif old and new:
            yield from self._content(where, old, new, sent=True)

    def _answer(self, where: str, old: Node, new: Node) -> Iterator[Change]:
        for name in old.get("headers", {}).keys() - new.get("headers", {}).keys():
            yield Change(where, f"header {name} is gone")
        yield from self._content(where, old, new, sent=False)

    def _content(self, where: str, old: Node, new: Node, *, sent: bool) -> Iterator[Change]:
        for media, content in old.get("content", {}).items():
            if media not in new.get("content", {}):
                yield Change(where, f"{media} is gone")
            else:
                yield from self.schemas(where, content.get("schema", {}), new["content"][media].get("schema", {}), sent)

    def schemas(self, where: str, old: Node, new: Node, sent: bool) -> Iterator[Change]:
        """`sent` by callers: what was taken must be taken still. Else it is an answer: what comes must be known."""
        here = (json.dumps(old, sort_keys=True), json.dumps(new, sort_keys=True), sent)
        if here in self._seen:
            return
        self._seen.add(here)
        # The wire has no such names: only code that is written against a client generated anew sees another one.
        if (a := old.get("$ref")) and (b := new.get("$ref")) and a != b:
            yield Change(where, f"{_last(a)} is now called {_last(b)}", breaking=False)
        old_at, new_at = at(self.old, old), at(self.new, new)
        yield from _told_apart(where, old_at.get("discriminator"), new_at.get("discriminator"))
        before, after = self._variants(self.old, old), self._variants(self.new, new)
        # Whoever gets a value must know what to do with it: the service with a caller's, a client with an answer's.
        given, known = (before, after) if sent else (after, before)
        for kind in given:
            if kind not in known and not (kind == "integer" and "number" in known) and "" not in known:
                yield Change(where, f"{kind or 'anything'} is {'no longer taken' if sent else 'a new type of answer'}")
        for kind in before.keys() & after.keys():
            yield from self._alike(where, before[kind], after[kind], sent)

    def _variants(self, document: Node, schema: Node) -> dict[str, Node]:
        """The schemas that a value may have, by what tells them apart: a type, or the names of several objects."""
        schema = at(document, schema)
        if parts := schema.get("anyOf") or schema.get("oneOf"):
            several = [(part.get("$ref", ""), self._variants(document, part)) for part in parts]
            objects = sum("object" in variants for _, variants in several)
            kinds: dict[str, list[Node]] = {}
            for ref, variants in several:
                for kind, variant in variants.items():
                    kinds.setdefault(_last(ref) if kind == "object" and objects > 1 else kind, []).append(variant)
            return {kind: _either(found) for kind, found in kinds.items()}
        types = schema.get("type", "")
        if isinstance(types, list):
            return {kind: {"type": kind} if kind == "null" else {**schema, "type": kind} for kind in types}
        return {types: schema}

    def _alike(self, where: str, old: Node, new: Node, sent: bool) -> Iterator[Change]:
        yield from _words(where, old, new, sent)
        yield from _other(where, old, new, _SAME_SENT if sent else _SAME_ANSWERED)
        if sent:
            yield from _narrower(where, old, new)
        yield from self._fields(where, old, new, sent)
        for inner in ("items", "additionalProperties"):
            if isinstance(old.get(inner), dict) and isinstance(new.get(inner), dict):
                yield from self.schemas(f"{where}[]", old[inner], new[inner], sent)

    def _fields(self, where: str, old: Node, new: Node, sent: bool) -> Iterator[Change]:
        before, after = old.get("properties", {}), new.get("properties", {})
        always, needed = set(old.get("required", ())), set(new.get("required", ()))
        for name in before:
            if name not in after:
                yield Change(f"{where}.{name}", "is gone")
            else:
                yield from self.schemas(f"{where}.{name}", before[name], after[name], sent)
        if sent:
            for name in sorted(needed - always):
                yield Change(f"{where}.{name}", "is now required")
            if old.get("additionalProperties", True) and new.get("additionalProperties", True) is False:
                yield Change(where, "takes no other fields any more")
        else:
            for name in sorted((always - needed) & after.keys()):
                yield Change(f"{where}.{name}", "is no longer always there")


def _told_apart(where: str, old: Node | None, new: Node | None) -> Iterator[Change]:
    """More kinds are as new words: not breaking. Another field, or another kind by the same word, is."""
    if old is None:
        return
    if new is None or new["propertyName"] != old["propertyName"]:
        yield Change(where, f"discriminator is {new and new['propertyName']} and was {old['propertyName']}")
        return
    after = new.get("mapping", {})
    for word, kind in old.get("mapping", {}).items():
        if word not in after:
            yield Change(where, f"{word} is gone")
        elif after[word] != kind:
            yield Change(where, f"{word} is {_last(after[word])} and was {_last(kind)}")


def _last(ref: str) -> str:
    return ref.rpartition("/")[2]


def _urls(document: Node) -> set[str]:
    return {server["url"] for server in document.get("servers", ())}


def _schemes(document: Node) -> set[str]:
    return set(document["components"].get("securitySchemes", ()))


def _other(where: str, old: Node, new: Node, names: Iterable[str]) -> Iterator[Change]:
    for name in names:
        if old.get(name) != new.get(name):
            yield Change(where, f"{name} is {new.get(name)} and was {old.get(name)}")


def _scopes(operation: Node) -> set[str]:
    return {scope for entry in operation.get("security", ()) for names in entry.values() for scope in names}


def _either(schemas: list[Node]) -> Node:
    """What a value of one type must be that fits any of these: what all of them ask, and the `words` beside it."""
    free = [schema for schema in schemas if _words_of(schema) is None]
    words = [word for schema in schemas for word in _words_of(schema) or schema.get("words", ())]
    if len(schemas) == 1:
        return schemas[0]
    if not free:
        return {"type": schemas[0].get("type"), "enum": words}
    shared = {name: value for name, value in free[0].items() if all(each.get(name) == value for each in free)}
    return {**shared, "words": words} if words else shared


def _words_of(schema: Node) -> list[Any] | None:
    """The only ones that it takes, if it takes only certain ones."""
    return schema.get("enum", [schema["const"]] if "const" in schema else None)


def _takes_any(schema: Node) -> bool:
    return _words_of(schema) is None and not schema.get("format") and not schema.get("pattern")


def _words(where: str, old: Node, new: Node, sent: bool) -> Iterator[Change]:
    before, after = _words_of(old), _words_of(new)
    if before is None and after is not None and sent:
        yield Change(where, "takes only certain words now")
    if before is not None and after is None and not sent:
        yield Change(where, "may be any word now")
    known, given = [each if each is not None else node.get("words", []) for each, node in ((before, old), (after, new))]
    if sent or (before is not None and after is not None):
        for word in [word for word in known if word not in given and not (sent and _takes_any(new))]:
            yield Change(where, f"{word} is gone")
    if not sent and not (before is not None and after is None):
        for word in [word for word in given if word not in known and not _takes_any(old)]:
            # A client may rest on a constant, and on a form: it was told of no other word.
            yield Change(where, f"{word} may come", breaking="const" in old or before is None)


def _narrower(where: str, old: Node, new: Node) -> Iterator[Change]:
    for name in _UPPER:
        if name in new and (name not in old or new[name] < old[name]):
            yield Change(where, f"{name} is {new[name]} and was {old.get(name, 'none')}")
    for name in _LOWER:
        if name in new and (name not in old or new[name] > old[name]):
            yield Change(where, f"{name} is {new[name]} and was {old.get(name, 'none')}")
    for name in _FORM:
        if new.get(name) and new[name] != old.get(name):
            yield Change(where, f"{name} is {new[name]} and was {old.get(name, 'none')}")


def main() -> int:
    changes = compare(json.loads(RELEASED.read_text()), json.loads(Path("openapi.json").read_text()))
    for change in changes:
        print(change)
    breaking = sum(change.breaking for change in changes)
    print(f"against the released contract: {breaking} breaking changes")
    return 1 if breaking else 0


if __name__ == "__main__":
    sys.exit(main())
