"""Asking for everything there is, in every way that the contract offers, and keeping each answer whole."""

import re
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

import httpx

from tests.auth.asking import Operation

Body = dict[str, Any]
Answers = dict[str, list[httpx.Response]]
# New with each answer, or what the caller said, said back.
# What is left of a quota counts their own requests.
_OWN_WORDS = {"x-request-id", "link", "ratelimit"}
_SENT_TICKET = re.compile(rb'(?<="tickets":\[{"id":")[^"]+')


def told(answer: httpx.Response) -> str:
    """All that an answer tells its caller beyond their own words: the path comes back as `instance`, and so do the ids
    of tickets that were to be changed together. The text is here whole, so its packed length says nothing more."""
    left_out = _OWN_WORDS | ({"content-length"} if "content-encoding" in answer.headers else set())
    headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items() if name not in left_out)
    whole = f"{answer.status_code}\n{headers}\n{answer.text}".replace(answer.request.url.path, "")
    for id_ in _SENT_TICKET.findall(answer.request.content):
        whole = whole.replace(id_.decode(), "")
    return whole


def paths(operation: Operation, values: Iterable[str]) -> Iterator[str]:
    """The operation's path with each of `values` in its place."""
    if not operation.path_parameters:
        yield operation.path
        return
    for value in values:
        yield re.sub(r"\{\w+\}", value, operation.path)


async def read(http: httpx.AsyncClient, path: str, query: Body) -> list[httpx.Response]:
    """A GET with every page that follows it, its HEAD, and the GET that knows the ETag."""
    page = await http.get(path, params=query)
    answers = [page, await http.head(path, params=query)]
    if "etag" in page.headers:
        answers.append(await http.get(path, params=query, headers={"If-None-Match": page.headers["etag"]}))
    while page.is_success and "next" in page.links:
        page = await http.get(page.links["next"]["url"])
        answers.append(page)
    return answers


async def read_everything(
    http: httpx.AsyncClient, operations: Iterable[Operation], values: list[str], queries: list[Body]
) -> Answers:
    """Every GET there is, by operation. The first of `queries` is the plain one: where that is refused, no other gets
    further. A query that an operation does not know is asked nonetheless."""
    found: Answers = {}
    for operation in operations:
        if operation.method == "GET":
            asked = found.setdefault(operation.id, [])
            for path in paths(operation, values):
                for query in queries:
                    asked.extend(await read(http, path, query))
                    if query == queries[0] and asked[-1].is_error:
                        break
    return found


async def write_everything(
    http: httpx.AsyncClient, operations: Iterable[Operation], values: list[str], bodies: list[Body], used_key: str
) -> Answers:
    """Everything that is not a GET, with every body; POSTs also with an Idempotency-Key that somebody else used."""
    found: Answers = {}
    # Messages are written before anything closes the ticket.
    for operation in sorted(operations, key=lambda o: o.method != "POST"):
        if operation.method != "GET":
            asked = found.setdefault(operation.id, [])
            for path, body in product(paths(operation, values), bodies):
                if not _shut(asked):
                    asked.append(await http.request(operation.method, path, json=body))
                    if operation.method == "POST":
                        asked.append(await http.post(path, json=body, headers={"Idempotency-Key": used_key}))
    return found


def _shut(asked: list[httpx.Response]) -> bool:
    """Whether the last answer was that the caller lacks the scope, which no other request of the operation changes."""
    return bool(asked) and asked[-1].status_code == 403 and "needs the scope" in asked[-1].text
