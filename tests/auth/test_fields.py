"""Who may set and who sees which field, as `matrix.toml` says it."""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import httpx
import pytest

from tests.auth.asking import operations, outcomes
from tests.auth.crawl import Answers, read_everything
from tests.auth.fields import FOR_CUSTOMERS, GROUPS, OWN_SEES, SEES, SETS, STAFF, TOLD, Contract, Place
from tests.auth.full import Full
from tests.auth.matrix import BESIDE, NOUNS, PUBLIC, ROWS, MatrixRow, Whose
from tests.auth.samples import along, echoed, sample, with_field
from tests.conftest import Databases, openapi
from tests.support.streams import feed_of, listening, serving
from tests.support.world import World, a_world

Figure = Callable[[str, int], None]
CONTRACT = Contract(openapi())
OPERATIONS = {operation.id: operation for operation in operations(openapi())}
PLACES = [place for id_ in sorted(FOR_CUSTOMERS) for place in CONTRACT.taken(id_)]
SHOWN = {schema for id_ in FOR_CUSTOMERS for schema in CONTRACT.answered(id_)}
_NOTHING: list[Any] = [None, False, [], {}, ""]
QUERIES: list[dict[str, str]] = [
    {},
    {"limit": "0"},
    {"limit": "1"},
    {"include": "clocks,messages,customer"},
    {"include": "clocks,last_message,customer"},
    {"include": "assignee,team"},
    {"count": "estimate"},
]


@pytest.fixture(scope="module")
async def full(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Full]:
    async with a_world(databases, tmp_path_factory.mktemp("full")) as world:
        yield await Full.of(world)


@pytest.fixture(scope="module")
async def read(full: Full) -> dict[str, Answers]:
    """What a customer and an agent are answered who read everything."""
    found = {}
    for caller in ("customer", "admin"):
        http = await full.world.caller(caller, "")
        found[caller] = await read_everything(http, OPERATIONS.values(), full.values, QUERIES)
        for id_, method, path, body in full.writes:
            path = path.replace("{fresh}", (await full.opened())["id"])
            found[caller][id_] = [await http.request(method, path, json=body)]
        found[caller]["stream_events"] = await _streamed(full, http)
    # The administrator is no agent; what the staff are told of themselves is told to one.
    # How long they worked they say themselves.
    said = {"body": "So.", "handling_seconds": 1}
    ticket = await full.opened()
    found["admin"]["create_message"] = [await full.world.admin.post(f"/v1/tickets/{ticket['id']}/messages", json=said)]
    found["admin"]["get_me"].append(await (await full.world.caller("agent", "")).get("/v1/me"))
    return found


async def _streamed(full: Full, http: httpx.AsyncClient) -> list[httpx.Response]:
    """The stream from the beginning of the log on: each event as an answer."""
    key = http.headers["authorization"].removeprefix("Bearer ")
    async with serving(full.world.app) as port, listening(port, "?after=1.0.0", key) as stream:
        events = await stream.read(len(await feed_of(http)))
    return [httpx.Response(200, json=event) for event in events]


def test_every_field_that_a_customer_may_send_has_a_line_and_every_line_a_field() -> None:
    expected = {place.schema: place.fields for place in PLACES}
    assert {name: _named(lines) for name, lines in SETS.items()} == {name: set(f) for name, f in expected.items()}


def test_every_field_that_a_customer_is_answered_with_has_a_line_and_every_line_a_field() -> None:
    assert {name: _named(lines) for name, lines in SEES.items()} == {name: set(CONTRACT.fields(name)) for name in SHOWN}


def test_no_field_has_two_lines() -> None:
    for section in (SETS, SEES, TOLD):
        for name, lines in section.items():
            words = [word for each in lines.values() for word in each]
            assert len(words) == len(set(words)), name
    assert {group for lines in SETS.values() for group in lines} <= set(GROUPS)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.operation}-{place.schema}")
