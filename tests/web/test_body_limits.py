"""How a body may arrive: its size, its type, its encoding, its parts."""

import json
from collections.abc import Sequence

import httpx
from fastapi import FastAPI

from tests.conftest import ADMIN_KEY
from tests.support.expect import problem
from tests.web import raw

TYPE = (b"content-type", b"application/json")
TICKET = json.dumps({"subject": "x", "customer": {"external_id": "c"}}).encode()


async def _post(
    app: FastAPI, chunks: Sequence[bytes], *headers: tuple[bytes, bytes], path: str = "/v1/tickets"
) -> httpx.Response:
    return await raw.send(app, "POST", path, key=ADMIN_KEY, headers=headers, chunks=chunks)


def _padded(size: int) -> bytes:
    return TICKET[:-1] + b" " * (size - len(TICKET)) + b"}"


async def test_a_body_up_to_the_limit_is_read_and_one_byte_more_is_not(app: FastAPI) -> None:
    limit = app.state.settings.body_limit_bytes
    assert (await _post(app, [_padded(limit)], TYPE)).status_code == 201
    problem(await _post(app, [_padded(limit + 1)], TYPE), 413, "body_too_large")


async def test_a_declared_length_is_believed_before_anything_is_read(app: FastAPI) -> None:
    for length in (b"2097152", b"52428800", b"9" * 19, b"9" * 5_000):
        problem(await _post(app, [], TYPE, (b"content-length", length)), 413, "body_too_large")


async def test_chunks_are_counted_whatever_was_declared(app: FastAPI) -> None:
    chunks = [TICKET[:-1], *[b" " * 65_536] * 32, b"}"]
    for declared in ([], [(b"transfer-encoding", b"chunked")], [(b"content-length", b"10")]):
        problem(await _post(app, chunks, TYPE, *declared), 413, "body_too_large")


async def test_chunks_within_the_limit_are_one_body(app: FastAPI) -> None:
    assert (await _post(app, [TICKET[n : n + 1] for n in range(len(TICKET))], TYPE)).status_code == 201


async def test_imports_may_be_larger_than_other_bodies(app: FastAPI) -> None:
    big = b'{"tickets": [' + b" " * 2_000_000 + b"]}"
    assert (await _post(app, [big], TYPE, path="/v1/imports/tickets")).status_code == 200
    problem(await _post(app, [b" " * 1_000_000] * 17, TYPE, path="/v1/imports/tickets"), 413, "body_too_large")


async def test_a_client_that_leaves_in_mid_body_is_no_fault_of_ours(app: FastAPI) -> None:
    answer = await raw.send(
        app, "POST", "/v1/tickets", key=ADMIN_KEY, headers=[TYPE], chunks=[TICKET[:10]], break_off=True
    )
    problem(answer)
    assert answer.status_code < 500


async def test_json_by_any_of_its_names_is_read(app: FastAPI) -> None:
    for kind in [
        b"application/json",
        b"application/json; charset=utf-8",
        b"APPLICATION/JSON",
        b"application/merge-patch+json",
        b"application/json;charset=utf-16",
    ]:
        assert (await _post(app, [TICKET], (b"content-type", kind))).status_code == 201


async def test_any_other_type_is_refused(app: FastAPI) -> None:
    for kind in [
        b"text/plain",
        b"text/json",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=x",
        b"application/xml",
        b"",
        b"application/jsonx",
        b"application/json/x",
        b"application/json, text/plain",
        b"json",
        b"\xff",
        b"application/x-ndjson",
        b"application/jsonl",
        b"application/a/b+json",
        b"application/+json",
    ]:
        problem(await _post(app, [TICKET], (b"content-type", kind)), 415, "unsupported_media_type")


async def test_a_body_without_a_type_is_refused(app: FastAPI) -> None:
    problem(await _post(app, [TICKET]), 415, "unsupported_media_type")


async def test_a_compressed_body_is_refused(app: FastAPI) -> None:
    for encoding in (b"gzip", b"br", b"deflate", b"identity, gzip", b"x", b""):
        problem(await _post(app, [TICKET], TYPE, (b"content-encoding", encoding)), 415, "unsupported_media_type")


async def test_json_that_is_no_object_is_refused_as_input(app: FastAPI) -> None:
    for body in (b"", b"null", b"[]", b"5", b'"x"', b"true", b"{}"):
        problem(await _post(app, [body], TYPE), 422, "invalid")


async def test_what_is_not_strict_json_is_malformed(app: FastAPI) -> None:
    for body in [
        TICKET.decode().encode("utf-16"),
        b"\xef\xbb\xbf" + TICKET,
        TICKET + b"\xff",
        b'{"subject": NaN}',
        b'{"subject": 1e999}',
        b'{"subject": 9007199254740993}',
        b"[" * 500 + b"]" * 500,
        b'{"subject": "a", "subject": "b"}',
        b'{"subject": "\\u0000"}',
        b'{"subject": "\\ud800"}',
        b'{"subject": "\xed\xa0\x80"}',
        b"{",
        b"\0",
    ]:
        problem(await _post(app, [body], TYPE), 400, "malformed_body")


async def test_many_wrong_parts_do_not_make_a_large_answer(app: FastAPI) -> None:
    body = json.dumps({f"u{n}": 0 for n in range(80_000)}).encode()
    answer = await _post(app, [body], TYPE)
    problem(answer, 422, "invalid")
    assert len(answer.content) < len(body)


async def test_a_name_that_fills_the_body_is_not_sent_back_whole(app: FastAPI) -> None:
    body = json.dumps({"u" * 1_000_000: 0}).encode()
    answer = await _post(app, [body], TYPE)
    problem(answer, 422, "invalid")
    assert len(answer.content) < 100_000
