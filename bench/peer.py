"""The same four tasks on OpenStack TaskFlow: python peer.py BACKEND FOLDER SECONDS, one JSON object on standard output.

BACKEND is `sqlite`, TaskFlow's own SQLAlchemy backend on a file as it ships, or `memory`, which keeps nothing. Each flow has its own
logbook, as `load_from_factory` makes it; a flow's latency is load and run.
"""

import contextlib
import json
import logging
import resource
import statistics
import sys
import time

import sqlalchemy
import taskflow.engines
from taskflow import states, task
from taskflow.patterns import linear_flow
from taskflow.persistence import backends


class Compose(task.Task):
    default_provides = "node"

    def execute(self, spec):
        return {"node": "n-" + spec}

    def revert(self, **_):
        pass


class Enroll(task.Task):
    default_provides = "port"

    def execute(self, node):
        return {"port": 1, "node": node["node"]}

    def revert(self, **_):
        pass


class Deploy(task.Task):
    default_provides = "image"

    def execute(self, port):
        return {"image": "i"}

    def revert(self, **_):
        pass


class Finish(task.Task):
    default_provides = "done"

    def execute(self, image):
        return True

    def revert(self, **_):
        pass


def flow():
    return linear_flow.Flow("create").add(Compose(), Enroll(), Deploy(), Finish())


def open_backend(kind, folder):
    if kind == "memory":
        backend = backends.fetch({"connection": "memory"})
    else:
        backend = backends.fetch({"connection": f"sqlite:///{folder}/taskflow.db"})
    backend.commits = 0
    if kind != "memory":

        @sqlalchemy.event.listens_for(backend.engine, "commit")
        def _count(_):
            backend.commits += 1

    with contextlib.closing(backend.get_connection()) as connection:
        connection.upgrade()
    return backend


def run(backend):
    engine = taskflow.engines.load_from_factory(flow, store={"spec": "x" * 32}, backend=backend, engine="serial")
    engine.run()
    assert engine.storage.get_flow_state() == states.SUCCESS


def main(kind, folder, seconds):
    logging.disable(logging.CRITICAL)
    backend = open_backend(kind, folder)
    run(backend)
    commits, cpu, begun = backend.commits, time.process_time(), time.perf_counter()
    each = []
    while time.perf_counter() - begun < seconds or not each:
        one = time.perf_counter()
        run(backend)
        each.append((time.perf_counter() - one) * 1e3)
    wall = time.perf_counter() - begun
    figures = {
        "flows_per_s": len(each) / wall,
        "p50_ms": statistics.median(each),
        "cpu_ms": (time.process_time() - cpu) / len(each) * 1e3,
        "commits_per_flow": (backend.commits - commits) / len(each),
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(figures))


main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
