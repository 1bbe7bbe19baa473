import json

import pytest

from app.auth.tokens import key_in
from app.commands import make_admin_key
from app.settings import SettingsError, load_settings
from tests.support.identity_provider import new_key
from tests.support.identity_provider import pem as pem_of


@pytest.mark.parametrize("name", ["NINETY_PROT", "NINETY_DATABASE_URL", "ninety_database_pooler"])
def test_an_unknown_setting_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="unknown setting"):
        load_settings({name: "x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NINETY_PORT", "99999"),
        ("NINETY_PORT", "http"),
        ("NINETY_REPORT_ZONES", "UTC,Europe/Atlantis"),
        ("NINETY_POOL_SIZE", "0"),
        ("NINETY_ADMIN_KEY", "secret"),
        ("NINETY_WORKERS", "-1"),
        ("DATABASE_POOLER", "odyssey"),
        ("DATABASE_URL", "mysql://u:secret@h/d"),
        ("NINETY_READ_DATABASE_URL", "mysql://u:secret@h/d"),
        ("NINETY_READ_MAX_LAG_SECONDS", "2"),
    ],
)
def test_a_senseless_value_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "secret" not in str(refused.value)
    assert name in str(refused.value)
    assert "^" not in str(refused.value)


def test_a_wrong_key_is_told_what_makes_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NINETY_ADMIN_KEY", "secret")
    with pytest.raises(SettingsError, match=r"NINETY_ADMIN_KEY: .*`ninety make-key` makes one"):
        load_settings()
    make_admin_key()
    monkeypatch.setenv("NINETY_ADMIN_KEY", capsys.readouterr().out.strip())
    assert load_settings().admin_key


_TOKENS = {"jwt_issuer": "https://id.example/", "jwt_audience": "ninety"}
_SECRET = "s" * 32


@pytest.mark.parametrize(
    "given",
    [
        {"jwt_secret": _SECRET},
        {"jwt_secret": _SECRET, "jwt_issuer": "i"},
        {"jwt_secret": "short", **_TOKENS},
        {"jwt_secret": _SECRET, "jwt_jwks_url": "https://id.example/keys", **_TOKENS},
        {"jwt_secret": _SECRET, "jwt_algorithms": "RS256", **_TOKENS},
        {"jwt_secret": _SECRET, "jwt_algorithms": "HS256,RS256", **_TOKENS},
        {"jwt_jwks_url": "https://id.example/keys", "jwt_algorithms": "HS256", **_TOKENS},
        {"jwt_jwks_url": "https://id.example/keys", "jwt_algorithms": "none", **_TOKENS},
        {"jwt_jwks_url": "http://id.example/keys", **_TOKENS},
        {"jwt_jwks_url": "http://127.0.0.1/keys", **_TOKENS},
        {"jwt_jwks_url": "http://id.example/keys", "jwt_allow_http": True, **_TOKENS},
        {"jwt_jwks_url": "file:///etc/passwd", **_TOKENS},
        {"jwt_jwks_url": "https://u:p@id.example/keys", **_TOKENS},
        {"jwt_public_key": "-----BEGIN PRIVATE KEY-----", **_TOKENS},
        _TOKENS,
        {"jwt_algorithms": "RS256"},
        {"jwt_providers": "https://id.example"},
        {"jwt_providers": "{}"},
        {"jwt_providers": "[{}]"},
        {"jwt_providers": f'[{{"issuer": "https://a.example", "secret": "{_SECRET}"}}]'},
        {"jwt_providers": f'[{{"issuer": "https://a.example", "audience": "x", "secrets": "{_SECRET}"}}]'},
        {"jwt_providers": '[{"issuer": "https://a.example", "audience": "x", "jwks_url": "http://a.example"}]'},
        {
            "jwt_providers": '[{"issuer": "https://id.example/", "audience": "x", "jwks_url": "https://a.example"}]',
            "jwt_secret": _SECRET,
            **_TOKENS,
        },
        {"cors_origins": "*"},
        {"cors_origins": "https://a.example/"},
        {"cors_origins": "https://A.example"},
        {"cors_origins": "a.example"},
        {"cors_origins": "null"},
        {"public_origin": "https://a.example/"},
        {"public_origin": "a.example"},
        {"base_path": "support"},
        {"base_path": "//support"},
        {"base_path": "/a//b"},
        {"base_path": "/a/../b"},
        {"base_path": "/a?b"},
        {"base_path": "/a b"},
        {"base_path": "/v1/support"},
        {"trusted_proxies": "proxy"},
        {"trusted_proxies": "10.0.0.1/8"},
        {"rate_limit_admin": 0},
        {"concurrency": 0},
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused_and_not_repeated(given: dict[str, object]) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({}, **given)
    assert _SECRET not in str(refused.value)


def test_algorithms_go_with_the_kind_of_key() -> None:
    assert load_settings({}, jwt_secret=_SECRET, **_TOKENS).jwt_algorithms == ("HS256",)
    url = "https://id.example/keys"
    assert load_settings({}, jwt_jwks_url=url, **_TOKENS).jwt_algorithms == ("RS256", "ES256", "EdDSA")
    assert load_settings({}, jwt_jwks_url=url, jwt_algorithms="ES384, PS256", **_TOKENS).jwt_algorithms == (
        "ES384",
        "PS256",
    )


def test_a_key_that_is_none_for_its_algorithms_is_refused_before_anything_starts() -> None:
    for pem in ("no key", pem_of(new_key("ES384"))):
        with pytest.raises(SettingsError, match="jwt_public_key"):
            key_in(load_settings({}, jwt_public_key=pem, jwt_algorithms="ES256", **_TOKENS))


def test_of_several_providers_the_wrong_one_is_named() -> None:
    good = {"issuer": "https://a.example", "audience": "x", "jwks_url": "https://a.example/keys"}
    wrong = {**good, "issuer": "https://b.example", "role_map": "boss=king"}
    with pytest.raises(SettingsError, match=r"^NINETY_JWT_PROVIDERS: 1\.role_map: .*write word=role"):
        load_settings({}, jwt_providers=json.dumps([good, wrong]))
    with pytest.raises(SettingsError, match=r"unknown name jwks; known are .*jwks_url"):
        load_settings({}, jwt_providers=json.dumps([{**good, "jwks": "x"}]))
    loaded = load_settings({}, jwt_providers=json.dumps([good, {**good, "issuer": "c,d"}]))
    assert [each.jwt_issuers for each in loaded.token_settings] == [["https://a.example"], ["c", "d"]]


def test_settings_do_not_show_secrets() -> None:
    shown = repr(load_settings({}, database_url="postgresql://u:canary@h/d", jwt_secret=f"canary{_SECRET}", **_TOKENS))
    assert "canary" not in shown
    more = [{"issuer": "https://a.example", "audience": "x", "secret": f"canary{_SECRET}"}]
    assert "canary" not in repr(load_settings({}, jwt_providers=json.dumps(more)))


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_every_spelling_of_a_postgresql_url_is_understood(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://u:p@h/d?host=/run/pg")
    assert load_settings().database_url == "postgresql://u:p@h/d?host=/run/pg"


def test_options_outweigh_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NINETY_PORT", "1")
    assert load_settings(port=2).port == 2
    assert load_settings(port=None).port == 1
