"""Filters for what a thing may be without: they are other clauses than those for a value, and so have names of their
own."""

from collections.abc import Iterable, Mapping

from sqlalchemy import ColumnElement, or_

from app.web.paging import Clause


def filters(name: str, lacks: ColumnElement[bool], of_values: Clause) -> Mapping[str, Clause]:
    """`…_none` (without a value) and `…_or_none` (without one, or with any of some)."""
    return {
        f"{name}_none": lambda _name, _value: lacks,
        f"{name}_or_none": lambda name, value: or_(lacks, of_values(name, value)),
    }


def part(given: dict[str, object], names: Iterable[str]) -> None:
    """Give what is asked for with None among its values to the filter of that."""
    for name in names:
        asked = given.get(name, ())
        values = asked if isinstance(asked, tuple) else (asked,)
        if None not in values:
            continue
        del given[name]
        wanted = tuple(value for value in values if value is not None)
        if wanted:
            given[f"{name}_or_none"] = wanted[0] if len(wanted) == 1 else wanted
        else:
            given[f"{name}_none"] = True
