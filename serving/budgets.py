"""How much a key may spend in a day of UTC."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from serving.errors import BudgetSpentError
from serving.keys import Key
from serving.money import show_usd
from serving.usage import Spent, UsageLedger

# While only answers under way stand in the way, there may be room again soon.
RESERVED_SECONDS = 5.0


class Budgets:
    """The budgets of all keys, with what answers under way may still spend.

    For use in one event loop, so that nothing comes between `check` and `reserve`: however many
    questions come at once, together they spend no more than the budget.
    """

    def __init__(
        self, ledger: UsageLedger, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Set up.

        Args:
            ledger: knows what keys have spent.
            now: the time of day, in UTC.
        """
        self._ledger = ledger
        self._now = now
        self._reserved: dict[str, Spent] = {}  # by key

    async def prepare(self, key: Key) -> None:
        """Let the ledger look up what the key has spent; from then on it knows by heart."""
        if _has_budget(key):
            await asyncio.to_thread(self._ledger.spent_today, key.id)

    def check(self, key: Key, asked: Spent) -> None:
        """Make sure that there is room for something that spends no more than this.

        Raises:
            BudgetSpentError: the rest of a budget does not suffice.
        """
        if not _has_budget(key):
            return
        spent, reserved = self._ledger.spent_today(key.id), self._reserved.get(key.id, Spent())
        limits = key.limits
        if (budget := limits.tokens_per_day) is not None:
            amounts = (budget, spent.num_tokens, reserved.num_tokens, asked.num_tokens)
            self._compare(key, amounts, lambda amount: f"{amount:,} tokens")
        if (budget := limits.nano_usd_per_day) is not None:
            amounts = (budget, spent.nano_usd, reserved.nano_usd, asked.nano_usd)
            self._compare(key, amounts, show_usd)

    @contextmanager
    def reserve(self, key: Key, asked: Spent) -> Iterator[Callable[[Spent], None]]:
        """Set aside what an answer may spend, for as long as the context lasts.

        Yields:
            What sets aside more, up to what the answer may spend in all; like `check`, it raises
            BudgetSpentError.
        """
        held = Spent()

        def hold(most: Spent) -> None:
            nonlocal held
            more = Spent(
                max(0, most.num_tokens - held.num_tokens), max(0, most.nano_usd - held.nano_usd)
            )
            if more == Spent():
                return
            self.check(key, more)
            self._reserved[key.id] = self._reserved.get(key.id, Spent()) + more
            held += more

        hold(asked)
        try:
            yield hold
        finally:
            rest = self._reserved.pop(key.id, Spent()) - held
            if rest != Spent():
                self._reserved[key.id] = rest

    def _compare(
        self, key: Key, amounts: tuple[int, int, int, int], show: Callable[[int], str]
    ) -> None:
        budget, spent, reserved, asked = amounts
        if spent + reserved + asked <= budget:
            return
        now = self._now()
        midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
        raise BudgetSpentError(
            f"The key {key.name!r} may spend {show(budget)} a day: {show(spent)} are spent, "
            f"{show(reserved)} set aside for answers under way, and this one may take "
            f"{show(asked)}. The budget is whole again at midnight UTC "
            f"({midnight:%Y-%m-%dT%H:%MZ}).",
            (midnight - now).total_seconds() if spent + asked > budget else RESERVED_SECONDS,
        )


def _has_budget(key: Key) -> bool:
    return key.limits.tokens_per_day is not None or key.limits.nano_usd_per_day is not None
