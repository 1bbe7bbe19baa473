"""The wire shapes of rules and conditions.

They describe; `rules` judges. Pydantic would answer a wrong rule with one error per member of the union and level of
nesting, and cannot know the fields. So a `RuleIn` takes any JSON, shows the exact recursive schema in OpenAPI, and the
service hands it to `rules.parse`, whose refusal names the one wrong part.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainValidator
from typing_extensions import TypeAliasType

from app.segments import rules

ConditionScalar = TypeAliasType("ConditionScalar", Annotated[str, Field(max_length=rules.MAX_TEXT)] | float | bool)


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ConditionIn(_Shape):
    """One comparison. An instant is RFC 3339 text; `in` and `not_in` take a list; `exists` takes a boolean."""

    field: str = Field(max_length=rules.MAX_TEXT, examples=["customer.attributes.plan"])
    op: rules.ConditionOp
    value: ConditionScalar | Annotated[list[ConditionScalar], Field(min_length=1, max_length=rules.MAX_LIST)] = Field(
        examples=["pro"]
    )


class AllIn(_Shape):
    """Holds where every part holds."""

    all: list["RuleIn"] = Field(max_length=rules.MAX_CONDITIONS)


class AnyIn(_Shape):
    """Holds where at least one part holds, or where there is none."""

    any: list["RuleIn"] = Field(max_length=rules.MAX_CONDITIONS)


class NotIn(_Shape):
    """Holds where its part does not."""

    not_: "RuleIn" = Field(alias="not")


def _as_sent(value: object) -> object:
    return value


RuleIn = TypeAliasType(
    "RuleIn",
    Annotated[object, PlainValidator(_as_sent, json_schema_input_type=ConditionIn | AllIn | AnyIn | NotIn)],
)
for _group in (AllIn, AnyIn, NotIn):
    _group.model_rebuild()


class ConditionsIn(_Shape):
    """Every part of `all` must hold and, unless it is empty, at least one of `any`. Both empty match everything."""

    all: list[RuleIn] = Field(default=[], max_length=rules.MAX_CONDITIONS)
    any: list[RuleIn] = Field(default=[], max_length=rules.MAX_CONDITIONS)

    def to_rule(self, fields: rules.Fields) -> rules.Rule:
        """Raises RuleError with a pointer relative to the conditions, such as `/all/0/field`."""
        return rules.parse_conditions(self.all, self.any, fields)


class ConditionsOut(BaseModel):
    """The conditions as they were written; they can be sent back unchanged."""

    all: list[RuleIn]
    any: list[RuleIn]
