"""The report on quality as cells of a table: the figures of each part under its name."""

from collections.abc import Mapping
from typing import Any

from app.reports.quality_schemas import (
    Contacts,
    Handling,
    PersonRequests,
    PoorQuality,
    PromisesKept,
    QualityQuery,
    Resolutions,
    SatisfactionFigures,
)
from app.reports.quality_statements import SCORES
from app.tickets.satisfaction_schemas import Expectation
from app.web.schemas import Out

_PARTS: Mapping[str, type[Out]] = {
    "resolutions": Resolutions,
    "satisfaction": SatisfactionFigures,
    "contacts": Contacts,
    "promises": PromisesKept,
    "person_requests": PersonRequests,
    "poor_quality": PoorQuality,
    "handling": Handling,
}
_LISTS = {"scores", "expectations"}
_OF_CLASSES = ("resolved", "satisfied", "came_back", "recovered", "recovery_rate")


def quality_columns(query: QualityQuery) -> list[str]:
    """Raises Invalid."""
    classes = [*(f"up_to_{end:g}" for end in query.ends()), "longer", "unanswered"]
    return [
        *(f"{part}_{name}" for part, model in _PARTS.items() for name in model.model_fields if name not in _LISTS),
        *(f"satisfaction_score_{score}" for score in SCORES),
        *(f"satisfaction_{each}_{name}" for each in Expectation for name in ("met", "missed")),
        *(f"complaints_{class_}_{name}" for class_ in classes for name in _OF_CLASSES),
    ]


def quality_cells(item: Mapping[str, Any]) -> dict[str, Any]:
    cells = {f"{part}_{name}": value for part in _PARTS for name, value in item[part].items()}
    rated = item["satisfaction"]
    cells |= {f"satisfaction_score_{score}": rated["scores"][place] for place, score in enumerate(SCORES)}
    for each in rated["expectations"]:
        cells |= {f"satisfaction_{each['expectation']}_{name}": each[name] for name in ("met", "missed")}
    for each in item["complaints"]:
        class_ = "longer" if each["answered"] else "unanswered"
        if each["up_to_seconds"] is not None:
            class_ = f"up_to_{each['up_to_seconds']:g}"
        cells |= {f"complaints_{class_}_{name}": each[name] for name in _OF_CLASSES}
    return cells