async def test_a_field_is_set_by_those_who_may(world: World, place: Place, figure: Figure) -> None:
    wrong, cells = {}, 0
    for group, words in SETS[place.schema].items():
        for word in words:
            row = MatrixRow(place.operation, "", _own(place.operation), _expected(GROUPS[group]))
            got, answers = await outcomes(world, row, OPERATIONS[place.operation], **_sending(world, place, word))
            lost = [caller for caller, answer in answers.items() if got[caller] == "ok" and not echoed(answer, word)]
            if got != row.expected or lost:
                wrong[word] = {caller: got[caller] for caller in got if got[caller] != row.expected[caller]}, lost
            cells += len(got)
    assert wrong == {}
    figure("matrix cells", cells)


async def test_a_customer_sees_no_field_that_is_the_staffs(read: dict[str, Answers], figure: Figure) -> None:
    seen = [*_fields(read["customer"])]
    told = {(schema, name) for schema, name, value in seen if value not in _NOTHING}
    assert told - {(schema, name) for schema, lines in SEES.items() for name in lines["customer"]} == set()
    figure("matrix cells", sum(len(CONTRACT.fields(schema)) for schema in SHOWN) * (1 + len(STAFF)))


@pytest.mark.parametrize("caller", ["customer", "admin"])
async def test_whoever_may_see_a_field_sees_it_with_a_value(read: dict[str, Answers], caller: str) -> None:
    """Or the test above would look at nothing."""
    operations = FOR_CUSTOMERS if caller == "customer" else set(OPERATIONS)
    line = "customer" if caller == "customer" else "staff"
    empty: list[Any] = [None, [], {}, ""]
    seen = {(schema, name) for schema, name, value in _fields(read[caller], operations) if value not in empty}
    granted = {(schema, name) for schema, each in OWN_SEES.items() for name in each.get(line, ())}
    assert granted - seen == set()


async def test_each_operation_had_something_of_the_staffs_to_keep_from_customers(read: dict[str, Answers]) -> None:
    """A field is withheld by each operation anew."""
    hollow = set()
    for id_ in FOR_CUSTOMERS:
        staffs = {(schema, name) for schema in CONTRACT.answered(id_) for name in SEES[schema].get("staff", ())}
        seen = {(schema, name) for schema, name, value in _fields(read["admin"], [id_]) if value not in _NOTHING}
        if staffs and not staffs & seen:
            hollow.add(id_)
    assert hollow == set()


async def test_an_event_tells_a_customer_what_its_type_allows(read: dict[str, Answers]) -> None:
    for caller, lines in {"customer": ["customer"], "admin": ["customer", "staff"]}.items():
        told: dict[str, set[str]] = {}
        for answer in read[caller]["list_ticket_events"]:
            for event in json.loads(answer.content or b"{}").get("items", ()):
                names = {name for name, value in event["data"].items() if value not in _NOTHING}
                told.setdefault(event["type"], set()).update(names)
        if caller == "admin":
            told = {type_: names for type_, names in told.items() if type_ in TOLD}
        assert told == {type_: {word for line in lines for word in TOLD[type_].get(line, ())} for type_ in TOLD}


def test_cells_of_staffs_fields_are_those_of_their_operations(figure: Figure) -> None:
    """Every operation is either open to all, called by customers and so above, or refused to them as a whole."""
    staffs = {row.operation: row for row in ROWS if not row.variant and row.context is not Whose.others}
    refused = {id_ for id_, row in staffs.items() if row.expected["customer"] == "403"}
    assert refused | FOR_CUSTOMERS | PUBLIC == set(OPERATIONS)
    fields = sum(len(place.fields) for id_ in refused for place in CONTRACT.taken(id_)) + sum(
        len(CONTRACT.fields(schema)) for id_ in refused for schema in CONTRACT.answered(id_)
    )
    figure("fields of staff's operations", fields)


def test_every_answer_is_of_a_noun_that_its_operation_asks_a_scope_of() -> None:
    """Or is said to be something else, sent along to who has the scope of that."""
    foreign = {
        (operation.id, schema): _nouns_of(schema)
        for operation in OPERATIONS.values()
        if operation.scopes
        for schema in CONTRACT.answered(operation.id)
        if not _nouns_of(schema) & {"any", *_nouns(operation.scopes)}
    }
    assert set(foreign) == set(BESIDE)
    assert {key: sorted(nouns) for key, nouns in foreign.items()} == {
        key: sorted(_nouns([s])) for key, s in BESIDE.items()
    }


