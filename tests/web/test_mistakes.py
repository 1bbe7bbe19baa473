"""Mistakes that people make, made on every operation: each is told in words that help."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.conftest import openapi
from tests.support.document import plain
from tests.support.expect import problem
from tests.support.openapi import NOBODY, operations

Open = Callable[..., Awaitable[dict[str, Any]]]
# Ids by which somebody else calls a thing may be any text.
_ANY_TEXT = {"external_id", "key", "code", "automation_key", "number"}
# How a regular expression looks to who reads one.
_PATTERNS = ("\\d", "\\w", "\\s", "[a-z", "[0-9", "(?", "^[", "pattern '")


@pytest.mark.parametrize("bad", ["1", "abc", "0190-nope", "00000000-0000-0000-0000-00000000000", "x%2Fy", "%C3%A9"])
async def test_an_id_that_is_none_has_one_answer_whatever_else_is_wrong(
    app: FastAPI, client: httpx.AsyncClient, bad: str
) -> None:
    asked = 0
    for operation in operations(app):
        for name in set(operation.path_names) - _ANY_TEXT:
            ids = dict.fromkeys(operation.path_names, NOBODY)
            path = operation.path.format_map(ids | {name: bad})
            bodies: list[dict[str, Any]] = [{"json": operation.fresh_body()}] if operation.body is not None else [{}]
            for body in [*bodies, {"json": {"zzz": 1}}]:
                answer = await client.request(operation.method, path, **body)
                found = problem(answer, 404, "not_found")
                if bad != "x%2Fy":  # that is another path
                    assert found["detail"].startswith("there is nothing with this id: ids are UUIDs"), (path, found)
                asked += 1
    assert asked > 200


async def test_no_refusal_of_a_parameter_shows_a_regular_expression(app: FastAPI, client: httpx.AsyncClient) -> None:
    document, asked = plain(openapi()), 0
    for operation in operations(app):
        path = operation.url(dict.fromkeys(operation.path_names, NOBODY))
        if not path.startswith("/v1/") or "text/event-stream" in operation.path or operation.id == "stream_events":
            continue
        said = document["paths"][operation.path][operation.method.lower()]
        for parameter in said.get("parameters", ()):
            if parameter["in"] != "query":
                continue
            for bad in ("%00", "-1", "99999999999999999999999", ",", "%22", "not+a+thing", "2026-01-01T00:00:00+02:00"):
                answer = await client.request(operation.method, f"{path}?{parameter['name']}={bad}")
                assert answer.status_code < 500, (path, parameter["name"], bad, answer.text)
                assert not [each for each in _PATTERNS if each in answer.text], (path, parameter["name"], answer.text)
                if "date-time" in str(parameter["schema"]) and bad.endswith("+02:00") and answer.status_code != 404:
                    assert "%2B" in problem(answer, 422)["detail"], (path, parameter["name"])
                asked += 1
    assert asked > 500
