"""Texts and queries as words. PostgreSQL's own parser reads tags, paths, addresses and signed numbers where there are
none, so it is given words that are cut here: blind to case, width, accents and Unicode form. Pure.

A word is a run of letters and digits. Scripts that put no blanks between words are cut into pairs of characters
(bigrams), with the last character of a run by itself. Emoji are words; signs that are no letters (©, arrows) are words
at the place of the word before them, so that no phrase breaks at them. Digits that may be a telephone number are also
one word without their separators, with and without what is dialled from abroad. A version is one without its v, too."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

# Letters that Unicode does not take apart.
_PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "ĸ": "k", "œ": "oe", "æ": "ae", "þ": "th"}
)
# What NFKC makes letters of, which would grow together with the word beside them. A sign before a number says nothing.
_LETTERLIKE = {
    "№": ".", "℡": ".", "℻": ".", "™": "®", "℠": "®", "℗": "©", "‼": "‽", "⁉": "‽", "⁈": "‽", "ℹ": ".i.", "Ⓜ": ".m.",
    "♯": "#", "º": "°",
}  # fmt: skip
_LETTERLIKE_SIGN = re.compile(rf"[{''.join(_LETTERLIKE)}](?:(?<!º)|(?=\s*\d))")
# Stands between two texts: no phrase reaches across it. It also is a blank, and what users write of it is one.
BREAK = "\x1d"
# A zero width non-joiner parts words in Persian; everything else that formats does not show.
_NON_JOINER = "\u200c"
# Variation selectors, skin tones, and what encloses a character other than that of a key: the same character.
_FORMS = re.compile(
    "[\u034f\u0488\u0489\u180b-\u180d\u180f\u20dd-\u20e0\u20e2\u20e4\ua670-\ua672\ufe00-\ufe0f"
    "\U0001f3fb-\U0001f3ff\U000e0100-\U000e01ef]"
)
_OF_KEY = "\u20e3"
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")

# Scripts without blanks between words: Thai, Lao, Tibetan, Burmese, Hangul, Khmer, kana, bopomofo, Han, Tai Le, New Tai
# Lue, Buginese, Tai Tham, Balinese, Sundanese, Batak, Yi, Vai, Javanese, Tai Viet, Ahom, Tangut, Khitan, Nushu.
_UNSPACED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u0edc-\u0edf\u0f00\u0f40-\u0fbc\u1000-\u103f\u1050-\u108f\u109a-\u109d"
    "\ua9e0-\ua9ef\ua9fa-\ua9fe\uaa60-\uaa7f\u1100-\u11ff\u1780-\u17d3\u17d7\u17dc\u17dd\u3005-\u3007\u3031-\u3035"
    "\u3041-\u3096\u3099-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u3131-\u318e\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003fffd"
    "\u1950-\u1974\u1980-\u19c9\u1a00-\u1a1b\u1a20-\u1a7c\u1aa7\u1b00-\u1b4c\u1b80-\u1baf\u1bba-\u1bf3"
    "\ua000-\ua48c\ua500-\ua60c\ua610-\ua61f\ua62a\ua62b\ua980-\ua9c0\ua9cf\uaa80-\uaadd"
    "\U00011700-\U0001172b\U00016fe0-\U00018d08\U0001b000-\U0001b2fb"
)


def _vowel_signs() -> str:
    """Of India's scripts and others, which are no letters to `\\w`; what combines in order is folded away. As ranges,
    which `re` needs to be quick."""
    codes = [
        code
        for code in (*range(0x0700, 0x1D00), *range(0xA800, 0xAC00), *range(0x10A00, 0x12000))
        if unicodedata.category(chr(code)) in ("Mn", "Mc") and not unicodedata.combining(chr(code))
    ]
    runs = [[code for _, code in run] for _, run in groupby(enumerate(codes), lambda one: one[1] - one[0])]
    return "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in runs)


_VOWELS = _vowel_signs()
_EMOJI = "\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\u3030\u303d\U0001f000-\U0001faff"
_MARKS = "©®‽\u2190-\u21ff\u25a0-\u25ff\u2900-\u297f"
# `C++` and `C#` are words of their own: what follows a word is taken along.
_TOKEN = re.compile(
    rf"(?P<run>[{_UNSPACED}]+)"
    rf"|(?P<word>(?:[^\W_{_UNSPACED}]+|(?=[\u0700-\U00011fff])[{_VOWELS}]+)+)(?P<sign>\+\+(?!\+)|#(?![#a-z])|{_OF_KEY})?"
    rf"|(?P<emoji>[{_EMOJI}]|[#*]{_OF_KEY})"
    rf"|(?P<mark>[{_MARKS}])"
    rf"|(?P<gap>{BREAK})"
)
# Nobody searches for longer words, and PostgreSQL keeps none beyond 2 KB.
_LONGEST_WORD = 100
# So many places of one word, and none beyond, are what a tsvector keeps.
_MOST_PLACES, _LAST_PLACE = 255, 16_383

# Groups of digits with little between them, on one line. Dates are none, unless they go on from other digits.
_BETWEEN = r"().\-‐-―−/_·•⋅・"
_DATE = r"(?:(?:19|20)\d\d[-./_][0-3]?\d[-./_][0-3]?\d|[0-3]?\d[-./_][0-3]?\d[-./_](?:19|20)\d\d)(?!\d)"
_DIGITS = re.compile(rf"(?P<date>{_DATE})|(?:\+|\()?\d+(?:(?:,|[ \t{_BETWEEN}]{{1,3}}(?!(?<=[ \t]){_DATE}))\+?\d+)*")
_GROUP = re.compile(r"(\+|\()?(\d+)(\)?)")
# They part the groups of one number or several numbers.
_OF_LISTS = ",/_"
_SHORTEST_NUMBER, _SHORTEST_FORM, _LONGEST_NUMBER, _FROM_ABROAD = 7, 6, 15, 11
# Country calling codes of one digit and of two (ITU-T E.164); all others have three.
_CODES = re.compile(r"[17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]")

# A phrase in quotes, which need not be closed, or what stands between blanks.
_MARK = re.compile(f"[{_MARKS}]")
_PARTS = re.compile(r'-*"[^"]*"?|[^\s"]+')
_OF_NUMBER = re.compile(rf"\.?\+?[\d,{_BETWEEN}]+")
_VERSION = re.compile(r"v(?:er(?:sion)?)?(\d+)")
_VERSION_WITH_PARTS = re.compile(r"(?<![^\W_])v(?:er(?:sion)?)?(?=\d+\.\d)")
# Folding may make a query longer.
_LONGEST = 400

# The text search configurations of PostgreSQL 15, by the primary subtag of a BCP 47 tag.
_LANGUAGES = {
    "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian",
    "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "nb": "norwegian", "ne": "nepali",
    "nl": "dutch", "nn": "norwegian", "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip


def folded(text: str) -> str:
    """What is compared."""
    if text.isascii():
        return text.lower()
    apart = _LETTERLIKE_SIGN.sub(lambda sign: _LETTERLIKE[sign[0]], text.replace(_NON_JOINER, " "))
    decomposed = unicodedata.normalize("NFKD", apart)
    bare = "".join(char for char in decomposed if char.isalnum() or not _is_mark(char))
    composed = unicodedata.normalize("NFKC", _FORMS.sub("", bare).casefold().translate(_PLAIN))
    return _OTHER_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), composed)


def _is_mark(char: str) -> bool:
    return unicodedata.combining(char) > 0 or unicodedata.category(char) == "Cf"


def language(tag: str | None) -> str | None:
    """The configuration that stems this language, if there is one."""
    return _LANGUAGES.get(re.split("[-_]", tag)[0].lower()) if tag else None


class Word(NamedTuple):
    """`place`: counted in its text; what stands at one place is one thing in several forms, or a word and its marks.
    `pair`: two characters of a run without blanks. `tail`: the last character of a run."""

    text: str
    place: int
    pair: bool = False
    tail: bool = False


def words(text: str) -> list[Word]:
    """Of a folded text, in order, and behind them the forms of what may be telephone numbers."""
    found = _cut(text)
    last = found[-1].place if found else 0
    return [*found, *(Word(number, last) for number in _numbers(text))]


def _cut(text: str) -> list[Word]:
    found: list[Word] = []
    place = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "run":
            found += _pairs(match[0], place)
            place += len(match[0])
            continue
        if kind == "mark":
            found.append(Word(match[0], max(place - 1, 0)))
            continue
        if kind == "sign":
            found += [Word(form, place) for form in _signed(match["word"], match["sign"])]
        elif kind != "gap":
            if match[0][0] == "v" and (version := _VERSION.fullmatch(match[0][:_LONGEST_WORD])):
                found.append(Word(version[1], place))
            found.append(Word(match[0][:_LONGEST_WORD], place))
        place += 1
    return found


def _pairs(run: str, place: int) -> list[Word]:
    pairs = [Word(run[n : n + 2], place + n, pair=True) for n in range(len(run) - 1)]
    return [*pairs, Word(run[-1], place + len(run) - 1, tail=True)]


def _signed(word: str, sign: str) -> list[str]:
    """A letter with a sign is another word than the letter; a longer word with one is still the word."""
    if len(word) == 1 and word.isalpha():
        return [word + sign]
    word = word[:_LONGEST_WORD]
    return [word] if sign == "#" else [word, word + sign]


def _numbers(text: str) -> dict[str, None]:
    """The forms of what may be telephone numbers in a folded text: each beginning at which one may begin, each end."""
    found: dict[str, None] = {}
    for match in _DIGITS.finditer(text):
        if match["date"] or match.end() - match.start() < _SHORTEST_NUMBER:
            continue
        groups = [group for group in _GROUP.finditer(match[0]) if group[0] != "(0)"]
        if sum(len(group[2]) for group in groups) < _SHORTEST_NUMBER:
            continue
        for n, first in enumerate(groups):
            begins = n == 0 or first[1] or first[2].startswith("0") or match[0][first.start() - 1] in _OF_LISTS
            if begins:
                found |= _numbers_from([group[2] for group in groups[n:]], abroad=first[1] == "+")
    return found


def _numbers_from(groups: Iterable[str], *, abroad: bool) -> dict[str, None]:
    found: dict[str, None] = {}
    digits = ""
    for group in groups:
        digits += group
        if len(digits) > _LONGEST_NUMBER:
            break
        if len(digits) >= _SHORTEST_NUMBER:
            found |= dict.fromkeys(_dialled(digits, abroad=abroad))
    return found


def _dialled(digits: str, *, abroad: bool) -> list[str]:
    """As it is dialled from abroad and, without the zero in front, at home."""
    if digits.startswith("00") and len(digits) >= _FROM_ABROAD:
        digits, abroad = digits[2:], True
    plain = digits.lstrip("0")
    forms = [plain]
    if plain == digits and (abroad or len(digits) >= _FROM_ABROAD):
        code = _CODES.match(digits)
        forms.append(digits[code.end() if code else 3 :].lstrip("0"))
    return [form for form in forms if len(form) >= _SHORTEST_FORM]


def vector(parts: Iterable[tuple[str, str]]) -> str:
    """Weights with folded texts as the literal of a tsvector. No word holds what would need quoting."""
    places: dict[str, list[str]] = {}
    start = 1
    for weight, text in parts:
        found = words(text)
        for word in found:
            at = places.setdefault(word[0], [])
            if len(at) < _MOST_PLACES:
                at.append(f"{min(start + word[1], _LAST_PLACE)}{weight}")
        start += found[-1].place + 2 if found else 0
    return " ".join([f"'{word}':{','.join(at)}" for word, at in places.items()])


def spaced(text: str) -> str:
    """The words of a folded text with blanks between them, each once."""
    return " ".join(dict.fromkeys(word.text for word in words(text)))


def stemmable(text: str) -> str:
    """The words of a folded text that a language may bend, in order."""
    return " ".join(match["word"] for match in _TOKEN.finditer(text) if match["word"] and _bends(match["word"]))


def _bends(word: str) -> bool:
    return len(word) <= _LONGEST_WORD and not any(char.isdigit() for char in word)


@dataclass(frozen=True, slots=True)
class Part:
    """Of what is asked for. `exact`: a tsquery for the words as they are. `plain`: the word itself, where it is one
    that a language may bend. `unfinished`: it may still be being typed."""

    exact: str
    plain: str | None = None
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be there: all parts of any one of these. And what is not: none of these."""

    wanted: tuple[tuple[Part, ...], ...]
    excluded: tuple[Part, ...]


