"""Which verdict stands for a cell, of a few records in memory: the rule of `reviewing.votes`, for one cell.

The page answers at once with it; tables, audits and corrections follow from the same rule over frames, and a
test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from spark_ml_audit.reviewing.votes import ADJUDICATED, BULK, EXCLUDED, SINGLE, VERDICTS

PRESENT, ABSENT, UNSURE = VERDICTS

_LEVELS = {BULK: 0, ADJUDICATED: 2}
_NEVER = datetime.min.replace(tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class Vote:
    """A verdict of somebody on a cell.

    Attributes:
        who: The person; None where nobody said.
        verdict: present, absent or unsure.
        when: The moment; None comes before all others.
        kind: single, bulk or adjudicated.
        decision_id: What names the record.
        note: Words beside it.
        sample_id: Sample it answers.
        bulk_id: Of a bulk acceptance.
    """

    who: str | None
    verdict: str
    when: datetime | None = None
    kind: str = SINGLE
    decision_id: str = ""
    note: str | None = None
    sample_id: str | None = None
    bulk_id: str | None = None

    @property
    def moment(self) -> datetime:
        """When, for comparisons."""
        return self.when or _NEVER

    @property
    def level(self) -> int:
        """0 bulk, 1 a person's own, 2 an adjudication."""
        return _LEVELS.get(self.kind, 1)


@dataclass(frozen=True, slots=True)
class StandingVote:
    """What stands for a cell.

    Attributes:
        verdict: present, absent, unsure, or None where the newest contradict each other.
        is_disputed: Whether people differ and nobody has settled it.
    """

    verdict: str | None
    is_disputed: bool = False


def is_excluded(votes: Iterable[Vote]) -> bool:
    """Whether the votes on a whole row leave it out: the rule of `reviewing.excluded`, for one row.

    >>> moment = datetime(2026, 6, 1, tzinfo=timezone.utc)
    >>> from spark_ml_audit.reviewing.votes import ROW
    >>> is_excluded([Vote("ann", EXCLUDED, moment, ROW)])
    True
    >>> is_excluded([Vote("ann", EXCLUDED, moment, ROW), Vote("bob", "include", moment, ROW)])
    False
    """
    timed = [vote for vote in votes if vote.when is not None]
    last = max((vote.moment for vote in timed), default=_NEVER)
    newest = {vote.verdict for vote in timed if vote.moment == last}
    return newest == {EXCLUDED}


def newest_of_each(votes: Iterable[Vote]) -> list[Vote]:
    """The newest vote of every person and level; none of a person who contradicts itself at one moment."""
    found: dict[tuple[str | None, int], list[Vote]] = {}
    for vote in votes:
        if vote.verdict not in VERDICTS:
            continue
        key = vote.who, vote.level
        known = found.get(key)
        if known is None or vote.moment > known[0].moment:
            found[key] = [vote]
        elif vote.moment == known[0].moment:
            known.append(vote)
    return [group[0] for group in found.values() if len({vote.verdict for vote in group}) == 1]


def standing_vote(votes: Sequence[Vote]) -> StandingVote | None:
    """The verdict that stands; None where nobody has judged.

    >>> moment = datetime(2026, 6, 1, tzinfo=timezone.utc)
    >>> standing_vote([Vote("ann", "present", moment), Vote("bob", "absent", moment)])
    StandingVote(verdict=None, is_disputed=True)
    >>> settled = Vote("eve", "absent", moment, ADJUDICATED)
    >>> standing_vote([Vote("ann", "present", moment), Vote("bob", "absent", moment), settled])
    StandingVote(verdict='absent', is_disputed=False)
    """
    levels = [vote.level for vote in votes if vote.verdict in VERDICTS]
    if not levels:
        return None
    # who contradicts itself at one moment has judged, but says nothing: no lower level steps in
    newest, top = newest_of_each(votes), max(levels)
    own = [vote for vote in newest if vote.level == 1]
    present, absent = (sum(vote.verdict == said for vote in own) for said in (PRESENT, ABSENT))
    among = [vote for vote in newest if vote.level == top]
    if top == 1 and present != absent:
        among = [vote for vote in own if vote.verdict == (PRESENT if present > absent else ABSENT)]
    elif top == 1 and present:
        among = [vote for vote in own if vote.verdict != UNSURE]
    last = max((vote.moment for vote in among), default=_NEVER)
    verdicts = {vote.verdict for vote in among if vote.moment == last}
    disputed = present > 0 and absent > 0 and top != _LEVELS[ADJUDICATED]
    return StandingVote(verdicts.pop() if len(verdicts) == 1 else None, disputed)
