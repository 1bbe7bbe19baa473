import json
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ValidationError

from app.segments.condition_schemas import ConditionsIn, ConditionsOut, RuleIn
from app.segments.rules import AllOf, Fields, FieldType, RuleError, evaluate

FIELDS = Fields({"ticket.priority": FieldType.TEXT}, {"customer.attributes.": FieldType.ANY_SCALAR})
PRO = {"field": "customer.attributes.plan", "op": "eq", "value": "pro"}
URGENT = {"field": "ticket.priority", "op": "eq", "value": "urgent"}


class SegmentIn(BaseModel):
    rule: RuleIn


def openapi() -> dict[str, Any]:
    app = FastAPI(separate_input_output_schemas=False)

    @app.post("/segments")
    def create_segment(body: SegmentIn) -> SegmentIn:
        return body

    @app.post("/policies")
    def create_policy(body: ConditionsIn) -> ConditionsOut:
        return ConditionsOut(all=body.all, any=body.any)

    return app.openapi()


def schemas() -> dict[str, Any]:
    found: dict[str, Any] = openapi()["components"]["schemas"]
    return found


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def test_every_shape_is_one_named_component() -> None:
    ours = {"ConditionIn", "ConditionOp", "ConditionScalar", "AllIn", "AnyIn", "NotIn", "RuleIn"}
    framework = {"HTTPValidationError", "ValidationError"}
    assert schemas().keys() - framework == ours | {"ConditionsIn", "ConditionsOut", "SegmentIn"}


def test_the_rule_is_a_union_that_refers_back_to_itself() -> None:
    found = schemas()
    assert found["RuleIn"] == {"anyOf": [ref("ConditionIn"), ref("AllIn"), ref("AnyIn"), ref("NotIn")]}
    assert found["SegmentIn"]["properties"]["rule"] == ref("RuleIn")
    assert found["NotIn"]["properties"] == {"not": ref("RuleIn")}
    for name, key in [("AllIn", "all"), ("AnyIn", "any"), ("ConditionsIn", "all"), ("ConditionsOut", "any")]:
        assert found[name]["properties"][key]["items"] == ref("RuleIn")


def test_the_schema_is_closed_and_states_the_limits() -> None:
    found = schemas()
    for name in ("ConditionIn", "AllIn", "AnyIn", "NotIn", "ConditionsIn"):
        assert found[name]["additionalProperties"] is False
    assert found["ConditionIn"]["required"] == ["field", "op", "value"]
    assert found["ConditionIn"]["properties"]["op"] == ref("ConditionOp")
    assert found["ConditionsOut"]["required"] == ["all", "any"]
    assert "required" not in found["ConditionsIn"]
    listed = {"type": "array", "items": ref("ConditionScalar"), "minItems": 1, "maxItems": 200}
    assert listed in found["ConditionIn"]["properties"]["value"]["anyOf"]


def test_no_schema_takes_just_anything() -> None:
    def walk(node: object) -> None:
        if isinstance(node, dict):
            assert node.get("type") != "object" or "properties" in node
            assert node.keys() - {"title", "description"} or "properties" not in node
            for each in node.values():
                walk(each)
        elif isinstance(node, list):
            for each in node:
                walk(each)

    ours = {name: schema for name, schema in schemas().items() if "Validation" not in name}
    walk(ours)


def test_conditions_become_a_rule() -> None:
    rule = ConditionsIn.model_validate_json(json.dumps({"all": [PRO], "any": [URGENT]})).to_rule(FIELDS)
    assert evaluate(rule, {"customer.attributes.plan": "pro", "ticket.priority": "urgent"})
    assert not evaluate(rule, {"customer.attributes.plan": "pro", "ticket.priority": "low"})


def test_conditions_left_out_match_everything() -> None:
    assert ConditionsIn.model_validate_json("{}").to_rule(FIELDS) == AllOf(())


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"all": [{**PRO, "field": "nowhere"}]}, "/all/0/field"),
        ({"any": [PRO, {"not": {"all": [{**URGENT, "op": "lt"}]}}]}, "/any/1/not/all/0/op"),
        ({"all": [7]}, "/all/0"),
    ],
)
def test_a_wrong_part_is_pointed_at_from_the_conditions(body: dict[str, Any], pointer: str) -> None:
    with pytest.raises(RuleError) as caught:
        ConditionsIn.model_validate_json(json.dumps(body)).to_rule(FIELDS)
    assert caught.value.pointer == pointer


@pytest.mark.parametrize("body", [{"every": []}, {"all": {}}, {"all": None}, {"any": [PRO] * 201}])
def test_the_conditions_object_itself_is_strict(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        ConditionsIn.model_validate_json(json.dumps(body))
    assert len(caught.value.errors()) == 1


def test_what_was_written_reads_back_unchanged() -> None:
    written = {"all": [{"not": {"any": [PRO, {**URGENT, "op": "in", "value": ["high", "urgent"]}]}}], "any": []}
    taken = ConditionsIn.model_validate_json(json.dumps(written))
    assert taken.model_dump() == written
    assert json.loads(ConditionsOut(all=taken.all, any=taken.any).model_dump_json()) == written
