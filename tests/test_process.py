"""What the command does at the start and the end of its own process, where nobody else can look."""

import subprocess
import sys

import pytest


def process(body, *, debug=False):
    """Run the command with another inside and return status, stdout and stderr."""
    program = f"import atexit, sys, threading, time, warnings\nfrom pixelpainter import cli\n{body}\ncli.main()"
    environment = {"PIXELPAINTER_DEBUG": "1"} if debug else {}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("debug", [False, True])
def test_warnings_are_for_programmers(debug):
    status, out, err = process("cli._run = lambda arguments: warnings.warn('remark', RuntimeWarning) or 0", debug=debug)
    assert (status, out) == (0, "")
    assert ("remark" in err) == debug


@pytest.mark.parametrize("status", [0, 1, 2, 130])
def test_everything_is_written_before_the_process_ends(status):
    body = f"atexit.register(print, 'later')\ncli._run = lambda arguments: print('now') or {status}"
    assert process(body) == (status, "now\nlater\n", "")


def test_threads_are_waited_for():
    body = "cli._run = lambda arguments: threading.Thread(target=lambda: (time.sleep(0.2), print('done'))).start() or 3"
    assert process(body) == (3, "done\n", "")


def test_a_closed_stderr_is_no_error():
    assert process("cli._run = lambda arguments: sys.stderr.close() or 0")[0] == 0
