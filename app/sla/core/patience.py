"""How long those who wait do so before they give up. Pure; seconds."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.sla.core.outlook import Wait, curve


@dataclass(frozen=True, slots=True)
class Patience:
    """`mean` where patience is exponential: all waits over the number who gave up. `p25` and `p50` without that
    assumption (Kaplan and Meier): by then so many have given up, of those not answered before. None where that was
    never seen."""

    waits: int
    gone: int
    mean: float | None
    p25: float | None
    p50: float | None


def patience(waits: Sequence[Wait]) -> Patience:
    """Of these waits, answered or given up. Who was answered would have waited longer than that."""
    gone = sum(not wait.answered for wait in waits)
    # Here it is the answer that ends what is looked at before its time.
    given_up = curve(Wait(wait.seconds, not wait.answered) for wait in waits)
    p25, p50 = (
        given_up.by(share) if given_up.shares and given_up.shares[-1] >= share - 1e-12 else None
        for share in (0.25, 0.5)
    )
    return Patience(len(waits), gone, sum(wait.seconds for wait in waits) / gone if gone else None, p25, p50)
