"""The authorization matrix (`matrix.toml`), read. It says what is expected and knows nothing of how it is asked."""

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Whose(StrEnum):
    any = "any"
    own = "own"
    others = "others"


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """What each caller gets for one operation: `ok`, or the status of the refusal."""

    operation: str
    variant: str
    whose: Whose
    expected: dict[str, str]

    def __str__(self) -> str:
        name = f"{self.operation}/{self.variant}" if self.variant else self.operation
        return name if self.whose is Whose.any else f"{name}-{self.whose}"


_DATA = tomllib.loads(Path(__file__).with_name("matrix.toml").read_text())
CALLERS: list[str] = _DATA["callers"]
SCOPES_OF = {id_: scopes.split() for scopes, ids in _DATA["scopes"].items() for id_ in ids.split()}
PUBLIC = frozenset(_DATA["public"])


def _row(whose: Whose, name: str, outcomes: str) -> MatrixRow:
    operation, _, variant = name.partition("/")
    return MatrixRow(operation, variant, whose, dict(zip(CALLERS, outcomes.split(), strict=True)))


ROWS = [_row(whose, name, outcomes) for whose in Whose for name, outcomes in _DATA[whose].items()]
