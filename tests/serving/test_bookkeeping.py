"""What an answer took is entered once, also when its caller leaves while it is written down."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.database import Database
from retrieval.packing import PackingPolicy
from serving.account import Account
from serving.answering import Conclusion
from serving.generation import Delta, Sampling
from serving.profiles import AnsweringProfile
from serving.question import Question
from serving.tokens import Usage
from serving.usage import UsageLedger
from tests.serving.application import Application

QUESTION = Question(
    text="how many kilograms of honey does one hive give each year",
    history=(),
    collection="default",
    profile=AnsweringProfile(),
    top_k=2,
    where=None,
    packing=PackingPolicy(),
    sampling=Sampling(max_tokens=20),
    caller="a",
)


@pytest.mark.parametrize("leaves", [False, True])
def test_an_answer_is_entered_once_whether_or_not_there_was_a_thread_to_write_it_down(
    application: Application, documents: dict[str, str], database: Database, *, leaves: bool
) -> None:
    assert documents
    service, ledger = application.service, UsageLedger(database)
    bookkeeper = replace(service.bookkeeper, ledger=ledger)
    account = Account(QUESTION.budget)
    is_free = threading.Event()
    settled: list[int] = []

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        is_complete = asyncio.Event()

        async def answer() -> AsyncGenerator[Delta | Conclusion, None]:
            async for event in service.answerer.answer(QUESTION, account):
                if isinstance(event, Conclusion):
                    loop.run_in_executor(None, is_free.wait)  # the only thread is busy now
                    is_complete.set()
                yield event

        async def listen() -> None:
            events = bookkeeper.follow(answer(), "trace-1", QUESTION, account, settled.append)
            async for _ in events:
                pass

        listening = asyncio.create_task(listen())
        await is_complete.wait()
        await asyncio.sleep(0.05)  # until it waits for the thread
        if leaves:
            listening.cancel()
            await asyncio.wait([listening])
        is_free.set()
        await asyncio.wait([listening])

    asyncio.run(ask())
    [total] = ledger.totals()
    assert (total.num_answers, total.completion_tokens) == (1, account.usage().completion_tokens)
    assert settled == [account.num_tokens()]


def test_a_caller_who_leaves_lets_nobody_wait_for_the_database(
    application: Application, database: Database, tmp_path: Path
) -> None:
    service, ledger = application.service, UsageLedger(database)
    bookkeeper = replace(service.bookkeeper, ledger=ledger)
    account = Account(QUESTION.budget)

    async def answer() -> AsyncGenerator[Delta | Conclusion, None]:
        account.add("answer", service.models.get(None), "model", Usage(40, 7), 1.0)
        yield Delta("Twenty")
        await asyncio.Event().wait()

    async def listen() -> None:
        async for _ in bookkeeper.follow(answer(), None, QUESTION, account, lambda _tokens: None):
            pass

    async def ask() -> None:
        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.05)  # until it listens
        busy.execute("BEGIN IMMEDIATE")
        listening.cancel()
        await asyncio.wait([listening])
        assert ledger.spent_today("a").num_tokens == 47
        busy.rollback()  # not before the caller has gone

    with closing(sqlite3.connect(tmp_path / "serving.sqlite")) as busy:
        assert ledger.spent_today("a").num_tokens == 0
        asyncio.run(ask())
    bookkeeper.afterwards.wait()
    [total] = UsageLedger(database).totals()
    assert (total.prompt_tokens, total.completion_tokens) == (40, 7)
