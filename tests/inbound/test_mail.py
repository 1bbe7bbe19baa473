"""A corpus of odd mails, read."""

import base64
from email import errors, message_from_bytes
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.inbound.mail import Mail, NothingMade, read
from app.inbound.parts import LONGEST_TEXT, MOST_PARTS, Unreadable
from app.inbound.quotes import without_quotes


def mail(*headers: str, body: bytes = b"Hello.", sender: str = "Ann <ann@example.org>") -> Mail:
    return read("\r\n".join([f"From: {sender}", *headers, "", ""]).encode() + body)


@pytest.mark.parametrize(
    ("charset", "body", "expected"),
    [
        ("iso-8859-1", "Grüße".encode("latin-1"), "Grüße"),
        ("koi8-r", "Привет".encode("koi8-r"), "Привет"),
        ("iso-2022-jp", "返品です".encode("iso-2022-jp"), "返品です"),
        ("utf-7", b"Gr+APwA3w-e", "Grüße"),
        ("us-ascii", "Grüße".encode(), "Grüße"),
        ("utf-8", "Grüße".encode("latin-1"), "Grüße"),
        ("no-such-charset", "Grüße".encode(), "Grüße"),
        ("base64", b"Hello", "Hello"),
        ("utf-8", b"NUL\x00 within", "NUL within"),
    ],
)
def test_a_text_is_read_whatever_charset_it_says_it_has(charset: str, body: bytes, expected: str) -> None:
    assert mail(f"Content-Type: text/plain; charset={charset}", body=body).text == expected


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?utf-8?b?not base64!?=", "=?utf-8?b?not base64!?="),
        ("=?no-such?q?caf=C3=A9?=", "café"),
        ("Grüße", "Grüße"),
        ("=?utf-8?q?Hi=0D=0ABcc:_all@example.org?=", "Hi Bcc: all@example.org"),
        ("two\r\n lines", "two lines"),
        ("", "(no subject)"),
        ("x" * 900, "x" * 500),
    ],
)
def test_a_subject_is_one_line_of_text(subject: str, expected: str) -> None:
    assert mail(f"Subject: {subject}").subject == expected


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("ann@example.org", ("ann@example.org", None)),
        ('"Doe, Ann" <ann@example.org>', ("ann@example.org", "Doe, Ann")),
        (
            "=?utf-8?q?Doe=2C_=3Cbob=40example=2Eorg=3E?= <ann@example.org>",
            ("ann@example.org", "Doe, <bob@example.org>"),
        ),
        ("nobody", ("", None)),
    ],
)
def test_a_sender_is_an_address_that_no_encoded_word_can_forge(sender: str, expected: tuple[str, str | None]) -> None:
    found = mail(sender=sender)
    assert (found.address, found.name) == expected


def test_plain_text_is_taken_before_html_and_html_is_shown_as_text() -> None:
    both = EmailMessage()
    both.set_content("Plain.")
    both.add_alternative("<p>Rich.</p>", subtype="html")
    assert read(both.as_bytes()).text == "Plain."
    html = b"<style>p {}</style><p>One&nbsp;&amp; two<br>three</p><script>alert(1)</script>"
    assert mail("Content-Type: text/html", body=html).text == "One & two\nthree"


def test_files_come_along_from_any_depth_and_a_message_within_is_one_file() -> None:
    inner = EmailMessage()
    inner["Subject"] = "Within"
    inner.set_content("Not what they say.")
    whole = EmailMessage()
    whole.set_content("See these.")
    whole.add_attachment(b"\x00\x01", maintype="application", subtype="ms-tnef", filename="winmail.dat")
    whole.add_attachment(inner)
    whole.add_attachment("Some text.", filename="räksmörgås.txt")
    found = read(whole.as_bytes())
    assert found.text == "See these."
    assert [file.name for file in found.files] == ["winmail.dat", "message.eml", "räksmörgås.txt"]
    assert found.files[0].content == b"\x00\x01"
    assert b"Within" in found.files[1].content


