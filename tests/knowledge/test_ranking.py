"""How articles are ranked, against the same said in Python; and what a support desk expects of it."""

import asyncio
from collections.abc import Sequence
from math import isclose, log
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db import Database
from app.knowledge.suggestions import suggest
from tests.support.articles import suggested, write

# No language that PostgreSQL stems: words are what they are.
_WORDS = ["alpha", "beta", "gamma", "delta", "épsilon", "zeta7"]
_texts = st.lists(st.sampled_from(_WORDS), max_size=4)
_articles = st.lists(st.tuples(_texts.filter(bool), _texts, _texts.filter(bool)), min_size=1, max_size=6)


def _scores(articles: Sequence[tuple[list[str], list[str], list[str]]], asked: list[str]) -> dict[int, float]:
    """By index; those that share no word are left out."""
    having = {word: sum(any(word in part for part in article) for article in articles) for word in _WORDS}
    rarity = {word: log((len(articles) + 1) / n) for word, n in having.items() if n}
    known = {word for word in asked if word in rarity}
    scores = {}
    for index, (title, tags, body) in enumerate(articles):
        hits = {word for word in known if word in {*title, *tags, *body}}
        if hits:
            speaks_of = sum(rarity[word] * (1 if word in {*title, *tags} else 0.5) for word in hits)
            wanted = sum(rarity[word] for word in hits & set(title))
            missed = len(set(title) - set(asked)) * log(len(articles) + 1)
            asked_for = wanted / (wanted + missed) if wanted + missed else 0
            scores[index] = (speaks_of / sum(rarity[word] for word in known) + asked_for) / 2
    return scores


async def test_the_ranking_is_what_python_says_it_is(client: httpx.AsyncClient, db: Database, sql: Any) -> None:
    rounds = 0

    async def check(articles: list[tuple[list[str], list[str], list[str]]], asked: list[str]) -> None:
        nonlocal rounds
        rounds += 1
        await sql.execute("UPDATE articles SET archived_at = clock_timestamp() WHERE archived_at IS NULL")
        ids = []
        for index, (title, tags, body) in enumerate(articles):
            said = {"title": " ".join(title), "tags": tags, "body": " ".join(body), "language": "pl"}
            ids.append((await write(client, key=f"k{index}", **said))["id"])
        expected = _scores(articles, asked)
        async with db.transaction() as tx:
            found = await suggest(tx, " ".join(asked).upper(), "pl-PL", 20)
        scores = {ids.index(str(row["id"])): row["score"] for row in found}
        assert scores.keys() == expected.keys()
        assert all(isclose(scores[index], expected[index], rel_tol=1e-9) for index in scores), (scores, expected)
        assert all(0 <= score <= 1 for score in scores.values())
        assert list(scores.values()) == sorted(scores.values(), reverse=True)

    loop = asyncio.get_running_loop()

    # Hypothesis is not asynchronous: it runs beside, and each example here.
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_articles, _texts)
    def property_(articles: list[Any], asked: list[str]) -> None:
        asyncio.run_coroutine_threadsafe(check(articles, asked), loop).result(60)

    await asyncio.to_thread(property_)
    assert rounds >= 25


async def test_the_rare_word_and_the_title_decide_not_the_many_words_around_them(client: httpx.AsyncClient) -> None:
    for key, title, body in (
        ("parcel", "Where is my parcel?", "Follow the link."),
        ("return", "Return an order", "Send the parcel back."),
        ("password", "Reset your password", "Ask for a link to a new one."),
        ("invoice", "Get an invoice for an order", "It is in your account."),
        ("pay", "How to pay", "With a card. We ask for a password."),
    ):
        await write(client, key=key, title=title, body=body, tags=[])
    mail = "Hello! I bought shoes last week and it was a pleasure to ask you, but "
    for text, best in (
        (mail + "now I cannot log in: I forgot my passwords.", "password"),
        (mail + "the parcels never came.", "parcel"),
        ("returning", "return"),
        ("Please send me the invoices", "invoice"),
    ):
        found = await suggested(client, text, language="en")
        assert found[0]["key"] == best, (text, found)
        assert found[0]["score"] >= 0.3
    assert await suggested(client, "elephants", language="en") == []
    # Without a language, every article is read in its own.
    assert (await suggested(client, "forgot my passwords"))[0]["key"] == "password"
    assert await suggested(client, "passwords", language="sv") == []
