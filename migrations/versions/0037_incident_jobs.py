"""Jobs that answer the incidents of a solved problem."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    op.create_table(
        "incident_jobs",
        sa.Column("id", sa.Uuid),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject_id", sa.Uuid, nullable=False),
        sa.Column("body", sa.Text),
        sa.Column("made_by_kind", sa.Text, nullable=False),
        sa.Column("made_by_id", sa.Uuid),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.Column("after_ticket_id", sa.Uuid),
        sa.Column("incidents_total", sa.Integer),
        sa.Column("answered", sa.Integer, server_default="0", nullable=False),
        sa.Column("refused", sa.Integer, server_default="0", nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_incident_jobs"),
        if_not_exists=True,
    )
    op.create_index(
        "ix_incident_jobs_run_at", "incident_jobs", ["run_at"],
        postgresql_where=sa.text("finished_at IS NULL"), if_not_exists=True,
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("incident_jobs")
