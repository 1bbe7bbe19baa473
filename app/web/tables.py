"""Answers kept for Idempotency-Key."""

from sqlalchemy import ARRAY, Column, DateTime, Index, Integer, LargeBinary, Table, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB

from app.db import metadata

idempotency_records = Table(
    "idempotency_records",
    metadata,
    Column("caller_id", Uuid, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("body", LargeBinary, nullable=False),
    # Where the long texts of the request belong that the body is kept without (`echoes`).
    Column("cuts", ARRAY(Integer), nullable=False, server_default="{}"),
    # The ids that the answer names: what is erased must be found here, too.
    Column("subject_ids", ARRAY(Uuid), nullable=False, server_default="{}"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Index("ix_idempotency_records_subject_ids", "subject_ids", postgresql_using="gin"),
    Index("ix_idempotency_records_created_at", "created_at"),
)
