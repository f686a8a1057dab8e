"""The collector's pace, in an interpreter of its own: it is set for a whole process."""

import subprocess
import sys

BEGINNING = """
import gc, weakref
from aitui.collector import YOUNG, tune_collector

class Node:
    pass

def circle():
    node = Node()
    node.itself = node
    return weakref.ref(node)

def make_many(rounds):
    for _ in range(rounds):
        kept = [[] for _ in range(YOUNG + 1)]
"""


def answer_of(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


def test_what_is_there_at_the_start_is_never_looked_at_again() -> None:
    code = "early = [Node()]; tune_collector(); late = [Node()]\n"
    code += "looked_at = [id(one) for one in gc.get_objects()]\n"
    code += "print(id(early) in looked_at, id(late) in looked_at)"
    assert answer_of(code) == "False True"


def test_a_circle_that_has_just_been_left_goes_at_the_next_look() -> None:
    assert answer_of("tune_collector(); left = circle(); make_many(2); print(left())") == "None"


def test_circles_that_grow_old_before_they_are_left_do_not_pile_up() -> None:
    code = """
from collections import deque

class Counted(Node):
    alive = most = 0

    def __init__(self):
        self.itself = self
        Counted.alive += 1
        Counted.most = max(Counted.most, Counted.alive)

    def __del__(self):
        Counted.alive -= 1

tune_collector()
needed = deque(maxlen=20_000)
for _ in range(1_000_000):
    needed.append(Counted())
print(Counted.most < 300_000)
"""
    assert answer_of(code) == "True"


def test_nothing_is_looked_at_while_a_key_is_answered() -> None:
    code = """
import asyncio
from aitui.collector import ANSWER_SECONDS, CollectorPause

async def main():
    pause = CollectorPause()
    pause.begin()
    make_many(2)
    print(before() is None, gc.isenabled(), end=" ")
    pause.begin()
    await asyncio.sleep(2 * ANSWER_SECONDS)
    make_many(2)
    print(before() is None, gc.isenabled())

tune_collector()
before = circle()
asyncio.run(main())
"""
    assert answer_of(code) == "False False True True"


def test_a_key_during_the_start_begins_no_search() -> None:
    code = """
import asyncio
from aitui.collector import ANSWER_SECONDS, CollectorPause

async def main():
    CollectorPause().begin()
    await asyncio.sleep(2 * ANSWER_SECONDS)
    print(gc.isenabled())

asyncio.run(main())
"""
    assert answer_of(code) == "False"
