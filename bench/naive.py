"""The naive service: the same four routes as a tutorial writes them, an async ORM session a request.

Its tables are the ceiling's, made by the same SQL: only the way to them differs.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from sqlalchemy import BigInteger, DateTime, FetchedValue, ForeignKey, func, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TEXT
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from uuid_utils.compat import uuid7

from bench.shapes import MessageIn, MessageOut, TicketIn, TicketOut


class Base(DeclarativeBase):
    type_annotation_map = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[str]: ARRAY(TEXT),
    }


class Ticket(Base):
    __tablename__ = "tickets"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    number: Mapped[int] = mapped_column(BigInteger, FetchedValue())
    subject: Mapped[str]
    status: Mapped[str] = mapped_column(default="new")
    priority: Mapped[str]
    type: Mapped[str | None]
    channel: Mapped[str]
    customer_id: Mapped[UUID]
    assignee_id: Mapped[UUID | None]
    team_id: Mapped[UUID | None]
    tags: Mapped[list[str]] = mapped_column(default=list)
    custom_fields: Mapped[dict[str, Any]] = mapped_column(default=dict)
    external_id: Mapped[str | None]
    product: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    resolved_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)


class Message(Base):
    __tablename__ = "messages"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    ticket_id: Mapped[UUID] = mapped_column(ForeignKey("tickets.id"))
    author_kind: Mapped[str]
    visibility: Mapped[str]
    body: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Event(Base):
    __tablename__ = "events"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    ticket_id: Mapped[UUID] = mapped_column(ForeignKey("tickets.id"))
    ticket: Mapped[Ticket] = relationship()
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Clock(Base):
    __tablename__ = "sla_clocks"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    ticket_id: Mapped[UUID] = mapped_column(ForeignKey("tickets.id"))
    ticket: Mapped[Ticket] = relationship()
    metric: Mapped[str]
    state: Mapped[str]
    target_seconds: Mapped[int]
    started_at: Mapped[datetime]
    due_at: Mapped[datetime]
    stopped_at: Mapped[datetime | None]


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(_session)]
router = APIRouter()


@router.post("/tickets", response_model=TicketOut, status_code=201)
async def create_ticket(session: Session, body: TicketIn) -> Any:
    now = datetime.now(UTC)
    ticket = Ticket(subject=body.subject, priority=body.priority, channel=body.channel, customer_id=body.customer.id)
    session.add(ticket)
    data = {"subject": body.subject, "description": body.description}
    session.add(Event(ticket=ticket, type="ticket.created", data=data))
    due_at = now + timedelta(seconds=90)
    target = {"metric": "first_response", "target_seconds": 90}
    session.add(Clock(ticket=ticket, state="running", started_at=now, due_at=due_at, **target))
    await session.commit()
    await session.refresh(ticket)
    return ticket


@router.post("/tickets/{id}/messages", response_model=MessageOut, status_code=201)
async def create_message(session: Session, id: UUID, body: MessageIn) -> Any:
    ticket = await session.get(Ticket, id)
    if ticket is None:
        raise HTTPException(404)
    message = Message(ticket_id=id, author_kind="agent", visibility=body.visibility, body=body.body)
    session.add(message)
    session.add(Event(ticket_id=id, type="message.created", data={"visibility": body.visibility}))
    first_response = select(Clock).where(Clock.ticket_id == id, Clock.metric == "first_response")
    clock = (await session.scalars(first_response.where(Clock.stopped_at.is_(None)))).first()
    if clock is not None:
        clock.state, clock.stopped_at = "met", datetime.now(UTC)
    await session.commit()
    await session.refresh(message)
    return message


@router.get("/tickets/{id}", response_model=TicketOut)
async def get_ticket(session: Session, id: UUID) -> Any:
    ticket = await session.get(Ticket, id)
    if ticket is None:
        raise HTTPException(404)
    return ticket


@router.get("/tickets", response_model=list[TicketOut])
async def list_tickets(session: Session, status: str, limit: int = 50) -> Any:
    newest_first = select(Ticket).where(Ticket.status == status).order_by(Ticket.created_at.desc(), Ticket.id.desc())
    return (await session.scalars(newest_first.limit(limit))).all()


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    size = int(os.environ["BENCH_POOL_SIZE"])
    url = os.environ["DATABASE_URL"]
    engine = create_async_engine(
        "postgresql+asyncpg" + url[url.index("://") :],
        pool_size=size,
        max_overflow=0,
        connect_args={"server_settings": {"search_path": "bench_naive"}},
    )
    app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
    yield
    await engine.dispose()


def create_app() -> FastAPI:
    app = FastAPI(lifespan=_lifespan)
    app.include_router(router)
    return app
