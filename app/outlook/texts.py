"""What a customer is told, in their language where there are templates for it, and in a zone's local time. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from app.sla.core.calendar import zone_rules

FALLBACK = "en"


@dataclass(frozen=True, slots=True)
class Facts:
    """`seconds` are those of the target, in `business` hours or all. `likely` are two instants: by the first half of
    such waits are over, by the other 19 of 20."""

    now: datetime
    waits: bool
    first: bool
    promised_by: datetime | None
    seconds: int | None
    business: bool
    ahead: int | None
    likely: tuple[datetime, datetime] | None
    open: bool
    opens_at: datetime | None
    closes_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Language:
    instant: str
    units: tuple[str, str, str]
    one: tuple[str, str, str]
    sentences: dict[str, str]


_MONTHS = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
]  # fmt: skip
_LANGUAGES = {
    "en": _Language(
        "{clock} on {d.day} {month} {d.year}",
        ("seconds", "minutes", "hours"),
        ("second", "minute", "hour"),
        {
            "first": "You get a first answer within {long}: by {at}.",
            "first_business": "You get a first answer within {long} of our service hours: by {at}.",
            "next": "You get our next answer by {at}.",
            "late": "You were to get an answer by {at}. It is late, and we are sorry.",
            "waits": "You wait for our answer.",
            "nobody_waits": "You do not wait for an answer now.",
            "ahead": "Ahead of you: {count}.",
            "nobody": "Nobody is ahead of you.",
            "likely": "Of those who wait like you, half have an answer by {half} and 19 of 20 by {most}.",
            "always": "We are there at every hour.",
            "open": "We are there until {at}.",
            "opens": "We are closed now, and there again from {at}.",
            "closed": "We are closed.",
            "zone": "All times are those of {zone}.",
            "many": "Many people write to us now, and our answer takes longer than we want.",
            "article": "What is written below may help at once.",
            "call_back": "Choose to be called back, and we promise it by {most}.",
            "wait": "Or wait for our answer.",
            "person": "You can ask for a person at any time.",
        },
    ),
    "fi": _Language(
        "{d.day}.{d.month}.{d.year} klo {clock}",
        ("sekunnin", "minuutin", "tunnin"),
        ("sekunnin", "minuutin", "tunnin"),
        {
            "first": "Saat ensimmäisen vastauksen {long} kuluessa: viimeistään {at}.",
            "first_business": "Saat ensimmäisen vastauksen {long} kuluessa palveluaikaa: viimeistään {at}.",
            "next": "Saat seuraavan vastauksemme viimeistään {at}.",
            "late": "Sinulle luvattiin vastaus viimeistään {at}. Se on myöhässä, pahoittelemme.",
            "waits": "Odotat vastaustamme.",
            "nobody_waits": "Et odota nyt vastausta.",
            "ahead": "Edelläsi jonossa: {count}.",
            "nobody": "Edelläsi ei ole ketään.",
            "likely": "Samoin odottavista puolet saa vastauksen viimeistään {half} ja 19 kahdestakymmenestä "
            "viimeistään {most}.",
            "always": "Palvelemme kellon ympäri.",
            "open": "Palvelemme nyt, {at} saakka.",
            "opens": "Palvelu on nyt suljettu ja avautuu {at}.",
            "closed": "Palvelu on suljettu.",
            "zone": "Ajat ovat aikavyöhykkeen {zone} mukaan.",
            "many": "Meille kirjoittaa nyt moni, ja vastaus kestää kauemmin kuin haluamme.",
            "article": "Alla oleva voi auttaa heti.",
            "call_back": "Pyydä takaisinsoitto, niin lupaamme sen viimeistään {most}.",
            "wait": "Tai odota vastaustamme.",
            "person": "Voit pyytää ihmistä milloin tahansa.",
        },
    ),
}
_PROMISED = {"en": "A first answer.", "fi": "Ensimmäinen vastaus."}
_CALL_BACK = {"en": "A call back.", "fi": "Takaisinsoitto."}


def spoken(language: str | None) -> str:
    """The language that is used for somebody of this one: `fi` for `fi-FI`."""
    main = (language or "").replace("_", "-").split("-")[0].lower()
    return main if main in _LANGUAGES else FALLBACK


def promised_text(language: str) -> str:
    return _PROMISED[language]


def call_back_text(language: str) -> str:
    return _CALL_BACK[language]


def offered_in_words(choices: Collection[str], most: datetime | None, language: str, zone: str) -> str:
    """What somebody may choose who writes while many wait; `most` is by when a call back is promised."""
    words = _LANGUAGES[language]
    at = _at(words, most, zone) if most else ""
    told = [words.sentences[key].format(most=at) for key in ("many", *choices, "person")]
    return " ".join([*told, *([words.sentences["zone"].format(zone=zone)] if "call_back" in choices else [])])


def in_words(facts: Facts, language: str, zone: str) -> str:
    """`language` as `spoken` gives it."""
    words = _LANGUAGES[language]

    def at(instant: datetime | None) -> str:
        return _at(words, instant or facts.now, zone)

    values = {
        "at": at(facts.promised_by), "long": _long(words, facts.seconds or 0), "count": facts.ahead, "zone": zone,
        "half": at(facts.likely and facts.likely[0]), "most": at(facts.likely and facts.likely[1]),
    }  # fmt: skip
    told = [words.sentences[key].format(**values) for key in _of_the_wait(facts)]
    hours = {"open": facts.closes_at, "opens": facts.opens_at}
    told += [words.sentences[key].format(at=at(hours.get(key))) for key in _of_the_hours(facts)]
    return " ".join([*told, words.sentences["zone"].format(zone=zone)])


def _of_the_wait(facts: Facts) -> Iterator[str]:
    if not facts.waits:
        yield "nobody_waits"
        return
    if facts.promised_by is None:
        yield "waits"
    elif facts.promised_by < facts.now:
        yield "late"
    elif facts.first and facts.seconds:
        yield "first_business" if facts.business else "first"
    else:
        yield "next"
    if facts.ahead is not None:
        yield "ahead" if facts.ahead else "nobody"
    if facts.likely:
        yield "likely"


def _of_the_hours(facts: Facts) -> Iterator[str]:
    if facts.open:
        yield "open" if facts.closes_at else "always"
    else:
        yield "opens" if facts.opens_at else "closed"


def _at(words: _Language, instant: datetime, zone: str) -> str:
    """To the second, and up: whoever was told an instant is not late within it."""
    up = instant + timedelta(microseconds=-instant.microsecond % 1_000_000)
    local = up.astimezone(zone_rules(zone))
    pattern = "%H:%M:%S" if local.second else "%H:%M"
    clock = local.strftime(pattern)
    if words is _LANGUAGES["fi"]:
        clock = clock.replace(":", ".")
    return words.instant.format(d=local, clock=clock, month=_MONTHS[local.month - 1])


def _long(words: _Language, seconds: int) -> str:
    """In the largest unit that says it in whole; up to two minutes in seconds."""
    size, unit = next(
        (size, unit)
        for size, unit in ((3600, 2), (60, 1), (1, 0))
        if size == 1 or (seconds % size == 0 and seconds > 120)
    )
    count = ceil(seconds / size)
    return f"{count} {(words.one if count == 1 else words.units)[unit]}"
