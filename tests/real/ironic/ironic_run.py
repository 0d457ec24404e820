"""Runs the unmodified `ironic` program with two changes for tests.

Ironic 39.0.0 derives a 600,000-round PBKDF2 key from the BMC's password each time that it asks its cache of sessions
for a connection: 1.1 s of CPU a time, 15 to 20 times from enroll to delete. The result depends on password and
address alone, so keeping it changes no answer (measured: 2.2 s of CPU instead of 32 s for a node's life).

On SQLite its sessions that write begin by reading. When another one has written meanwhile, SQLite refuses the write at
once ("database is locked"), whatever the time-out. Not all of Ironic's writes are tried again, so on a busy machine it
loses a transition now and then: a node stays `deleting` for ever, with no error and no lock. Here such a session says
at its beginning that it is going to write, and waits its turn.
"""
import contextlib
import functools
import hashlib
import sys
import threading

hashlib.pbkdf2_hmac = functools.lru_cache(maxsize=4096)(hashlib.pbkdf2_hmac)

try:
    from ironic.command import singleprocess  # noqa: E402
except ImportError:
    # Where the older release has it.
    from ironic.cmd import singleprocess  # noqa: E402

from ironic.db.sqlalchemy import api  # noqa: E402
import sqlalchemy  # noqa: E402

writing = threading.local()
session_for_write = api._session_for_write


@contextlib.contextmanager
def marked_session_for_write():
    before = getattr(writing, 'on', False)
    writing.on = True
    try:
        with session_for_write() as session:
            yield session
    finally:
        writing.on = before


@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, 'before_cursor_execute', retval=True)
def begin_immediate(connection, cursor, statement, parameters, context, executemany):
    if statement == 'BEGIN' and getattr(writing, 'on', False):
        statement = 'BEGIN IMMEDIATE'
    return statement, parameters


api._session_for_write = marked_session_for_write

sys.argv[0] = 'ironic'
sys.exit(singleprocess.main())
