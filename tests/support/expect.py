"""What every answer that is not a 2xx must look like."""

from typing import Any

import httpx

# Words of the machinery behind the service: none of them is a caller's business.
_INTERNALS = (
    "Traceback",
    'File "',
    "site-packages",
    "asyncpg",
    "sqlalchemy",
    "pydantic",
    "starlette",
    "SELECT ",
    "INSERT ",
    "UPDATE ",
    "DETAIL:",
    "uq_",
    "fk_",
    "pk_",
    "ck_",
    "syntax error",
    'relation "',
)


def problem(answer: httpx.Response, status: int | None = None, code: str | None = None) -> dict[str, Any]:
    """The problem document of `answer`, checked; `status` and `code` are what it must say."""
    assert answer.headers.get("content-type") == "application/problem+json", (answer.status_code, answer.text[:300])
    document: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "instance", "code"} <= document.keys(), document
    assert document["status"] == answer.status_code
    assert document["type"] == f"/problems/{document['code']}"
    assert document["title"]
    assert document["detail"]
    if "errors" in document:
        assert answer.status_code in (409, 422)
        for error in document["errors"]:
            assert error.keys() == {"pointer", "code", "detail"}
            assert error["pointer"] == "" or error["pointer"].startswith("/")
    leaked = [word for word in _INTERNALS if word in answer.text]
    assert not leaked, (leaked, answer.text[:500])
    if status is not None:
        assert answer.status_code == status, answer.text[:500]
    if code is not None:
        assert document["code"] == code, answer.text[:500]
    if answer.status_code in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1
    return document


def fine_or_problem(answer: httpx.Response) -> bool:
    """Whether it was a 2xx; else it is a problem document, and never a fault of the service."""
    assert answer.status_code < 500, (answer.request.method, str(answer.request.url)[:300], answer.text[:500])
    if answer.is_success:
        return True
    if answer.status_code != 304:
        problem(answer)
    return False
