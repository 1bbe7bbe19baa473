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
    context: Whose
    expected: dict[str, str]

    def __str__(self) -> str:
        name = f"{self.operation}/{self.variant}" if self.variant else self.operation
        return name if self.context is Whose.any else f"{name}-{self.context}"


_DATA = tomllib.loads(Path(__file__).with_name("matrix.toml").read_text())
CALLERS: list[str] = _DATA["callers"]
SCOPES_OF = {id_: scopes.split() for scopes, ids in _DATA["scopes"].items() for id_ in ids.split()}
NOUNS: dict[str, set[str]] = {}
for _nouns, _schemas in _DATA["of"].items():
    for _noun in _nouns.split():
        NOUNS.setdefault(_noun, set()).update(_schemas.split())
"""The schemas that tell of a noun. Those of `any` tell of none."""
BESIDE = {tuple(what.split()): scope for what, scope in _DATA["beside"].items()}
"""By operation and schema: the scope of what is sent along to who has it."""
PUBLIC = frozenset(_DATA["public"])
ANYBODY = frozenset(_DATA["anybody"])


def _row(context: Whose, name: str, outcomes: str) -> MatrixRow:
    operation, _, variant = name.partition("/")
    return MatrixRow(operation, variant, context, dict(zip(CALLERS, outcomes.split(), strict=True)))


ROWS = [_row(context, name, outcomes) for context in Whose for name, outcomes in _DATA[context].items()]
