"""What many operations of the OpenAPI document say alike is said once, under `components`, and referred to."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from app.web.schemas import Out

Node = dict[str, Any]
_METHODS = ("get", "put", "post", "patch", "delete")
_OF_PROBLEMS = {"4XX": "Refused", "5XX": "Failed"}


def operations(document: Node) -> Iterator[Node]:
    for path in document["paths"].values():
        yield from (path[method] for method in _METHODS if method in path)


def fields(schemas: Node) -> Iterator[tuple[str, str, Node]]:
    """Every field of a body: the schema's name, its own, and what it is."""
    for schema, node in schemas.items():
        for part in (node, *node.get("allOf", ())):
            for name, field in part.get("properties", {}).items():
                yield schema, name, field


def answers_by_base(base: type[Out] = Out) -> Iterator[tuple[str, type[Out]]]:
    """The answers that are made of another one, which comes after them."""
    for kind in base.__subclasses__():
        yield from answers_by_base(kind)
        if base is not Out:
            yield kind.__name__, base


def share(document: Node, bases: Mapping[str, str]) -> None:
    """`bases`: which schema is made of which; the one that is made of another comes first."""
    for name, base in bases.items():
        _tell_by_base(document["components"]["schemas"], name, base)
    _share_parameters(document)
    _share_responses(document)


def _tell_by_base(schemas: dict[str, Node], name: str, base: str) -> None:
    """A schema as its base and what it adds."""
    own, of_base = schemas[name], schemas[base]
    fields, needed = of_base["properties"], of_base["required"]
    added: Node = {
        "type": own.pop("type"),
        "properties": {each: field for each, field in own.pop("properties").items() if fields.get(each) != field},
    }
    if required := [each for each in own.pop("required") if each not in needed]:
        added["required"] = required
    own["allOf"] = [{"$ref": f"#/components/schemas/{base}"}, added]


def _share_parameters(document: Node) -> None:
    """A parameter has one form nearly everywhere: that one is shared, and what differs stays where it is."""
    places = [parameters for each in operations(document) if (parameters := each.get("parameters"))]
    found = [parameter for parameters in places for parameter in parameters]
    several = Counter(name for name, _ in {(parameter["name"], parameter["in"]) for parameter in found})
    shared = _Shared(document, "parameters")
    for parameter in found:
        name = "".join(word[:1].upper() + word[1:] for word in parameter["name"].replace("-", "_").split("_"))
        shared.add(name if several[parameter["name"]] == 1 else f"{name}In{parameter['in'].capitalize()}", parameter)
    for parameters in places:
        parameters[:] = map(shared.referred, parameters)


def _share_responses(document: Node) -> None:
    places = [operation["responses"] for operation in operations(document)]
    shared = _Shared(document, "responses")
    for responses in places:
        for status, response in responses.items():
            if name := _OF_PROBLEMS.get(status) or _answered(response):
                shared.add(name, response)
    for responses in places:
        responses |= {status: shared.referred(response) for status, response in responses.items()}


def _answered(response: Node) -> str | None:
    """A name for an answer of one schema, or of none at all."""
    content = response.get("content", {})
    if not content:
        return "".join(word.strip(".").capitalize() for word in response["description"].split())
    ref = content.get("application/json", {}).get("schema", {}).get("$ref", "") if len(content) == 1 else ""
    return ref.rpartition("/")[2] or None


class _Shared:
    """Nodes of one kind: of each name the form that is most frequent, where it is there more than once."""

    def __init__(self, document: Node, kind: str) -> None:
        self._document, self._kind = document, kind
        self._forms: dict[str, Counter[str]] = {}
        self._names: dict[str, str] = {}

    def add(self, name: str, node: Node) -> None:
        form = json.dumps(node)
        self._forms.setdefault(name, Counter())[form] += 1
        self._names[form] = name

    def referred(self, node: Node) -> Node:
        form = json.dumps(node)
        name = self._names.get(form)
        if name is None or self._forms[name].most_common(1)[0][0] != form or self._forms[name][form] == 1:
            return node
        self._document["components"].setdefault(self._kind, {})[name] = node
        return {"$ref": f"#/components/{self._kind}/{name}"}
