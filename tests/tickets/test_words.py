"""Texts and queries as words: what is cut, and that a query finds what its text was cut from."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.search.text import Part, asked, folded, stemmable, vector, words

_ALPHABET = "ab1 Éß.,-_/@+#<>()\"'\\:*&|!~\n\x1d\u200b\u200c\u00ad订单取消ทดสอบកខគမြန်한국어カなहिन्दी🔥👍🏽\u0301İﷺ٣"
_TEXTS = st.text(st.one_of(st.sampled_from(_ALPHABET), st.characters(exclude_categories=["Cs"])), max_size=60)


def cut(text: str) -> set[str]:
    return {word.text for word in words(folded(text))}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Order 2024-12345", {"order", "2024", "12345"}),
        ("INC-4711/iphone-15", {"inc", "4711", "iphone", "15"}),
        ("value <x is fine", {"value", "x", "is", "fine"}),
        ("List<String> <https://shop.example/x>", {"list", "string", "https", "shop", "example", "x"}),
        ("ann@widget.example invoice_march.pdf", {"ann", "widget", "example", "invoice", "march", "pdf"}),
        ("cancelled.please,Danke.Gruß", {"cancelled", "please", "danke", "gruss"}),
        ("C", {"c"}),
        ("C++", {"c++"}),
        ("C#, F#.", {"c#", "f#"}),
        ("notepad++", {"notepad", "notepad++"}),
        ("订单ABC123已取消", {"订单", "单", "abc123", "已取", "取消", "消"}),
        ("ok🔥👍🏽", {"ok", "🔥", "👍"}),
        ("दिल्ली में", {folded("दिल्ली"), "में"}),
        ("٣٤٥", {"345"}),
        ("co\u00adop\u200berate", {"cooperate"}),
        (".,!?", set()),
    ],
)
def test_a_text_is_cut_into_its_words(text: str, expected: set[str]) -> None:
    assert expected <= cut(text)
    assert cut(text) - expected <= {"202412345"}


_WRITTEN = [
    "+358 40 123 4567", "+358-40-123-4567", "+358 (0)40 1234567", "00358401234567", "040 123 4567", "0401234567",
    "(040) 123-4567", "358401234567", "call +358401234567.", "040-1234567 or 02.01.2024",
]  # fmt: skip


@pytest.mark.parametrize("written", _WRITTEN)
@pytest.mark.parametrize("asked_for", ["0401234567", "+358401234567", "+358 40 123 4567", "040-123 45 67"])
def test_a_telephone_number_is_the_same_in_any_writing(written: str, asked_for: str) -> None:
    [[part]] = asked(asked_for).wanted
    forms = re.findall(r"'(\d+)'", part.exact.split("(")[0])
    assert cut(written) & set(forms)


def test_dates_make_no_telephone_numbers() -> None:
    assert cut("2024-01-02 10:00, 02.01.2024") == {"2024", "01", "02", "10", "00"}


@given(_TEXTS)
def test_no_word_needs_quoting_and_each_has_its_place(text: str) -> None:
    literal = vector([("A", folded(text)), ("", folded(text))])
    for entry in literal.split(" ") if literal else ():
        assert re.fullmatch(r"'[^'\\\s]{1,104}':\d+A?(,\d+A?)*", entry), entry


@given(_TEXTS)
def test_what_is_asked_for_is_made_of_words_alone(text: str) -> None:
    parts: list[Part] = [part for group in asked(text).wanted for part in group] + list(asked(text).excluded)
    for part in parts:
        assert part.exact
        assert not re.search(r"[^\s&|()<>:*-]", re.sub(r"'[^'\\\s]+'", "", part.exact))
        assert part.plain is None or part.plain == stemmable(part.plain)
