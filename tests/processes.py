"""Tasks in separate processes, for code that may hang or ends its process."""

import os
import signal
import subprocess
import sys
import textwrap
import time
import traceback

import pytest

PATIENCE = 60
"""Seconds after which a process is said to hang."""


def in_child(task):
    """Run a task in a forked process; fail if that fails, or hangs."""
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    process = os.fork()
    if process == 0:
        status = 1
        try:
            task()
            status = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(status)
    assert ended(process) == 0


def ended(process):
    """Wait for a child and return its exit status; fail if it hangs."""
    for _ in range(100 * PATIENCE):
        known, status = os.waitpid(process, os.WNOHANG)
        if known:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    pytest.fail("the forked process hangs")


def python(script, **options):
    """Run a script in a new interpreter, and return what it has written; fail if it hangs."""
    return run_python("-W", "error", "-c", textwrap.dedent(script), timeout=PATIENCE, **options)


def run_python(*args, **options):
    """Run a new interpreter, and return what it has written; fail if it complains."""
    command = [sys.executable, *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout
