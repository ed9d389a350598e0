import threading
import time

import pytest

from pixelpainter.pipeline import Room, in_order


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_order(workers):
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number % 3 == 0 else 0)
        return number * number

    assert list(in_order(slow_first, range(20), workers)) == [number * number for number in range(20)]
    assert list(in_order(slow_first, [], workers)) == []


def test_several_are_worked_on_at_once():
    both = threading.Barrier(2, timeout=20)
    assert sorted(in_order(lambda item: both.wait(), range(4), 2)) == [0, 0, 1, 1]


def test_items_are_fetched_only_as_needed():
    fetched = 0

    def items():
        nonlocal fetched
        for number in range(1000):
            fetched += 1
            yield number

    results = in_order(lambda number: number, items(), 2)
    assert fetched == 0
    for number in range(10):
        assert next(results) == number
        assert fetched <= number + 6
    results.close()


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_ends_it_and_drops_what_was_not_begun(workers, error):
    begun = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise error
        time.sleep(0.01 if number < 3 else 0.2)
        return number

    results, before = [], set(threading.enumerate())
    with pytest.raises(error):
        for result in in_order(work, range(1000), workers):
            results.append(result)  # noqa: PERF402
    assert results == [0, 1, 2]
    assert len(begun) <= 4 + workers + 1  # without those that were only waiting
    assert not set(threading.enumerate()) - before


def test_room():
    room = Room(10)
    lock, inside, most = threading.Lock(), 0, 0

    def work(amount: int) -> None:
        nonlocal inside, most
        with room.taken(amount):
            with lock:
                inside += amount
                most = max(most, inside)
            time.sleep(0.002)
            with lock:
                inside -= amount

    list(in_order(work, [3, 3, 3, 3, 8, 1, 1, 9, 5, 5, 2] * 3, 6))
    assert 7 <= most <= 10
    with room.taken(1000):  # what is too large for the limit comes alone
        pass
    with pytest.raises(ValueError), room.taken(10):
        raise ValueError
    with room.taken(10):
        pass
