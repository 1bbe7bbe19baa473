"""Names made safe, and types told by content. Pure."""

import gzip
import io
import unicodedata
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tickets.files import LONGEST_NAME, content_type, disposition, safe_name


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("päivä – 日本.pdf", "päivä – 日本.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ann\\a.txt", "a.txt"),
        ("..", "attachment"),
        ("", "attachment"),
        (" \t ", "attachment"),
        ("dir/", "attachment"),
        (".htaccess", "htaccess"),
        ("a.txt. . ", "a.txt"),
        ("evil\u202efdp.exe", "evilfdp.exe"),
        ("a\x00b\x1b[31m\r\nc.txt", "ab[31m c.txt"),
        ("a\u2028b", "a b"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("com1 .txt", "_com1 .txt"),
        ("LPT¹", "_LPT¹"),
        ("console.txt", "console.txt"),
        ('a<b>:"c|d?e*.txt', "a_b___c_d_e_.txt"),
        ("e\u0301.txt", "\u00e9.txt"),
        ("x" * 500 + ".pdf", "x" * 196 + ".pdf"),
        ("x" * 500, "x" * 200),
    ],
)
def test_a_name_is_made_harmless(given: str, kept: str) -> None:
    assert safe_name(given) == kept


@given(st.text(st.characters(), max_size=400))
def test_whatever_the_name_what_is_kept_is_one_short_part_of_a_path(name: str) -> None:
    kept = safe_name(name)
    assert 0 < len(kept) <= LONGEST_NAME
    assert not set(kept) & set('/\\<>:"|?*')
    assert all(unicodedata.category(char)[0] != "C" for char in kept)
    assert kept == kept.strip(". ")
    assert safe_name(kept) == kept
    # A header holds ASCII, and one line of it.
    disposition(kept).encode("ascii")
    assert "\n" not in disposition(kept)


def test_the_header_has_the_name_for_old_and_for_new_clients() -> None:
    assert disposition('a"%é.txt') == "attachment; filename=\"a___.txt\"; filename*=UTF-8''a%22%25%C3%A9.txt"


def _zip(*names: str) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name in names:
            archive.writestr(name, "<x/>")
    return whole.getvalue()


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0" + bytes(40)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0\1" + bytes(50), "image/jpeg"),
        (b"GIF89a\1\0\1\0\0\0\0;", "image/gif"),
        (b"GIF89a<script>alert(1)</script>\0", "image/gif"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "application/pdf"),
        (b"%PDF-1.4\n1 0 obj", "application/pdf"),
        (_zip("a.txt"), "application/zip"),
        (
            _zip("[Content_Types].xml", "word/document.xml"),
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        (gzip.compress(b"x", mtime=0), "application/gzip"),
        (b"Hello there", "text/plain"),
        ("Grüße, 日本 \U0001f600".encode(), "text/plain"),
        (b"", "text/plain"),
        # Their first two letters are a signature of something else.
        (b"BMW broke down", "text/plain"),
        (b"MZ said hello", "text/plain"),
        # What a browser or a system would run, or might.
        (b"<!DOCTYPE html><html><script>alert(1)</script>", "text/plain"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>", "text/plain"),
        (b"<?xml version='1.0'?><svg/>", "text/plain"),
        (b"%!PS-Adobe-3.0", "text/plain"),
        ("<html><script>alert(1)</script>".encode("utf-16"), "application/octet-stream"),
        (b"<svg>\0<script>", "application/octet-stream"),
        (b"<html>\xff", "application/octet-stream"),
        (b"MZ\x90\0\3" + bytes(60), "application/octet-stream"),
        (b"\x7fELF\2\1\1" + bytes(60), "application/octet-stream"),
        (b"CWS\x0a\xff" + bytes(40), "application/octet-stream"),
        (b"\0asm\1\0\0\0", "application/octet-stream"),
        (bytes(range(256)), "application/octet-stream"),
    ],
)
def test_the_type_is_what_the_content_says(content: bytes, kind: str) -> None:
    assert content_type(content) == kind


def test_text_is_text_wherever_a_letter_is_cut_by_a_piece() -> None:
    for size in (65535, 65536, 131070):
        assert content_type(b"a" * size + "é日\U0001f600".encode() * 50_000) == "text/plain"
    assert content_type(b"a" * 65535 + "é".encode()[:1]) == "application/octet-stream"


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"PK\3\4", b"\0\0\0\x20ftyp", b"RIFF", PNG[:12], b"\x1aE\xdf\xa3"])
)
def test_no_content_makes_it_stumble_or_run(rest: bytes, head: bytes) -> None:
    kind = content_type(head + rest)
    assert not any(word in kind for word in ("html", "svg", "xml;", "script", "flash", "wasm"))
