"""OpenStack Swift with its S3 interface, a whole cluster in one process: run by Debian's own Python, told a folder and a port.

The access key `account:tester` has the secret `SECRET`; signatures are checked.
"""

import sys
from pathlib import Path

import eventlet

eventlet.monkey_patch()

from swift.common import utils, wsgi  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402

STORAGE = """
[DEFAULT]
devices = {folder}
mount_check = false
swift_dir = {folder}
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
fallocate_reserve = 0
"""
PROXY = """
[DEFAULT]
swift_dir = {folder}
[pipeline:main]
pipeline = catch_errors gatekeeper bulk s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_account_tester = SECRET .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""


class NoCache:
    """In place of memcached: remembers nothing."""

    def get(self, key, raise_on_error=False):
        return None

    def set(self, key, value, **options):
        pass

    def delete(self, key, **options):
        pass

    def incr(self, key, delta=1, **options):
        return delta


def uncached(application):
    def answer(environment, start):
        environment["swift.cache"] = NoCache()
        return application(environment, start)

    return answer


def ring(folder, name, port):
    builder = RingBuilder(2, 1, 0)
    builder.add_dev({"region": 1, "zone": 1, "weight": 1, "ip": "127.0.0.1", "port": port, "device": "disk", "meta": ""})
    builder.rebalance()
    builder.get_ring().save(str(folder / f"{name}.ring.gz"))


def serve(folder, name, text, socket):
    path = folder / f"{name}.conf"
    path.write_text(text.format(folder=folder, name=name))
    application = wsgi.loadapp(str(path))
    return eventlet.spawn(eventlet.wsgi.server, socket, uncached(application), protocol=wsgi.SwiftHttpProtocol, log_output=False)


def main(folder, port):
    utils.HASH_PATH_SUFFIX = b"tests"
    (folder / "disk").mkdir(parents=True, exist_ok=True)
    sockets = {name: eventlet.listen(("127.0.0.1", 0)) for name in ("account", "container", "object")}
    for name, socket in sockets.items():
        ring(folder, name, socket.getsockname()[1])
    serving = [serve(folder, name, STORAGE, socket) for name, socket in sockets.items()]
    serving.append(serve(folder, "proxy", PROXY, eventlet.listen(("127.0.0.1", port))))
    serving[-1].wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
