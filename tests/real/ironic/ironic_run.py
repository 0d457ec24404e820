"""Runs the unmodified `ironic` program with one speed-up for tests.

Ironic 39.0.0 derives a 600,000-round PBKDF2 key from the BMC's password each time that it asks its cache of sessions
for a connection: 1.1 s of CPU a time, 15 to 20 times from enroll to delete. The result depends on password and
address alone, so keeping it changes no answer (measured: 2.2 s of CPU instead of 32 s for a node's life).
"""
import functools
import hashlib
import sys

hashlib.pbkdf2_hmac = functools.lru_cache(maxsize=4096)(hashlib.pbkdf2_hmac)

try:
    from ironic.command import singleprocess  # noqa: E402
except ImportError:
    # Where the older release has it.
    from ironic.cmd import singleprocess  # noqa: E402

sys.argv[0] = 'ironic'
sys.exit(singleprocess.main())