@pytest.mark.parametrize("disposition", ["", "Content-Disposition: inline; filename=x.txt\r\n"])
@pytest.mark.parametrize("kind", ["text/plain", "text/markdown", '"text/plain"', "text / plain"])
def test_a_text_with_a_name_is_the_text_where_there_is_no_other(kind: str, disposition: str) -> None:
    found = mail(f'{disposition}Content-Type: {kind}; name="x.txt"')
    assert (found.text, found.files) == ("Hello.", ())


def mixed(*parts: str, subtype: str = "mixed") -> Mail:
    body = "".join(f"--b\r\n{part}\r\n" for part in parts)
    return mail(f"Content-Type: multipart/{subtype}; boundary=b", body=f"{body}--b--".encode())


NAMED = 'Content-Type: text/plain; name="x.txt"\r\n'


@pytest.mark.parametrize(
    ("part", "text", "files"),
    [
        (f"{NAMED}\r\nNamed.", "Hello.", ["x.txt"]),
        (f"{NAMED}Content-Disposition: inline\r\n\r\nNamed.", "Hello.\n\nNamed.", []),
        (f"{NAMED}Content-Disposition: attachment\r\n\r\nNamed.", "Hello.", ["x.txt"]),
        ("Content-Type: text/html\r\n\r\n<p>Named.</p>", "Hello.\n\nNamed.", []),
    ],
)
def test_texts_of_a_mail_are_told_in_order_and_a_named_one_beside_another_is_a_file(
    part: str, text: str, files: list[str]
) -> None:
    found = mixed("\r\nHello.", part)
    assert (found.text, [file.name for file in found.files]) == (text, files)


def test_what_is_sent_as_text_and_again_as_html_is_told_once() -> None:
    html = "<p>It works.</p><blockquote>Try this.</blockquote>"
    assert mixed("\r\nIt\r\nworks.\r\n\r\n> Try this.", f"Content-Type: text/html\r\n\r\n{html}").text == "It\nworks."


def test_a_lists_footer_does_not_hide_what_html_says() -> None:
    assert mixed("Content-Type: text/html\r\n\r\n<p>Body.</p>", "\r\nFooter.").text == "Body.\n\nFooter."


def test_of_alternatives_the_plain_one_is_told_where_it_says_something() -> None:
    html = "Content-Type: text/html\r\n\r\n<p>Rich.</p>"
    assert mixed(html, "\r\nPlain.", subtype="alternative").text == "Plain."
    assert mixed("\r\n \r\n", html, subtype="alternative").text == "Rich."


PARTS = "--c\r\nContent-Type: text/plain\r\n\r\nHello.\r\n--c\r\nContent-Type: image/png\r\n\r\nx\r\n--c--"


@pytest.mark.parametrize(
    ("headers", "body", "files", "defect"),
    [
        ("Content-Type: multipart/mixed", PARTS, 1, errors.NoBoundaryInMultipartDefect),
        ("Content-Type: multipart/mixed; boundary=b", PARTS, 1, errors.StartBoundaryNotFoundDefect),
        ('Content-Type: multipart/mixed; boundary="c', PARTS, 1, errors.StartBoundaryNotFoundDefect),
        ("Content-Type: multipart/mixed; boundary=b", "Hello.", 0, errors.StartBoundaryNotFoundDefect),
        ("Content-Type: multipart/mixed", "Hello.", 0, errors.MultipartInvariantViolationDefect),
        ("Content-Type: multipart/mixed; boundary=c", PARTS.rstrip("-"), 1, errors.CloseBoundaryNotFoundDefect),
        (
            "Content-Type: multipart/mixed; boundary=c\r\nContent-Transfer-Encoding: base64",
            PARTS,
            1,
            errors.InvalidMultipartContentTransferEncodingDefect,
        ),
        (
            "Content-Type: multipart/mixed; boundary=c\r\nContent-Transfer-Encoding: base64",
            base64.encodebytes(PARTS.encode()).decode(),
            1,
            errors.InvalidMultipartContentTransferEncodingDefect,
        ),
        (
            "Content-Type: multipart/mixed; boundary=c",
            "--c\r\nHello.\r\n--c--",
            0,
            errors.MissingHeaderBodySeparatorDefect,
        ),
        ("X: y\r\nFrom ann Mon\r\nX: z", "Hello.", 0, errors.MisplacedEnvelopeHeaderDefect),
        ("X: y\r\nHello.", "", 0, errors.MissingHeaderBodySeparatorDefect),
        ('Content-Transfer-Encoding: "base64"', "SGVsbG8u", 0, None),
        ("Content-Transfer-Encoding: base64 (RFC 2045)", "SGVsbG8u", 0, None),
        ("Content-Transfer-Encoding: base64;", "SGVs\r\nbG8u", 0, None),
        ("Content-Transfer-Encoding: base64", "SGVsbG8uI", 0, None),
        ("Content-Transfer-Encoding: base64", "SGVsbG8u====", 0, None),
        ("Content-Transfer-Encoding: base64", "SGVs\r\nbG8uIA", 0, None),
        ("Content-Transfer-Encoding: 8-bit", "Hello.", 0, None),
    ],
)
def test_a_mail_that_is_broken_still_says_what_can_be_read(
    headers: str, body: str, files: int, defect: type[errors.MessageDefect] | None
) -> None:
    raw = f"From: ann@example.org\r\n{headers}\r\n\r\n{body}".encode()
    defects = [found for part in message_from_bytes(raw).walk() for found in part.defects]
    assert any(isinstance(found, defect) for found in defects) if defect else not defects
    found = read(raw)
    assert (found.text, len(found.files)) == ("Hello.", files)


