"""Reads a password from standard input, prints the password file's line of user `admin` (bcrypt only is taken)."""
import sys

import bcrypt

# Cost 4, the lowest: the hash is checked on every request.
salt = bcrypt.gensalt(4, prefix=b'2b')
print('admin:' + bcrypt.hashpw(sys.stdin.buffer.read(), salt).decode())
