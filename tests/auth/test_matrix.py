from collections.abc import Callable
from uuid import UUID

import httpx
import pytest

from app.auth.roles import SCOPES
from tests.auth.asking import operations, outcomes, send
from tests.auth.matrix import ANYBODY, PUBLIC, ROWS, SCOPES_OF, MatrixRow, Whose
from tests.conftest import openapi
from tests.support.world import World

OPERATIONS = {operation.id: operation for operation in operations(openapi())}
SOMEBODY_ELSES = [row for row in ROWS if row.context is Whose.others and row.expected["customer"] == "404"]
NOWHERE = {"ticket_id": str(UUID(int=7)), "number": "987654321", "external_id": "nowhere"}


def test_every_operation_needs_a_scope_or_is_on_a_list_of_those_that_need_none() -> None:
    assert {id_ for id_, operation in OPERATIONS.items() if not operation.scopes} == PUBLIC | ANYBODY


def test_every_scope_that_an_operation_needs_is_one_that_a_key_can_have() -> None:
    assert {scope for operation in OPERATIONS.values() for scope in operation.scopes} <= SCOPES


def test_every_operation_needs_the_scopes_that_the_matrix_says() -> None:
    assert {id_: list(operation.scopes) for id_, operation in OPERATIONS.items() if operation.scopes} == SCOPES_OF


def test_every_operation_has_a_row_and_every_row_an_operation() -> None:
    assert {row.operation for row in ROWS if not row.variant} == set(OPERATIONS) - PUBLIC
    assert {row.operation for row in ROWS} <= set(OPERATIONS)


def test_whatever_hangs_on_a_ticket_is_asked_for_as_ones_own_and_as_somebody_elses() -> None:
    on_tickets = {o.id for o in OPERATIONS.values() if {"ticket_id", "number"} & set(o.path_parameters)}
    for context in (Whose.own, Whose.others):
        assert {row.operation for row in ROWS if row.context is context and not row.variant} >= on_tickets


def test_a_row_says_nothing_twice() -> None:
    names = [str(row) for row in ROWS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_the_matrix_holds(world: World, row: MatrixRow, figure: Callable[[str, int], None]) -> None:
    got, answers = await outcomes(world, row, OPERATIONS[row.operation])
    assert got == row.expected
    for answer in answers.values():
        if answer.is_error:
            _is_a_plain_refusal(answer)
    figure("matrix cells", len(got))


@pytest.mark.parametrize("row", SOMEBODY_ELSES, ids=str)
async def test_not_yours_and_not_there_answer_the_same(world: World, row: MatrixRow) -> None:
    operation = OPERATIONS[row.operation]
    name, *rest = operation.path_parameters
    theirs_id = await world.path_part(name, Whose.others)
    path = operation.path
    for part in rest:
        path = path.replace(f"{{{part}}}", await world.on_ticket[part](theirs_id))
    theirs_path, nowhere_path = path.replace(f"{{{name}}}", theirs_id), path.replace(f"{{{name}}}", NOWHERE[name])
    theirs = await send(world, "customer", row, operation, theirs_path)
    nowhere = await send(world, "customer", row, operation, nowhere_path)
    assert theirs.status_code == 404
    assert theirs.content.replace(theirs_path.encode(), nowhere_path.encode()) == nowhere.content
    assert _told(theirs, theirs_path, nowhere_path) == _told(nowhere, nowhere_path, nowhere_path)


async def test_where_several_scopes_are_needed_each_of_them_is(world: World) -> None:
    several = [operation for operation in OPERATIONS.values() if len(operation.scopes) > 1]
    assert several
    for operation in several:
        for scope in operation.scopes:
            others = " ".join(set(operation.scopes) - {scope})
            answer = await (await world.caller("service+", others)).request(operation.method, operation.path)
            assert (answer.status_code, scope in answer.json()["detail"]) == (403, True), operation.id


@pytest.mark.parametrize("id_", sorted(PUBLIC))
async def test_public_operations_ask_for_no_key_and_look_at_none(world: World, id_: str) -> None:
    path = OPERATIONS[id_].path.replace("{code}", "not_found")
    nobody = await world.caller("nobody", "")
    bare = await nobody.get(path)
    with_a_bad_key = await nobody.get(path, headers={"Authorization": "Bearer nonsense"})
    assert bare.status_code == with_a_bad_key.status_code
    # No worker runs here, so that readiness says no, to everybody.
    assert bare.status_code == (503 if id_ == "get_readiness" else 200)


async def test_who_has_no_key_is_refused_before_anything_is_looked_at(world: World) -> None:
    nobody = await world.caller("nobody", "")
    asked = {
        operation.id: (await nobody.request(operation.method, operation.path, content=b"{ not json")).status_code
        for operation in OPERATIONS.values()
        if operation.id not in PUBLIC
    }
    assert {id_: status for id_, status in asked.items() if status != 401} == {}


def _is_a_plain_refusal(answer: httpx.Response) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code
    assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)


def _told(answer: httpx.Response, path: str, instead: str) -> dict[str, str]:
    own = {"x-request-id", "ratelimit"}
    headers = {name: value.replace(path, instead) for name, value in answer.headers.items() if name not in own}
    # Lengths differ as the paths do.
    return {**headers, "content-length": ""}
