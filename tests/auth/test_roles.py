import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.auth.keys import make_key, split_key
from app.auth.roles import SCOPES, Role, granted

_PEOPLE = [role for role in Role if role is not Role.service]
_asked = st.lists(st.sampled_from(sorted(SCOPES)) | st.text(max_size=20))


def test_scopes_are_a_noun_and_a_verb() -> None:
    assert len(SCOPES) == 23
    assert {scope.partition(":")[2] for scope in SCOPES} == {"read", "write"}


def test_roles_contain_each_other_from_customer_to_admin() -> None:
    customer, agent, lead, admin = (granted(role, None) for role in (Role.customer, Role.agent, Role.lead, Role.admin))
    assert customer < agent < lead < admin == SCOPES


def test_a_customer_has_tickets_what_happens_to_them_and_nothing_else() -> None:
    assert granted(Role.customer, None) == {"tickets:read", "tickets:write", "events:read"}


@pytest.mark.parametrize("role", [Role.customer, Role.agent, Role.lead])
def test_keys_webhooks_and_imports_are_the_admins(role: Role) -> None:
    nouns = {scope.partition(":")[0] for scope in granted(role, None)}
    assert not nouns & {"keys", "webhooks", "imports"}


def test_an_agent_writes_tickets_and_customers_only() -> None:
    writes = {scope for scope in granted(Role.agent, None) if scope.endswith(":write")}
    assert writes == {"tickets:write", "customers:write"}


def test_a_service_has_nothing_by_itself() -> None:
    assert granted(Role.service, None) == frozenset()


@given(_asked)
def test_a_service_has_what_it_asks_for(asked: list[str]) -> None:
    assert granted(Role.service, asked) == SCOPES & set(asked)


@given(st.sampled_from(_PEOPLE), _asked)
def test_asking_narrows_a_role_and_never_widens_it(role: Role, asked: list[str]) -> None:
    assert granted(role, asked) == granted(role, None) & set(asked)


def test_no_two_keys_are_alike_and_each_is_read_back_as_its_own_id() -> None:
    made = [make_key() for _ in range(100)]
    assert len({key for _, key in made}) == 100
    for id_, key in made:
        parts = split_key(key)
        assert parts is not None
        assert parts[0] == id_
        assert len(parts[1]) == 32


def test_the_stored_hash_depends_on_every_character_of_the_secret() -> None:
    id_, key = make_key()
    hashes = set()
    for at in range(len("nty_") + 33, len(key)):
        parts = split_key(key[:at] + ("A" if key[at] != "A" else "B") + key[at + 1 :])
        assert parts is not None
        assert parts[0] == id_
        hashes.add(parts[1])
    assert len(hashes) == 43
    assert split_key(key) not in [(id_, found) for found in hashes]


def _malformed() -> list[str]:
    key = make_key()[1]
    return [
        "", " ", "nty_", "nty__", key[:-1], key + "A", key + "\n", " " + key, key.upper(), key.replace("nty_", "NTY_"),
        key.replace("_", "-", 1), "Bearer " + key, key[:36] + key[37:], "nty_" + "g" * 32 + "_" + "A" * 43, key + "\0",
        key[:-1] + "+", key[:-1] + "é", key.removeprefix("nty_"), "0" * 80, "٣" * 80,
    ]  # fmt: skip


@pytest.mark.parametrize("text", _malformed(), ids=range(len(_malformed())))
def test_what_does_not_look_like_a_key_is_none(text: str) -> None:
    assert split_key(text) is None
