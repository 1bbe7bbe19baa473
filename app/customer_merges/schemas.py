"""Merging customers on the wire."""

from pydantic import Field

from app.web.schemas import Id, In


class CustomerMergeIn(In):
    into: Id = Field(description="The customer who stands for both.")
