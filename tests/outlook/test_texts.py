"""The words of an outlook, in each language."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.outlook.texts import Facts, in_words, spoken

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LIKELY = (NOW + timedelta(seconds=30), NOW + timedelta(seconds=100, microseconds=1))
WAITS = Facts(
    now=NOW, waits=True, first=True, promised_by=NOW + timedelta(seconds=89, microseconds=500), seconds=90,
    business=False, ahead=3, likely=LIKELY, open=True, opens_at=None, closes_at=None,
)  # fmt: skip


def test_what_is_promised_is_told_in_words_and_local_instants() -> None:
    assert in_words(WAITS, "en", "Europe/Helsinki") == (
        "You get a first answer within 90 seconds: by 14:01:30 on 2 March 2026. Ahead of you: 3. Of those who wait "
        "like you, half have an answer by 14:00:30 on 2 March 2026 and 19 of 20 by 14:01:41 on 2 March 2026. We are "
        "there at every hour. All times are those of Europe/Helsinki."
    )
    assert in_words(WAITS, "fi", "Europe/Helsinki").startswith(
        "Saat ensimmäisen vastauksen 90 sekunnin kuluessa: viimeistään 2.3.2026 klo 14.01.30. Edelläsi jonossa: 3."
    )


@pytest.mark.parametrize(
    ("changed", "en", "fi"),
    [
        ({"waits": False}, "You do not wait for an answer now.", "Et odota nyt vastausta."),
        ({"promised_by": None}, "You wait for our answer.", "Odotat vastaustamme."),
        (
            {"promised_by": NOW - timedelta(seconds=1)},
            "You were to get an answer by 11:59:59 on 2 March 2026. It is late, and we are sorry.",
            "Sinulle luvattiin vastaus viimeistään 2.3.2026 klo 11.59.59. Se on myöhässä, pahoittelemme.",
        ),
        (
            {"first": False},
            "You get our next answer by 12:01:30 on 2 March 2026.",
            "Saat seuraavan vastauksemme viimeistään 2.3.2026 klo 12.01.30.",
        ),
        (
            {"seconds": 3600, "business": True},
            "within 1 hour of our service hours",
            "1 tunnin kuluessa palveluaikaa",
        ),
        ({"seconds": 900}, "within 15 minutes", "15 minuutin kuluessa"),
        ({"ahead": 0}, "Nobody is ahead of you.", "Edelläsi ei ole ketään."),
        (
            {"closes_at": NOW + timedelta(hours=3)},
            "We are there until 15:00 on 2 March 2026.",
            "Palvelemme nyt, 2.3.2026 klo 15.00 saakka.",
        ),
        (
            {"open": False, "opens_at": NOW + timedelta(hours=20)},
            "We are closed now, and there again from 08:00 on 3 March 2026.",
            "Palvelu on nyt suljettu ja avautuu 3.3.2026 klo 8.00.".replace("8.00", "08.00"),
        ),
        ({"open": False}, "We are closed.", "Palvelu on suljettu."),
    ],
)
def test_each_case_has_its_sentence(changed: dict[str, object], en: str, fi: str) -> None:
    facts = replace(WAITS, **changed)  # type: ignore[arg-type]
    assert en in in_words(facts, "en", "UTC")
    assert fi in in_words(facts, "fi", "UTC")


def test_a_language_without_words_is_english() -> None:
    assert [spoken(tag) for tag in ("fi", "fi-FI", "FI_fi", "sv", "", None)] == ["fi", "fi", "fi", "en", "en", "en"]
