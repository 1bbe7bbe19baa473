from typing import Annotated, Any

from app.auth.dependencies import Actor, may
from app.staffing.forecast import forecast
from app.staffing.schemas import StaffingForecast, StaffingForecastIn
from app.web.admission import HEAVY, costs
from app.web.route import Tx, router

routes = router("/v1/staffing", "reports")


@routes.post("/forecast", response_model=StaffingForecast, summary="Forecast how many agents are needed")
@costs(HEAVY)
async def compute_staffing_forecast(
    body: StaffingForecastIn, tx: Tx, actor: Annotated[Actor, may("reports:read", "goals:read")]
) -> Any:
    """Interval by interval (Erlang A; C where nobody gives up), with one agent less and one more, for a quantile of
    what came in such intervals before. It says how far off the same arithmetic was on the past, and where it knows too
    little. At most 672 intervals."""
    return await forecast(tx, body)
