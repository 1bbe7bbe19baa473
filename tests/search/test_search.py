"""Full-text search: what a ticket says is found, by whoever may read it, in whatever form it was written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.search.text import asked, folded, vector
from tests.support.desk import as_body, pointer
from tests.support.search import Searching, word
from tests.support.world import World


async def test_every_text_of_a_ticket_is_found(searching: Searching) -> None:
    words = [word() for _ in range(9)]
    subject, external, tag, product, name, mail, theirs, said, noted = words
    ticket = await searching.desk.open(
        subject=f"About {subject}", external_id=external, tags=[tag], product=product, description=f"It is {said}.",
        customer={"external_id": theirs, "name": f"Ann {name}", "email": f"ann@{mail}.example.com"},
    )  # fmt: skip
    await searching.desk.say(searching.desk.agent, ticket, body=noted, visibility="internal")
    for one in [*words, f"#{ticket['number']}", str(ticket["number"]), f"ann@{mail}.example.com", f"{subject} {noted}"]:
        assert await searching.finds(one, ticket), one
    assert not await searching.finds(f"{subject} {word()}", ticket)


async def test_what_changes_is_found_by_what_it_is_now(searching: Searching) -> None:
    old, new, said, edited = (word() for _ in range(4))
    customer = await searching.world.made("/v1/customers", {"name": old})
    ticket = await searching.desk.open(customer={"id": customer["id"]}, subject=old)
    message = (await searching.desk.say(searching.desk.agent, ticket, body=said)).json()
    assert await searching.finds(f"{old} {said}", ticket)
    await searching.desk.change(searching.desk.agent, ticket, subject=new)
    path = f"/v1/tickets/{ticket['id']}/messages/{message['id']}"
    await searching.desk.agent.patch(path, json={"body": edited})
    assert await searching.finds(f"{new} {old} {edited}", ticket)  # the customer has the old name
    assert not await searching.finds(said, ticket)
    await searching.desk.admin.patch(f"/v1/customers/{customer['id']}", json={"name": new})
    assert not await searching.finds(old, ticket)
    await searching.desk.agent.delete(path)
    assert not await searching.finds(edited, ticket)


@pytest.mark.parametrize(
    ("written", "searched"),
    [
        ("STRASSE{}", "straße{}"), ("Straße{}", "strasse{}"), ("Ärger{}", "arger{}"), ("arger{}", "ÄRGER{}"),
        ("café{}", "cafe\u0301{}"), ("ｗｉｄｅ{}", "wide{}"), ("Øl{}", "ol{}"), ("Łódź{}", "lodz{}"),
        ("İstanbul{}", "istanbul{}"), ("sıcak{}", "sicak{}"), ("œuvre{}", "oeuvre{}"), ("ΣΊΣΥΦΟΣ{}", "σισυφος{}"),
        ("ﬁne{}", "fine{}"), ("Ёлка{}", "елка{}"), ("either/{}", "{}"), ("x@{}.example.org", "x@{}.example.org"),
    ],
)  # fmt: skip
async def test_words_are_found_whatever_their_form(searching: Searching, written: str, searched: str) -> None:
    own = word()
    ticket = await searching.desk.open(subject=written.format(own))
    assert await searching.finds(searched.format(own), ticket)


_FORMS = [
    ("Order 2024-{}1", "{}1"), ("INC-{}", "{}"), ("INC {}", "inc-{}"), ("INC-{}", "INC {}"),
    ("value <x is {}", "{}"), ("List<{}>", "{}"), ("<https://shop.example/{}>", "{}"), ("<{}", "{}"),
    ("ann@{}.example", "{}"), ("ann@{}.example", "{}.example"), ("www.{}.org", "{}.org"), ("invoice_{}.pdf", "{}"),
    ("cancelled.{}", "{}"), ("{}.please", "{}"), ("Danke.{}", "danke"),
    ("订单{}已取消", "{}"), ("{}订单ABC123已取消", "取消"), ("{}订单ABC123已取消", "单"),
    ("{}订单ABC123已取消", "abc123"),
    ("{}ผมต้องการยกเลิก", "ยกเลิก"), ("{}ご注文をキャンセル", "キャンセル"), ("{}배송주문취소", "주문"),
    ("{}ကျေးဇူးတင်ပါတယ်", "ဇူးတင်"), ("{}អរគុណច្រើន", "គុណ"), ("{}ຂອບໃຈຫຼາຍ", "ໃຈ"),
    ("C++ {}", "C++ {}"), ("C# {}", "c# {}"), ("🔥 {}", "{} 🔥"), ("+358 40 123 4567 {}", "{} 0401234567"),
    ("040-1234567 {}", "{} +358401234567"),
    ("+49 (0)40/123 45 67 {}", "{} 0401234567"), ("040,1234567 {}", "{} 040/1234567"),
    ("040 1234567 {}", "{} 040·1234567"),
    ("№4711 {}", "{} 4711"), ("4711 {}", "{} №4711"), ("№4711 {}", "{} #4711"), ("nº4711 {}", "{} 4711"),
    ("n°4711 {}", "{} 4711"), ("Nr.4711 {}", "{} 4711"), ("nº4711 {}", "{} n°4711"),
    ("℡0401234567 {}", "{} +358401234567"),
    ("v2.3.4 {}", "{} 2.3.4"), ("2.3.4 {}", "{} v2.3.4"), ("v2.3.4 {}", "{} v2.3"), ("Version2.3 {}", "{} v2.3"),
    ("release-v2 {}", "{} 2"), ("app_v2.3 {}", "{} 2.3"),
    ("▶️ {}", "▶ {}"), ("↩ {}", "↩️ {}"), ("⤴️ {}", "⤴️ {}"), ("©️ {}", "© {}"), ("™️ {}", "™ {}"), ("ℹ️ {}", "ℹ️ {}"),
    ("↔️ {}", "↔️ {}"), ("🔢 {}", "🔢 {}"), ("1️⃣ {}", "1️⃣ {}"), ("#️⃣ {}", "#️⃣ {}"), ("🇫🇮 {}", "🇫🇮 {}"), ("‼️ {}", "‼ {}"),
    ("{}™", "{}"), ("{}", "{}®"), ("one → two {}", '"one two" {}'), ("one two {}", '"one® two" {}'), ("ℹ️{}", "{}"),
    ("C♯ {}", "C# {}"), ("F# {}", "f♯ {}"),
    ("{}ꦱꦸꦒꦼꦁꦫꦮꦸꦃ", "ꦒꦼꦁ"), ("{}ᬲᬸᬓ᭄ᬲ᭄ᬫ", "ᬓ᭄ᬲ᭄ᬫ"), ("{}ᮠᮒᮥᮁᮔᮥᮠᮥᮔ᮪", "ᮔᮥᮠ"), ("{}ᨣᩴᩤᨾᩮᩬᩥᨦ", "ᨾᩮᩬᩥᨦ"), ("{}ꆈꌠꁱꂷ", "ꌠꁱ"),
    ("{} ދިވެހި", "ދިވެހި {}"), ("{} ꯃꯩꯇꯩ", "ꯃꯩꯇꯩ {}"), ("{} 𑄌𑄋𑄴𑄟𑄳𑄦", "𑄌𑄋𑄴𑄟𑄳𑄦 {}"),
]  # fmt: skip


@pytest.mark.parametrize("place", ["subject", "external_id", "product", "tags", "description"])
async def test_parts_of_what_was_written_are_found_in_every_text(searching: Searching, place: str) -> None:
    for form, q in _FORMS:
        own = word()
        text = form.format(own)
        ticket = await searching.desk.open(**{place: [text] if place == "tags" else text})
        asked_for = q.format(own)
        assert await searching.finds(asked_for if own in asked_for else f"{asked_for} {own}*", ticket), (form, q)


async def test_a_letter_with_a_sign_is_another_word_than_the_letter(searching: Searching) -> None:
    own = word()
    texts = ("C", "C++", "C♯")
    tickets = {text: (await searching.desk.open(subject=f"{text} {own}"))["id"] for text in texts}
    for text in texts:
        assert await searching.found(f"{text} {own}") == [tickets[text]]


async def test_a_message_is_read_by_itself(searching: Searching) -> None:
    first, second = word(), word()
    ticket = await searching.desk.open(description=f"value <x {first}")
    await searching.desk.say(searching.desk.agent, ticket, body=f"{second} > quoted")
    assert await searching.finds(f"{first} {second}", ticket)
    assert not await searching.finds(f'"{first} {second}"', ticket)
    assert not await searching.finds(f'"{second} quoted value"', ticket)


@st.composite
def _text_and_piece(draw: st.DrawFn) -> tuple[str, str]:
    pieces = draw(st.lists(st.sampled_from([
        "Order 2024-12345", "INC-7711", "<b>x</b>", "a<b c>d", "ann.lee@widget.example", "www.acme.org/a_b.pdf", "C++",
        "c#",
        "订单ABC123已取消", "ผมต้องการ", "កម្មវិធី", "ကျေးဇူး", "주문을취소", "+358 40 123 4567", "🔥🔥", "it's", "ﷺ", "१२",
        "Straße", "don’t", "x" * 150, "+49 (0)40/123 45 67", "040·1234567", "040,1234567", "30/11/2026", "№4711",
        "nº4711", "v2.3.4", "Acme™", "▶️", "‼️", "1️⃣", "C♯", "ꦱꦸꦒꦼꦁ", "ᬲᬸᬓ᭄ᬲ᭄ᬫ", "ꆈꌠꁱꂷ", "ދިވެހި",
    ]), min_size=1, max_size=6))  # fmt: skip
    return draw(st.sampled_from([" ", "\n", ", ", " <"])).join(pieces), draw(st.sampled_from(pieces))


async def test_a_piece_of_a_text_finds_the_text(searching: Searching) -> None:
    documents, queries = [], []

    @settings(max_examples=200, database=None, derandomize=True)
    @given(_text_and_piece())
    def collect(pair: tuple[str, str]) -> None:
        documents.append(vector([("", folded(pair[0]))]))
        queries.append(" & ".join(f"({part.exact})" for part in asked(pair[1]).wanted[0]))

    collect()
    found = "SELECT d, q FROM unnest($1::text[], $2::text[]) AS t (d, q) WHERE NOT d::tsvector @@ q::tsquery"
    assert await searching.world.sql.fetch(found, documents, queries) == []


@pytest.mark.parametrize(
    ("language", "written", "searched", "same"),
    [
        ("en", "The cards were charged", "card charge", True),
        ("en-GB", "The cards were charged", "charging cards", True),
        ("fi", "Laskut puuttuvat", "lasku", True),
        ("de", "Die Rechnungen fehlen", "Rechnung", True),
        ("nb", "Kortene mangler", "kort", True),
        ("nn", "Kortene manglar", "kort", True),
        ("sv", "Fakturorna saknas", "faktura", True),
        ("xx", "The cards were charged", "charging cards", False),
        (None, "The cards were charged", "charging cards", False),
    ],
)
async def test_a_known_language_is_found_by_its_stems(
    searching: Searching, language: str | None, written: str, searched: str, same: bool
) -> None:
    own = word()
    customer = await searching.world.made(
        "/v1/customers", {"name": "N", **({"language": language} if language else {})}
    )
    ticket = await searching.desk.open(customer={"id": customer["id"]}, subject=written, description=own)
    assert await searching.finds(f"{own} {searched}", ticket) is same


async def test_the_last_word_is_a_beginning_unless_it_is_finished(searching: Searching) -> None:
    own = word()
    english = await searching.world.made("/v1/customers", {"name": "N", "language": "en"})
    await searching.desk.open(customer={"id": english["id"]})
    ticket = await searching.desk.open(subject=f"{own} refunded")
    for q, expected in [
        (f"{own} refun", True), (f"{own} refunded", True), (own[:9], True), (f"refun {own}", False),
        (f'{own} "refun"', False), (f'{own} "refun', False), (f"{own} refun.", False), (f"{own} -refun", True),
        (f"{own} -refunded", False), (f"{own} -\"refunded\"", False), (f"-refun {own}", True),
            (f'"{own} refunded"', True),
        (f'"refunded {own}"', False), (f"{own} -{own[:9]}", True),
            (f"{own[:9]} -other", False), (f"nothing or {own}", True),
    ]:  # fmt: skip
        assert await searching.finds(q, ticket) is expected, q


async def test_a_phrase_is_its_words_as_they_are_and_in_their_order(searching: Searching) -> None:
    """In a language, too, whose stemmer drops some of them."""
    own, other = word(), word()
    german = await searching.world.made("/v1/customers", {"name": "N", "language": "de"})
    ticket = await searching.desk.open(
        customer={"id": german["id"]}, subject=own, description="Der Drucker ist kaputt, die Rechnungen fehlen."
    )
    for q, expected in [
        ('"ist kaputt"', True), ('"kaputt ist"', False), ('"IST KAPUTT', True), ('"ist"', True), ('"der ist"', False),
        ('"Rechnungen"', True), ('Rechnung "ist kaputt"', True), ('"ist kaputt" Rechn', True),
        ('Rechnung "kaputt ist"', False), ('-"kaputt ist"', True), ('-"ist kaputt"', False), ("ist", True),
        (f'"kaputt ist" or {own} Rechnung', True), (f'{other} or {own} "ist kaputt"', True),
        (f'{other} or "kaputt ist"', False), (f'{other} "ist kaputt" or "kaputt ist"', False),
    ]:  # fmt: skip
        assert await searching.finds(f"{own} {q}" if " or " not in q else q, ticket) is expected, q


@pytest.mark.parametrize(
    "q",
    [
        "'", "''", "a & | b", "!", "!!a", "a:*", "a:*b", "(", ")(", "<->", "a <-> b", "\\", "\\'",
        "'; drop table tickets",
        "%a%b%c%", "a'b", "a''b'", "':*", "a:ABCD", '"', '""', '"a', "-", "--", "- a", "-a", "or", "or or", "a or",
        "\N{PILE OF POO}", "\u0301", "\u202e", "\ufffe", "ﷺ" * 200, "x" * 200, "ς", "1e999",
        "-1", "#", "a/b/c", "http://a.example/b?c=d", "a@b", "<b>a</b>", "&amp;", "*", "a*", "'a' | 'b'",
    ],
)  # fmt: skip
async def test_a_hostile_query_is_taken_literally(searching: Searching, q: str) -> None:
    for who in (searching.desk.agent, searching.desk.customer):
        for sort in ("-created_at", "relevance", "priority"):
            query = {"q": q, "sort": sort, "count": "estimate"}
            assert (await who.get("/v1/tickets", params=query)).status_code == 200, q


async def test_a_query_without_a_word_finds_nothing(searching: Searching) -> None:
    await searching.desk.open()
    for q in (".", "  ", '""', "-", "!?", "\N{COMBINING ACUTE ACCENT}"):
        for sort in ("-created_at", "relevance"):
            page = as_body(
                await searching.desk.agent.get("/v1/tickets", params={"q": q, "sort": sort, "count": "estimate"})
            )
            assert (page["items"], page["next_cursor"], page["estimated_count"]) == ([], None, 0)


async def test_a_query_has_a_length_and_relevance_a_query(searching: Searching) -> None:
    for query in ({"q": ""}, {"q": "x" * 201}, {"sort": "relevance"}):
        answer = await searching.desk.agent.get("/v1/tickets", params=query)
        assert pointer(answer) in ("/query/q", "/query/sort"), query


async def test_a_customer_finds_what_was_said_to_them_and_nothing_else(searching: Searching, world: World) -> None:
    own, noted, theirs = word(), word(), word()
    ticket = await searching.desk.open(subject=own)
    other = await searching.desk.open(subject=f"{own} {theirs}", customer={"id": world.stranger})
    await searching.desk.say(searching.desk.agent, ticket, body=noted, visibility="internal")
    customer = searching.desk.customer
    assert await searching.found(own, customer) == [ticket["id"]]
    assert set(await searching.found(own)) == {ticket["id"], other["id"]}
    for sort in ("created_at", "-updated_at", "priority", "relevance"):
        assert await searching.found(own, customer, sort=sort) == [ticket["id"]]
        for q in (noted, theirs, f"{own} {noted}", f"{own} {theirs}", noted[:8]):
            assert await searching.found(q, customer, sort=sort) == []
            assert await searching.found(q, sort=sort) != []
        # Nor is it told by what excluding it leaves out.
        assert await searching.found(f"{own} -{noted}", customer, sort=sort) == [ticket["id"]]
    for q, count in ((own, 1), (noted, 0), (theirs, 0)):
        page = as_body(await customer.get("/v1/tickets", params={"q": q, "count": "estimate"}))
        assert page["estimated_count"] == count


async def test_notes_neither_rank_nor_crowd_out_anything_for_a_customer(searching: Searching) -> None:
    own = word()
    first = await searching.desk.open(subject="Often", description=f"{own} {own} {own}")
    second = await searching.desk.open(subject="Once", description=f"It is {own} after some other words.")
    before = await searching.found(own, searching.desk.customer, sort="relevance")
    assert before == [first["id"], second["id"]]
    for _ in range(3):
        text = f"{own} " * 20_000
        assert (
            await searching.desk.say(searching.desk.agent, second, body=text[:100_000], visibility="internal")
        ).is_success
    assert await searching.found(own, searching.desk.customer, sort="relevance") == before


async def test_relevance_puts_the_subject_before_the_text_and_pages_without_gaps(searching: Searching) -> None:
    own = word()
    tickets = [
        await searching.desk.open(subject=own if n % 3 == 0 else "Help", description=f"{'so ' * (n % 5)}{own}")
        for n in range(12)
    ]
    whole = await searching.found(own, sort="relevance")
    assert set(whole) == {ticket["id"] for ticket in tickets}
    assert {tickets[n]["id"] for n in (0, 3, 6, 9)} == set(whole[:4])
    page = await searching.desk.agent.get("/v1/tickets", params={"q": own, "sort": "relevance", "limit": 5})
    found = [ticket["id"] for ticket in page.json()["items"]]
    while page.json()["next_cursor"]:
        page = await searching.desk.agent.get(page.links["next"]["url"])
        found += [ticket["id"] for ticket in page.json()["items"]]
    assert found == whole
