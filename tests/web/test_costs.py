"""What an operation costs is declared at its route."""

from typing import Any

import pytest

from app.main import create_app
from app.settings import Settings
from app.web.admission import BULK, HEAVY, READ, REPORT, VITAL, WORK, Costs
from tests.auth.asking import operations
from tests.support.document import plain
from tests.web.test_limits import UUID7, _layer


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({}, 12),
        ({"pool_size": 4}, 3),
        ({"pool_size": 1}, 1),
        ({"concurrency": 10}, 4),
        ({"caller_concurrency": 99}, 99),
    ],
)
def test_one_callers_share_is_below_the_pool_and_below_what_lists_may_take(settings: Any, share: int) -> None:
    assert Settings(**settings).share_of_caller == share


UNUSUAL = {
    VITAL: "get_liveness get_readiness get_metrics get_problem stream_events",
    REPORT: "report_response_times report_backlog report_handling_times report_self_service report_overload_offers "
    "report_availability report_quality get_service_goal_history explain_service_goal",
    HEAVY: "export_customer get_customer_service_record get_organization_service_record import_tickets preview_segment "
    "reapply_sla_policy erase_customer merge_customer unmerge_customer redeliver_webhook_deliveries "
    "compute_staffing_forecast",
    BULK: "list_events list_view_tickets list_segment_members get_attachment_content update_tickets explain_ticket "
    "apply_macro_to_tickets solve_problem list_webhook_deliveries explain_sla_policies compute_business_time "
    "suggest_articles get_service_goal_status create_sla_simulation",
}


def test_each_operation_costs_what_its_route_declares() -> None:
    app = create_app(Settings(database_url="postgresql://nowhere.test/n"))
    declared = {name: cost for cost, names in UNUSUAL.items() for name in names.split()}
    costs: Costs = _layer(app)._admission.costs
    found = {}
    document = plain(app.openapi())
    for operation in operations(document):
        path = operation.path
        for name in operation.path_parameters:
            path = path.replace(f"{{{name}}}", "auto_close" if name == "automation_key" else UUID7)
        found[operation.id] = costs.of(operation.method, path)
        asked = document["paths"][operation.path][operation.method.lower()].get("parameters", ())
        whole_list = any(each.get("name") == "cursor" for each in asked) and UUID7 not in path
        usual = WORK if operation.method != "GET" else BULK if whole_list else READ
        assert found[operation.id] == declared.get(operation.id, usual), operation.id
    assert declared.keys() <= found.keys()
    assert found["create_ticket"] == found["create_message"] == WORK
    assert found["get_ticket"] == found["list_messages"] == found["get_automation"] == READ


def test_what_is_no_operation_costs_as_a_list_and_what_is_beside_the_api_nothing() -> None:
    costs = Costs()
    costs.add({"GET"}, "/v1/things/{id}", READ)
    costs.add({"GET"}, "/v1/things/by-name/{name}", WORK, rest=True)
    asked = {
        ("GET", "/v1/things/1"): READ, ("HEAD", "/v1/things/1"): READ, ("POST", "/v1/things/1"): BULK,
        ("GET", "/v1/things"): BULK, ("GET", "/v1/things/1/2"): BULK, ("GET", "/v1/things/by-name/a/b/c"): WORK,
        ("OPTIONS", "/v1/things/1"): VITAL, ("GET", "/docs"): VITAL, ("GET", "/"): VITAL, ("GET", ""): VITAL,
    }  # fmt: skip
    assert {each: costs.of(*each) for each in asked} == asked