def asked(query: str) -> Asked:
    """In the language of web searches. A slash parts words, other punctuation within a word makes it a phrase. A
    version with a v is asked for without it."""
    found = _PARTS.findall(_VERSION_WITH_PARTS.sub("", folded(query)).replace("/", " ")[:_LONGEST])
    wanted = [one for one in found if not one.startswith("-")]
    excluded = [one.lstrip("-") for one in found if one.startswith("-")]
    unfinished = bool(wanted) and found[-1] is wanted[-1] and wanted[-1][-1].isalnum() and '"' not in wanted[-1]
    *others, last = _alternatives(wanted)
    groups = [*(_all(group) for group in others), _all(last, unfinished=unfinished)]
    return Asked(tuple(group for group in groups if group), tuple(part for one in excluded for part in _part(one)))


def _alternatives(wanted: Sequence[str]) -> list[list[str]]:
    """`or` between two others parts them; elsewhere it is a word."""
    groups: list[list[str]] = [[]]
    for place, one in enumerate(wanted, 1):
        if one == "or" and groups[-1] and place < len(wanted):
            groups.append([])
        else:
            groups[-1].append(one)
    return groups


def _all(some: Sequence[str], *, unfinished: bool = False) -> tuple[Part, ...]:
    """What may belong to one number, together; everything else by itself."""
    found: list[Part] = []
    place = 0
    for are_digits, together in groupby(some, lambda one: _OF_NUMBER.fullmatch(one) is not None):
        several = list(together)
        place += len(several)
        ends = unfinished and place == len(some)
        found += _number(several, unfinished=ends) if are_digits else _each(several, unfinished=ends)
    return tuple(found)