def test_a_broken_multipart_within_another_is_read_too() -> None:
    found = mixed(f"Content-Type: multipart/mixed; boundary=other\r\n\r\n{PARTS}", "\r\nBye.")
    assert (found.text, len(found.files)) == ("Hello.\n\nBye.", 1)


@pytest.mark.parametrize("before", ["\ufeff", "\r\n", " \n\n", ">From ann Mon\n", "From ann Mon\r\n"])
def test_what_a_file_put_before_the_headers_is_passed_over(before: str) -> None:
    found = read(f"{before}From: ann@example.org\r\n\r\nHello.".encode())
    assert (found.address, found.text) == ("ann@example.org", "Hello.")


def test_a_mail_without_an_id_is_known_by_its_bytes_and_a_long_id_by_a_digest() -> None:
    assert mail().id == mail().id != mail("X: y").id
    assert mail("Message-ID: <a@b>").id == "<a@b>"
    assert mail(f"Message-ID: <{'a' * 400}@b>").id.startswith("sha256:")


def test_what_it_answers_is_named_nearest_first() -> None:
    found = mail("In-Reply-To: <c@x>", "References: <a@x>\r\n <b@x> <c@x>", "To: help+4711@example.org, b@example.org")
    assert (found.answers, found.numbers) == (("<c@x>", "<b@x>", "<a@x>"), (4711,))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a@x", ["<a@x>"]),
        ("<a@x><b@x>", ["<a@x>", "<b@x>"]),
        ("a@x, <b@x>\r\n c@x", ["<a@x>", "<b@x>", "<c@x>"]),
        ("(of (a) p@x) <a@x> (added by q@x)", ["<a@x>"]),
        ("<a@\r\n x>", ["<a@x>"]),
        ('"Ann, of Monday" <a@x>', ["<a@x>"]),
        ("=?utf-8?q?=3Ca=40x=3E?=", ["<a@x>"]),
        ("<unknown>", ["<unknown>"]),
        ("unknown", []),
        ("@", []),
        ("< >", []),
    ],
)
def test_an_id_is_understood_with_and_without_brackets_and_among_comments(written: str, expected: list[str]) -> None:
    assert mail(f"In-Reply-To: {written}").answers == tuple(expected)
    assert mail(f"References: {written}").answers == tuple(reversed(expected))
    found = mail(f"Message-ID: {written}").id
    assert found == expected[0] if expected else found.startswith("sha256:")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Auto-Submitted: auto-replied (vacation)", NothingMade.auto_reply),
        ("Auto-Submitted: no", None),
        ("Auto-Submitted: no (a person)", None),
        ("Precedence: bulk", NothingMade.auto_reply),
        ("X-Autoreply: yes", NothingMade.auto_reply),
        ("Return-Path: <>", NothingMade.bounce),
        ("Content-Type: multipart/report; report-type=delivery-status; boundary=x", NothingMade.bounce),
        ("To: Ann <ANN@example.org>", NothingMade.loop),
        ("To: help@example.org\r\nDelivered-To: ann@example.org", NothingMade.loop),
        ("To: help@example.org\r\nCc: Ann <ann@example.org>", None),
        ("To: ann@example.org\r\nDelivered-To: help@example.org", None),
        ("\r\n".join(["Received: by x"] * 41), NothingMade.loop),
        ("To: help@example.org", None),
    ],
)
def test_what_no_person_sent_is_told_apart(header: str, expected: NothingMade | None) -> None:
    assert mail(header).unanswered is expected


