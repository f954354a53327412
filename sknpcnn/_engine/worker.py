"""A worker process: runs the calls of its leader, and ends when the leader is gone.

It imports nothing but NumPy and this package, so that it starts quickly and is small, and no more
of the user's program than is needed for the user's own layers.
"""

import os
import pickle
import signal
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from time import sleep
from typing import Any, BinaryIO

from sknpcnn._engine import messages
from sknpcnn._engine.member import Member
from sknpcnn._engine.shared import remove_blocks
from sknpcnn._kernels.memory import Memory

PARENT_INTERVAL = 0.5
"""Seconds between checks whether the leader still exists."""


def main(leader: int) -> None:
    """Serve one team after the other until the leader closes the pipe or dies."""
    commands, replies = _take_pipes()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the leader
    warnings.simplefilter("ignore")  # the leader gives the same ones
    inbox: SimpleQueue[bytes] = SimpleQueue()
    prefixes: list[Path] = []
    kept: dict[Any, Any] = {}
    spare: list[Memory] = []

    def leave() -> None:
        remove_blocks(prefixes)
        os._exit(0)

    Thread(target=_receive, args=(commands, inbox.put, leave), daemon=True).start()
    if hasattr(os, "getppid"):  # a fork of the leader may keep the pipe open
        Thread(target=_watch_parent, args=(leader, leave), daemon=True).start()
    while True:
        prefixes[:], rank, size, paths, keep = pickle.loads(inbox.get())
        sys.path[:] = paths
        member = Member(prefixes, rank, size)
        member.kept, member.blocks.spare = kept, spare if keep else []
        _serve(member, inbox, replies)
        spare = member.blocks.leave()
        del member  # frees its memory
        prefixes.clear()


def _serve(member: Member, inbox: "SimpleQueue[bytes]", replies: BinaryIO) -> None:
    """Run the calls for one team, until an empty message ends it."""
    while message := inbox.get():
        try:
            before = set(sys.modules)
            function, arguments = messages.load(message, member.blocks)
            result = function(member, *arguments)
            member.finish_call()
            loaded = [sys.modules[name] for name in set(sys.modules) - before]
            reusable = not any(map(_is_of_the_program, loaded))
            messages.write(replies, pickle.dumps((reusable, result, None)))
        except BaseException:
            member.report_failure()
            messages.write(replies, pickle.dumps((False, None, traceback.format_exc())))


def _is_of_the_program(module: Any) -> bool:
    """Return whether a module may change while a process runs, as those that are installed do not.

    A later call may then need another version of it, which only a new process would import.
    """
    file = getattr(module, "__file__", None)
    installed = (*sysconfig.get_paths().values(), str(Path(__file__).parents[1]))
    return file is not None and not file.startswith(installed)


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return the pipes from and to the leader; what the user's code prints goes to stderr."""
    commands, replies = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(commands, "rb"), os.fdopen(replies, "wb")


def _receive(commands: BinaryIO, put: Callable[[bytes], None], leave: Callable[[], None]) -> None:
    try:
        while True:
            put(messages.read(commands))
    except (EOFError, OSError):
        leave()


def _watch_parent(leader: int, leave: Callable[[], Any]) -> None:
    while os.getppid() == leader:
        sleep(PARENT_INTERVAL)
    leave()