def _each(some: Sequence[str], *, unfinished: bool) -> list[Part]:
    return [part for n, one in enumerate(some, 1) for part in _part(one, unfinished=unfinished and n == len(some))]


def _number(some: Sequence[str], *, unfinished: bool) -> list[Part]:
    """Digits: as a telephone number or as they are."""
    parts = _each(some, unfinished=unfinished)
    numbers = _whole_number(" ".join(some))
    if not numbers or not parts:
        return parts
    begun = ":*" if unfinished else ""
    forms = " | ".join(f"'{number}'{begun}" for number in numbers)
    return [Part(f"{forms} | ({' & '.join(f'({part.exact})' for part in parts)})")]


def _whole_number(text: str) -> list[str]:
    groups = [group for group in _GROUP.finditer(text) if group[0] != "(0)"]
    digits = "".join(group[2] for group in groups)
    if not _SHORTEST_NUMBER <= len(digits) <= _LONGEST_NUMBER:
        return []
    return _dialled(digits, abroad=text.lstrip(".").startswith("+"))


def _part(text: str, *, unfinished: bool = False) -> list[Part]:
    """What stands between blanks, or a phrase in quotes; nothing where there is no word in it."""
    quoted = text.startswith('"')
    # Marks are asked for only by themselves.
    bare = _MARK.sub(".", text)
    text = bare if _TOKEN.search(bare) else text
    found = list(_TOKEN.finditer(text))
    if quoted or not any(match["run"] for match in found):
        exact = _phrase(text, unfinished=unfinished)
    else:
        *others, last = (match[0] for match in found)
        each = [*(_loosely(one) for one in others), _loosely(last, unfinished=unfinished)]
        exact = " & ".join(dict.fromkeys(each))
    if not exact:
        return []
    word = found[0]["word"] if len(found) == 1 and not quoted else None
    bends = word is not None and word == found[0][0] and _bends(word)
    return [Part(exact, word if bends else None, unfinished)]


def _loosely(token: str, *, unfinished: bool = False) -> str:
    """Of a run all pairs, in any order: PostgreSQL keeps the places of the first 16,383 only."""
    pairs = dict.fromkeys(f"'{word.text}'" for word in _cut(token) if word.pair)
    return " & ".join(pairs) or _phrase(token, unfinished=unfinished)


def _phrase(text: str, *, unfinished: bool) -> str:
    """One word after the other: of forms of the same word the last, of a run what holds wherever it ends."""
    found = list({word.place: word for word in _cut(text)}.values())
    if not found:
        return ""
    if found[-1].tail and len(found) > 1 and found[-2].pair:
        found.pop()
    begun = ":*" if found[-1].tail or unfinished else ""
    return " <-> ".join(f"'{word.text}'" for word in found) + begun
