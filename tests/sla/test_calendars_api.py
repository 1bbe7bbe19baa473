from typing import Any

import httpx
import pytest

from tests.support.verification import OFFICE, WEEKDAYS, Body, good, pointers, write_calendar

URL = "/v1/business-calendars"


async def _compute(client: httpx.AsyncClient, **body: Any) -> Any:
    answer = good(await client.post(f"{URL}/compute", json=body))
    assert answer.keys() == {"result"}
    return answer["result"]


async def _is_open(client: httpx.AsyncClient, calendar: Body, start: str) -> Any:
    return await _compute(client, calendar=calendar, op="is_open", start=start)


async def _change(client: httpx.AsyncClient, calendar: Body, **values: Any) -> Body:
    return good(await client.patch(f"{URL}/{calendar['id']}", json=values))


async def test_what_was_written_is_read_back_with_a_location_and_an_etag(client: httpx.AsyncClient) -> None:
    body = {
        "name": "Office", **OFFICE, "holidays": ["2026-12-31"], "holiday_region": "FI",
        "date_hours": {"2026-12-24": [["09:00", "12:00"]], "2027-01-04": []},
    }  # fmt: skip
    answer = await client.post(URL, json=body)
    assert answer.status_code == 201
    made = answer.json()
    assert {name: made[name] for name in body} == body
    assert (made["version"], made["archived_at"], answer.headers["etag"]) == (1, None, '"1"')
    assert answer.headers["location"] == f"{URL}/{made['id']}"
    read = await client.get(answer.headers["location"])
    assert (read.json(), read.headers["etag"]) == (made, '"1"')
    assert (await client.get(URL)).json() == {"items": [made], "next_cursor": None}
    same = await client.get(answer.headers["location"], headers={"If-None-Match": '"1"'})
    assert same.status_code == 304


async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient) -> None:
    nowhere = f"{URL}/01900000-0000-7000-8000-000000000000"
    for answer in (await client.get(nowhere), await client.patch(nowhere, json={}), await client.delete(nowhere)):
        assert answer.status_code == 404


async def test_a_change_makes_the_next_version_and_a_stale_one_is_refused(client: httpx.AsyncClient) -> None:
    made = await write_calendar(client)
    path = f"{URL}/{made['id']}"
    answer = await client.patch(path, json={"name": "Shop"}, headers={"If-Match": '"1"'})
    assert (answer.json()["version"], answer.json()["name"], answer.headers["etag"]) == (2, "Shop", '"2"')
    assert answer.json()["hours"] == made["hours"]
    for method in ("PATCH", "DELETE"):
        stale = await client.request(method, path, json={"name": "Mine"}, headers={"If-Match": '"1"'})
        assert stale.status_code == 412
    assert (await client.get(path)).json() == answer.json()


async def test_a_patch_that_changes_nothing_makes_no_version_and_no_job(client: httpx.AsyncClient) -> None:
    made = await write_calendar(client)
    same = {"name": made["name"], "hours": {"mon": made["hours"]["mon"]}, "holidays": [], "date_hours": {}}
    assert await _change(client, made, **same) == made
    assert (await client.get("/v1/sla-jobs")).json()["items"] == []


async def test_days_are_merged_and_null_closes_one(client: httpx.AsyncClient) -> None:
    made = await write_calendar(client)
    changed = await _change(client, made, hours={"mon": None, "tue": [["10:00", "12:00"]], "sat": [["09:00", "10:00"]]})
    rest = {day: WEEKDAYS[day] for day in ("wed", "thu", "fri")}
    assert changed["hours"] == {**rest, "tue": [["10:00", "12:00"]], "sat": [["09:00", "10:00"]]}
    stored = {"calendar_id": made["id"], "op": "is_open"}
    assert await _compute(client, **stored, start="2026-11-23T08:00:00Z") is False
    assert await _compute(client, **stored, start="2026-11-28T07:30:00Z") is True


async def test_dates_are_merged_and_null_takes_one_away(client: httpx.AsyncClient) -> None:
    dates = {"2026-12-23": [], "2026-12-24": [["09:00", "12:00"]]}
    made = await write_calendar(client, holidays=["2026-12-24"], date_hours=dates)
    stored = {"calendar_id": made["id"], "op": "is_open"}
    assert await _compute(client, **stored, start="2026-12-24T08:00:00Z") is True
    assert await _compute(client, **stored, start="2026-12-23T08:00:00Z") is False
    changed = await _change(client, made, date_hours={"2026-12-24": None, "2026-12-22": []})
    assert changed["date_hours"] == {"2026-12-23": [], "2026-12-22": []}
    # What outweighed the holiday is gone; the holiday is not.
    assert await _compute(client, **stored, start="2026-12-24T08:00:00Z") is False
    opened = await _change(client, changed, holidays=[])
    assert await _compute(client, calendar_id=opened["id"], op="is_open", start="2026-12-24T08:00:00Z") is True


