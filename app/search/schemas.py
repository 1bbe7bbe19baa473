"""The words of a search as callers send them."""

from typing import Annotated

from pydantic import Field

Words = Annotated[str, Field(min_length=1, max_length=200)]