def test_a_bounce_is_known_by_its_sender() -> None:
    assert mail(sender="MAILER-DAEMON@mx.example.org").unanswered is NothingMade.bounce


@pytest.mark.parametrize("date", ["yesterday", "Mon, 99 Foo 2026", "Fri, 31 Dec 9999 23:59:59 -1200", ""])
def test_a_date_that_is_none_is_left_out(date: str) -> None:
    assert mail(f"Date: {date}").sent_at is None


def test_what_is_nested_too_deep_or_has_too_many_parts_is_refused() -> None:
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(2000))
    with pytest.raises(Unreadable):
        read(deep)
    with pytest.raises(Unreadable):
        read(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * (MOST_PARTS + 1))


def test_a_huge_text_is_cut() -> None:
    assert len(mail(body=b"word " * 1_000_000).text) <= LONGEST_TEXT


_WORDS = st.sampled_from([
    b"Content-Type: ", b"multipart/mixed; boundary=b", b"text/html; charset=", b"message/rfc822", b"--b\r\n", b"--b--",
    b"Content-Transfer-Encoding: ", b"base64", b"quoted-printable", b"\r\n", b"\r\n\r\n", b"From: ", b"To: ", b"a@b.c",
    b"=?utf-8?b?", b"=?", b"?=", b"Date: ", b"Content-Disposition: attachment; filename*=", b"x''%FF", b"<", b">", b",",
    b"Message-ID: ", b"References: ", b"\xff\xfe", b"\x00", b"uuencode", b"Subject: ", b"/w==", b"(", b'"',
])  # fmt: skip


@given(st.lists(st.one_of(_WORDS, st.binary(max_size=6)), max_size=40))
def test_whatever_comes_is_read(words: list[bytes]) -> None:
    found = read(b"".join(words))
    assert found.text
    assert found.subject.isprintable()
    (found.text + (found.name or "") + found.id + "".join(file.name for file in found.files)).encode()


_OWN = "Thanks, that helped."


@pytest.mark.parametrize(
    "quoted",
    [
        "\n\nOn Mon, 30 Nov 2026 at 10:00, Ben <ben@example.org> wrote:\n> Try this.\n> And that.\n",
        "\n\nOn Mon, 30 Nov 2026 at 10:00, Ben Longname\n<ben@example.org> wrote:\n\n> Try this.",
        "\n\nAm 30.11.2026 um 10:00 schrieb Ben:\n> Nimm das.",
        "\n\nLe lun. 30 nov. 2026 à 10:00, Ben a écrit :\n> Ceci.",
        "\n\nBen <ben@example.org> kirjoitti:\n> Näin.",
        "\n\n-----Original Message-----\nFrom: Ben\nTry this.",
        "\n> Try this.\n",
    ],
)
def test_what_an_answer_repeats_is_cut(quoted: str) -> None:
    assert without_quotes(_OWN + quoted) == _OWN


@pytest.mark.parametrize(
    "text",
    ["On Mon, Ben wrote:\n> One?\nYes.\n> Two?\nNo.", "> only this", "> One?\nYes.", "He wrote: nothing.", "a > b\nc"],
)
def test_answers_between_the_lines_and_a_mere_quote_stay(text: str) -> None:
    assert without_quotes(text) == text
