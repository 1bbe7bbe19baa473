from typing import Annotated, Any
from uuid import UUID

from fastapi import Query

from app.auth.dependencies import Actor, may
from app.reports import service_records
from app.reports.service_record_schemas import ServiceRecord, ServiceRecordQuery
from app.web.admission import HEAVY, costs
from app.web.route import Tx, router

customer_routes = router("/v1/customers/{customer_id}/service-record", "customers")
organization_routes = router("/v1/organizations/{organization_id}/service-record", "customers")
Reader = Annotated[Actor, may("service_records:read")]


@customer_routes.get("", response_model=ServiceRecord, summary="Read what a customer got")
@costs(HEAVY)
async def get_customer_service_record(
    customer_id: UUID, tx: Tx, actor: Reader, query: Annotated[ServiceRecordQuery, Query()]
) -> Any:
    """To look at before calling them: promises that are open or were broken, complaints, satisfaction, repeat contacts,
    and how long they waited for first answers."""
    await tx.snapshot()
    return await service_records.of_customer(tx, customer_id, query)


@organization_routes.get("", response_model=ServiceRecord, summary="Read what an organization got")
@costs(HEAVY)
async def get_organization_service_record(
    organization_id: UUID, tx: Tx, actor: Reader, query: Annotated[ServiceRecordQuery, Query()]
) -> Any:
    """As of a customer, of all tickets that belong to the organization."""
    await tx.snapshot()
    return await service_records.of_organization(tx, organization_id, query)
