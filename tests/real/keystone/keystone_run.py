"""Serves Keystone's WSGI application on loopback: keystone_run.py SETTINGS PORT. One line a request goes to standard error."""
import os
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

_, settings, port = sys.argv
os.environ['OS_KEYSTONE_CONFIG_FILES'] = settings
# Keystone reads the command line, too.
sys.argv = ['keystone']

from keystone.wsgi.api import application  # noqa: E402


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


make_server('127.0.0.1', int(port), application, server_class=Threaded).serve_forever()