async def test_archiving_hides_it_from_the_list_and_shuts_it(client: httpx.AsyncClient) -> None:
    made, kept = await write_calendar(client), await write_calendar(client, name="Other")
    path = f"{URL}/{made['id']}"
    for _ in range(2):
        assert (await client.delete(path)).status_code == 204
    assert [item["id"] for item in (await client.get(URL)).json()["items"]] == [kept["id"]]
    read = (await client.get(path)).json()
    assert read["archived_at"] is not None
    assert {**read, "archived_at": None} == made
    refused = await client.patch(path, json={"name": "Again"})
    assert (refused.status_code, refused.json()["code"]) == (409, "calendar_archived")


WRONG = [
    ({"timezone": "Europe/Atlantis"}, "/timezone"),
    ({"timezone": ""}, "/timezone"),
    ({"hours": {"mon": [["09:00", "12:00"], ["11:00", "13:00"]]}}, "/hours/mon/1"),
    ({"hours": {"mon": [["11:00", "13:00"], ["09:00", "12:00"]]}}, "/hours/mon/0"),
    ({"hours": {"mon": [["09:00", "09:00"]]}}, "/hours/mon/0"),
    ({"hours": {"mon": [["17:00", "09:00"]]}}, "/hours/mon/0"),
    ({"hours": {"mon": [["25:00", "24:00"]]}}, "/hours/mon/0/0"),
    ({"hours": {"mon": [["09:00", "24:01"]]}}, "/hours/mon/0/1"),
    ({"hours": {"mon": [["9:00", "10:00"]]}}, "/hours/mon/0/0"),
    ({"hours": {"mon": [["09:00"]]}}, "/hours/mon/0"),
    ({"hours": {"monday": []}}, "/hours/monday"),
    ({"holiday_region": "XX"}, "/holiday_region"),
    ({"holiday_region": "US-ZZ"}, "/holiday_region"),
    ({"holiday_region": "Finland"}, "/holiday_region"),
    ({"holidays": ["2026-02-30"]}, "/holidays/0"),
    ({"holidays": ["2026-01-01", "1.1.2027"]}, "/holidays/1"),
    ({"holidays": ["1969-12-31"]}, "/holidays/0"),
    ({"date_hours": {"2026-12-24": [["09:00", "12:00"], ["11:00", "13:00"]]}}, "/date_hours/2026-12-24/1"),
    ({"date_hours": {"2026-12-24": [["12:00", "12:00"]]}}, "/date_hours/2026-12-24/0"),
]


@pytest.mark.parametrize(("wrong", "pointer"), WRONG, ids=lambda part: str(part)[:60])
async def test_a_wrong_part_is_named_by_its_pointer_and_nothing_is_stored(
    client: httpx.AsyncClient, wrong: Body, pointer: str
) -> None:
    made = await write_calendar(client)
    assert pointers(await client.post(URL, json={"name": "Other", **OFFICE, **wrong})) == [pointer]
    assert pointers(await client.patch(f"{URL}/{made['id']}", json=wrong)) == [pointer]
    inline = {"calendar": {**OFFICE, **wrong}, "op": "is_open", "start": "2026-11-23T08:00:00Z"}
    assert pointers(await client.post(f"{URL}/compute", json=inline)) == [f"/calendar{pointer}"]
    assert (await client.get(URL)).json()["items"] == [made]


@pytest.mark.parametrize("hours", [{}, {"mon": []}, {"mon": None, "sun": []}])
async def test_a_calendar_that_never_opens_is_refused_though_a_date_has_hours(
    client: httpx.AsyncClient, hours: Body
) -> None:
    body = {"name": "Never", "timezone": "UTC", "hours": hours, "date_hours": {"2026-12-24": [["09:00", "12:00"]]}}
    assert pointers(await client.post(URL, json=body)) == ["/hours"]
    del body["name"]
    asked = {"calendar": body, "op": "is_open", "start": "2026-11-23T08:00:00Z"}
    assert pointers(await client.post(f"{URL}/compute", json=asked)) == ["/calendar/hours"]


async def test_closing_the_last_open_day_is_refused(client: httpx.AsyncClient) -> None:
    made = await write_calendar(client, hours={"mon": [["09:00", "17:00"]]})
    path = f"{URL}/{made['id']}"
    assert pointers(await client.patch(path, json={"hours": {"mon": None}})) == ["/hours"]
    assert (await client.get(path)).json() == made


async def test_holidays_of_a_country_and_of_a_part_of_one(client: httpx.AsyncClient) -> None:
    for region, open_then in ((None, True), ("FI", False)):
        calendar = {**OFFICE, "holiday_region": region}
        assert await _is_open(client, calendar, "2026-12-25T08:00:00Z") is open_then
        assert await _is_open(client, calendar, "2026-12-23T08:00:00Z") is True
    made = await write_calendar(client, holiday_region="FI")
    assert await _compute(client, calendar_id=made["id"], op="is_open", start="2026-12-25T08:00:00Z") is False
    # Patriots' Day is one in Massachusetts, and not in all of the country.
    boston = {"timezone": "America/New_York", "hours": WEEKDAYS}
    for region, open_then in (("US", True), ("US-MA", False)):
        assert await _is_open(client, {**boston, "holiday_region": region}, "2026-04-20T15:00:00Z") is open_then
    assert await _is_open(client, {**boston, "holiday_region": "US"}, "2026-07-03T15:00:00Z") is False


