import pytest

from app.settings import SettingsError, load_settings


@pytest.mark.parametrize("name", ["NINETY_PROT", "NINETY_DATABASE_URL", "ninety_database_pooler"])
def test_an_unknown_setting_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="unknown setting"):
        load_settings({name: "x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NINETY_PORT", "99999"),
        ("NINETY_PORT", "http"),
        ("NINETY_POOL_SIZE", "0"),
        ("NINETY_ADMIN_KEY", "secret"),
        ("NINETY_WORKERS", "-1"),
        ("DATABASE_POOLER", "odyssey"),
        ("DATABASE_URL", "mysql://u:secret@h/d"),
    ],
)
def test_a_senseless_value_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_every_spelling_of_a_postgresql_url_is_understood(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://u:p@h/d?host=/run/pg")
    assert load_settings().database_url == "postgresql://u:p@h/d?host=/run/pg"


def test_options_outweigh_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NINETY_PORT", "1")
    assert load_settings(port=2).port == 2
    assert load_settings(port=None).port == 1
