"""Runs a Python program for as long as standard input stays open: leash.py PROGRAM ARGUMENTS...

The test holds the other end of the pipe and never writes to it. However the test ends, by a panic or by SIGKILL,
the kernel closes that end, and this program then kills its own process group. The test starts it as the leader of one.
"""
import os
import runpy
import signal
import sys
import threading


def _wait_for_the_end():
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


threading.Thread(target=_wait_for_the_end, daemon=True).start()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