async def test_hours_of_a_date_outweigh_its_holiday(client: httpx.AsyncClient) -> None:
    calendar = {**OFFICE, "holiday_region": "FI", "date_hours": {"2026-12-25": [["10:00", "11:00"]]}}
    assert await _is_open(client, calendar, "2026-12-25T08:30:00Z") is True
    assert await _is_open(client, calendar, "2026-12-25T09:00:00Z") is False


async def test_computing_has_the_shapes_of_the_contract(client: httpx.AsyncClient) -> None:
    stored = {"calendar_id": (await write_calendar(client))["id"]}
    for calendar in ({"calendar": OFFICE}, stored):
        # Friday, half an hour before closing; then the weekend.
        friday = {**calendar, "start": "2026-11-20T14:30:00Z"}
        assert await _compute(client, **friday, op="after", seconds=3600) == "2026-11-23T07:30:00Z"
        assert await _compute(client, **friday, op="after", seconds=1800) == "2026-11-20T15:00:00Z"
        assert await _compute(client, **friday, op="after", seconds=0) == "2026-11-20T14:30:00Z"
        assert await _compute(client, **friday, op="elapsed", end="2026-11-23T07:30:00Z") == 3600
        assert await _compute(client, **friday, op="elapsed", end="2026-11-20T14:30:00Z") == 0
        assert await _compute(client, **friday, op="is_open") is True
        assert await _compute(client, **calendar, op="is_open", start="2026-11-20T15:00:00Z") is False
        assert await _compute(client, **calendar, op="is_open", start="2026-11-23T07:00:00Z") is True


async def test_a_span_backwards_is_negative(client: httpx.AsyncClient) -> None:
    body = {"calendar": OFFICE, "op": "elapsed", "start": "2026-11-23T07:30:00Z", "end": "2026-11-20T14:30:00Z"}
    assert await _compute(client, **body) == -3600


async def test_parts_of_a_second_and_offsets_are_exact(client: httpx.AsyncClient) -> None:
    body = {"calendar": OFFICE, "start": "2026-11-20T16:59:59.75+02:00"}
    assert await _compute(client, **body, op="after", seconds=0.5) == "2026-11-23T07:00:00.250000Z"
    assert await _compute(client, **body, op="elapsed", end="2026-11-23T09:00:00.25+02:00") == 0.5


async def test_a_calendar_that_was_read_can_be_sent_back(client: httpx.AsyncClient) -> None:
    made = await write_calendar(client)
    inline = {name: made[name] for name in ("name", "timezone", "hours", "holidays", "holiday_region", "date_hours")}
    body = {"op": "after", "start": "2026-11-20T14:30:00Z", "seconds": 3600}
    assert await _compute(client, calendar=inline, **body) == await _compute(client, calendar_id=made["id"], **body)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"op": "after", "start": "2026-11-20T14:30:00Z"}, "/seconds"),
        ({"op": "elapsed", "start": "2026-11-20T14:30:00Z"}, "/end"),
        ({"op": "after", "start": "2026-11-20T14:30:00Z", "seconds": -1}, "/seconds"),
        ({"op": "before", "start": "2026-11-20T14:30:00Z"}, "/op"),
        ({"op": "is_open", "start": "2026-11-20T14:30:00"}, "/start"),
        ({"op": "is_open"}, "/start"),
        ({"op": "is_open", "start": "2026-11-20T14:30:00Z", "calendar": None}, "/calendar"),
        (
            {"op": "is_open", "start": "2026-11-20T14:30:00Z", "calendar_id": "01900000-0000-7000-8000-000000000000"},
            "/calendar",
        ),
        (
            {
                "op": "is_open",
                "start": "2026-11-20T14:30:00Z",
                "calendar": None,
                "calendar_id": "01900000-0000-7000-8000-000000000000",
            },
            "/calendar_id",
        ),
    ],
)
async def test_a_computation_that_lacks_something_says_what(
    client: httpx.AsyncClient, body: Body, pointer: str
) -> None:
    assert pointers(await client.post(f"{URL}/compute", json={"calendar": OFFICE, **body})) == [pointer]


async def test_a_need_past_the_horizon_is_refused(client: httpx.AsyncClient) -> None:
    """One minute a week: ten years of seconds are never reached."""
    rare = {"timezone": "UTC", "hours": {"mon": [["09:00", "09:01"]]}}
    body = {"calendar": rare, "op": "after", "start": "2026-11-20T14:30:00Z", "seconds": 315_360_000}
    assert pointers(await client.post(f"{URL}/compute", json=body)) == ["/seconds"]