async def test_no_scope_reads_what_is_of_another_one(full: Full, figure: Figure) -> None:
    """A key that may do one thing reads everything with it: every value is of a noun that it has a scope of."""
    seen: set[tuple[str, str]] = set()
    strange: set[tuple[str, str, str]] = set()
    for scopes in sorted({operation.scopes for operation in OPERATIONS.values() if operation.scopes}):
        http = await full.world.caller("service+", " ".join(scopes))
        asked = [
            operation
            for operation in OPERATIONS.values()
            if operation.scopes == scopes and operation.id != "stream_events"
        ]
        answers = await read_everything(
            http,
            asked,
            full.values,
            [
                {},
                {"include": "clocks,messages"},
                {"include": "clocks,last_message"},
                {"include": "customer"},
                {"include": "assignee,team"},
            ],
        )
        for schema, name, value in _fields(answers, answers):
            seen.add((schema, name))
            if value not in _NOTHING and not _nouns_of(schema) & {"any", *_nouns(scopes)}:
                strange.add((" ".join(scopes), schema, name))
    assert strange == set()
    figure("fields read with one scope", len(seen))


@pytest.mark.parametrize("operation", sorted({operation for operation, _ in BESIDE}))
async def test_what_is_sent_along_goes_to_who_has_its_scope(full: Full, operation: str) -> None:
    """And is there to be sent, or the test above would look at nothing."""
    scopes = OPERATIONS[operation].scopes
    wanted = {schema: scope for (id_, schema), scope in BESIDE.items() if id_ == operation}
    await full.world.caller("customer", "")  # has a key then
    http = await full.world.caller("service+", " ".join([*scopes, *wanted.values()]))
    queries: list[dict[str, Any]] = [{}, {"include": "customer"}, {"include": "assignee,team"}]
    answers = await read_everything(http, [OPERATIONS[operation]], full.values, queries)
    assert {schema for schema, _, _ in _fields(answers, [operation])} >= set(wanted)


def _nouns(scopes: Iterable[str]) -> set[str]:
    return {scope.partition(":")[0] for scope in scopes}


def _nouns_of(schema: str) -> set[str]:
    found = {noun for noun, schemas in NOUNS.items() if schema in schemas}
    assert found, f"say in matrix.toml of which noun {schema} tells"
    return found


def _named(lines: dict[str, list[str]]) -> set[str]:
    return {word.partition("=")[0] for words in lines.values() for word in words}


def _own(operation: str) -> Whose:
    return next(row.context for row in ROWS if row.operation == operation and row.context is not Whose.others)


def _expected(may: tuple[str, ...]) -> dict[str, str]:
    return {caller: "ok" if caller in may else "403" for caller in GROUPS["everybody"]}


def _sending(world: World, place: Place, word: str) -> dict[str, Any]:
    async def query(http: httpx.AsyncClient) -> Any:
        if word == "ticket":  # of the stream: everybody's own, for one use
            return {word: (await http.post("/v1/stream-tickets")).json()["ticket"]}
        return {word.partition("=")[0]: sample(world, place.schema, word), **along(place.schema, word)}

    if place.schema.endswith("?"):
        return {"query": query}

    async def change(body: Any) -> Any:
        if place.operation == "update_tickets":
            body = {"tickets": [{"id": (await world.add_ticket(Whose.own))["id"]}]}
        return with_field(world, place, word, body)

    return {"change": change}


def _fields(answers: Answers, operations: Iterable[str] = FOR_CUSTOMERS) -> Iterator[tuple[str, str, Any]]:
    for id_ in sorted(set(operations) & set(answers)):
        for answer in answers[id_]:
            kind = answer.headers.get("content-type", "") if answer.content else ""
            if kind == "application/problem+json":
                yield from CONTRACT.problem(answer.json())
            elif kind == "application/json":
                yield from CONTRACT.values(id_, answer.json())
