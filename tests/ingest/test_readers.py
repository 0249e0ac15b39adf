"""Who waits for readers waits for those of that moment, and for no others."""

import threading

from ingest.readers import Readers


def test_without_readers_nobody_waits() -> None:
    readers = Readers()
    with readers.reading():
        pass
    assert readers.wait_until_gone(readers.present(), 0)


def test_later_readers_are_not_waited_for() -> None:
    readers = Readers()
    with readers.reading():
        present = readers.present()
        with readers.reading():
            assert not readers.wait_until_gone(present, 0)
        assert not readers.wait_until_gone(present, 0)
    with readers.reading():
        assert readers.wait_until_gone(present, 0)


def test_the_wait_ends_with_the_last_reader() -> None:
    readers = Readers()
    entered, leave = threading.Barrier(4), threading.Event()

    def read() -> None:
        with readers.reading():
            entered.wait()
            leave.wait(10)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    entered.wait()
    present = readers.present()
    assert len(present) == 3
    leave.set()
    assert readers.wait_until_gone(present, 10)
    for thread in threads:
        thread.join()


def test_a_reader_that_fails_has_ended() -> None:
    readers = Readers()
    try:
        with readers.reading():
            raise KeyError
    except KeyError:
        assert readers.present() == frozenset()
