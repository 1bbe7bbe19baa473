"""An identity provider of the tests' own: real keys, served over real HTTP; and a service that trusts it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from tests.conftest import ADMIN_KEY

ISSUER, AUDIENCE = "https://id.example/", "ninety"
RS256, ES256, EDDSA = "RS256", "ES256", "EdDSA"


def new_key(algorithm: str, bits: int = 2048) -> Any:
    if algorithm.startswith("RS"):
        return rsa.generate_private_key(65537, bits)
    if algorithm == EDDSA:
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key({"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1()}[algorithm])


def pem(key: Any) -> str:
    public: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public.decode()


def jwk(key: Any, algorithm: str, **members: Any) -> dict[str, Any]:
    written = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {name: value for name, value in {**written, **members}.items() if value is not None}


def claims(**changed: Any) -> dict[str, Any]:
    """What a good token of an administrator says; None takes a claim away."""
    now = int(time.time())
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "role": "admin", "iat": now, "exp": now + 300}
    return {name: value for name, value in {**good, **changed}.items() if value is not None}


class Provider:
    """`fetches` counts who asked for the keys; what is set below is what they get."""

    def __init__(self) -> None:
        self.private = {algorithm: new_key(algorithm) for algorithm in (RS256, ES256, EDDSA)}
        self.keys = [jwk(key, name, kid=name, alg=name, use="sig") for name, key in self.private.items()]
        self.fetches = 0
        self.status = "200 OK"
        self.headers = ""
        self.body: bytes | None = None
        self.delay = 0.0
        self.url = ""
        self._server: asyncio.Server | None = None

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator["Provider"]:
        provider = cls()
        provider._server = await asyncio.start_server(provider._answer, "127.0.0.1", 0)
        provider.url = f"http://127.0.0.1:{provider._server.sockets[0].getsockname()[1]}/keys"
        try:
            yield provider
        finally:
            await provider.go_away()

    async def go_away(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def sign(self, algorithm: str = RS256, header: dict[str, Any] | None = None, **changed: Any) -> str:
        headers = {"kid": algorithm, **(header or {})}
        return jwt.encode(claims(**changed), self.private[algorithm], algorithm, headers=headers)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.fetches += 1
        await asyncio.sleep(self.delay)
        body = json.dumps({"keys": self.keys}).encode() if self.body is None else self.body
        writer.write(f"HTTP/1.1 {self.status}\r\n{self.headers}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        writer.close()


class Clock:
    """Of those who fetch keys: it stands until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def started(database_url: str, directory: Path, **settings: Any) -> AsyncIterator[FastAPI]:
    common: dict[str, Any] = {"admin_key": ADMIN_KEY, "data_dir": directory, "worker": False}
    common |= {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_allow_http": True}
    application = create_app(Settings(database_url=database_url, **(common | settings)))
    async with application.router.lifespan_context(application):
        yield application
