"""Customers and organizations found by what people remember, and read by what others call them."""

from urllib.parse import quote

import pytest

from tests.support.verification import good
from tests.support.world import Body, World, unique


async def _found(world: World, path: str, words: str) -> list[str]:
    items = good(await world.admin.get(f"/v1/{path}", params={"q": words}))["items"]
    return [item["id"] for item in items]


@pytest.mark.parametrize("path", ["customers", "organizations"])
async def test_found_by_beginnings_of_words_of_name_address_and_external_id(world: World, path: str) -> None:
    tag = unique()
    body: Body = {"name": f"Zoë Öberg-Strand {tag}", "email": f"zo.{tag}@widget.example", "external_id": f"CRM/{tag}-7"}
    own = await world.made(f"/v1/{path}", body)
    await world.made(f"/v1/{path}", {"name": "Somebody else", "email": f"{unique()}@widget.example"})
    for words in (
        f"zoë {tag}",
        f"ÖBER stra {tag}",
        tag[:9],
        f"zo.{tag}@widget.example",
        f"crm/{tag}",
        f"{tag} widg",
        f"7 {tag}",
    ):
        assert await _found(world, path, words) == [own["id"]], words
    # Not from the middle of a word, not where one of them is missing, and nothing where there is no word.
    for words in (f"berg {tag}", f"zoë {unique()}", "'", "&|!:*", "\\", f"' :* | '{unique()}", "<->"):
        assert await _found(world, path, words) == [], words


@pytest.mark.parametrize("path", ["customers", "organizations"])
@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("José Müller", "jose muller"), ("Jose Muller", "JOSÉ MÜLLER"), ("Jose\u0301", "josé"), ("Straße", "strasse"),
        ("STRASSE", "straße"), ("Søren Łukasz", "soren lukasz"), ("ØRSTED", "ørsted"), ("Þóra Æsir", "thora aesir"),
        ("Đorđe", "dorde"), ("İpek Işık", "ipek isik"), ("Œuvre", "oeuvre"), ("Ζωή Ἀλέξανδρος", "ζωη αλεξανδροσ"),
        ("Артём", "артем"), ("مُحَمَّد", "محمد"), ("ＷＩＤＥ", "wide"), ("がく", "がく"), ("한국", "한국"),
        ("Anna", "anna ´"),
    ],
)  # fmt: skip
async def test_found_whatever_the_accents(world: World, path: str, name: str, asked: str) -> None:
    tag = unique()
    own = await world.made(f"/v1/{path}", {"name": f"{name} {tag}"})
    assert await _found(world, path, f"{asked} {tag}") == [own["id"]]
    assert await _found(world, path, f"{asked}x {tag}") == []


async def test_who_was_merged_is_found_as_who_stands_for_them(world: World) -> None:
    tag = unique()
    source = await world.made("/v1/customers", {"name": f"Old {tag}", "external_id": f"old/{tag}"})
    target = await world.made("/v1/customers", {"name": "Another name"})
    good(await world.admin.post(f"/v1/customers/{source['id']}/merge", json={"into": target["id"]}))
    assert set(await _found(world, "customers", tag)) == {source["id"], target["id"]}
    path = f"/v1/customers/by-external-id/{quote(source['external_id'], safe='')}"
    assert good(await world.admin.get(path))["id"] == target["id"]


@pytest.mark.parametrize("name", ["a/b", "segments", "ä ö%20", "a?b#c", ".x", "by-external-id/x", "export"])
async def test_read_by_an_external_id_of_any_letters(world: World, name: str) -> None:
    name = f"{name}-{unique()}" if name not in {"segments", "export"} else name
    path = f"/v1/customers/by-external-id/{quote(name, safe='')}"
    assert (await world.admin.get(path)).status_code == 404
    made = await world.admin.put(path, json={"name": "N"})
    assert (made.status_code, made.json()["external_id"]) == (201, name)
    read = await world.admin.get(path)
    assert (read.json()["id"], read.headers["etag"]) == (made.json()["id"], '"1"')


async def test_a_key_is_found_whatever_its_case_and_width(world: World) -> None:
    key = f"Ärger/{unique()}"
    team = await world.made("/v1/teams", {"key": key, "name": "T"})
    for written in (key, key.upper(), key.lower()):
        assert good(await world.admin.get(f"/v1/teams/by-key/{quote(written, safe='')}"))["id"] == team["id"]


async def _asked(world: World, path: str, **query: str) -> set[str]:
    return {item["id"] for item in good(await world.admin.get(f"/v1/{path}", params={"limit": 200, **query}))["items"]}


@pytest.mark.parametrize("path", ["customers", "organizations"])
async def test_external_ids_are_asked_for_by_commas_and_literally_in_quotes(world: World, path: str) -> None:
    tag = unique()
    ids = {
        name: (await world.made(f"/v1/{path}", {"name": "N", "external_id": f"{name}{tag}"}))["id"]
        for name in ("a", "b", "a, b", 'a"b')
    }
    for written, names in [
        (f"A{tag}", ["a"]),
        (f"a{tag},b{tag}", ["a", "b"]),
        (f'"a, b{tag}"', ["a, b"]),
        (f'"a""b{tag}", a{tag}', ['a"b', "a"]),
    ]:
        assert await _asked(world, path, external_id=written) == {ids[name] for name in names}, written
    none = (await world.made(f"/v1/{path}", {"name": "N", "external_id": "none"}))["id"]
    assert await _asked(world, path, external_id='"none"') == {none}


async def test_customers_without_an_external_id_an_address_or_an_organization_are_asked_for(world: World) -> None:
    organization = (await world.made("/v1/organizations", {"name": "O"}))["id"]
    known = {"external_id": unique(), "email": f"{unique()}@widget.example", "organization_id": organization}
    whole = (await world.made("/v1/customers", known))["id"]
    for name, value in known.items():
        given = {"external_id": unique(), "email": f"{unique()}@widget.example", "organization_id": organization}
        lacks = (await world.made("/v1/customers", {**given, name: None}))["id"]
        ids = ",".join([whole, lacks])
        for written, found in [("none", {lacks}), (value, {whole}), (f"none,{value}", {whole, lacks})]:
            assert await _asked(world, "customers", ids=ids, **{name: written}) == found, (name, written)


async def test_organizations_without_an_external_id_are_asked_for(world: World) -> None:
    lacks, has = [
        (await world.made("/v1/organizations", {"name": "O", "external_id": each}))["id"] for each in (None, unique())
    ]
    found = await _asked(world, "organizations", external_id="none")
    assert lacks in found
    assert has not in found
