"""A kubectl for tests: `port-forward` to ports that a file names, and what `get` prints from files.

Its folder is in FAKE_KUBECTL: `<service>.port` holds the port where the "pod" listens, `<kind>.json` is what
`get` prints, `<kind>-<name>.log` or `<pod>.log` what `logs` prints, `pids` collects the processes. A forward
ends when its file changes, as kubectl does when its pod is gone.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from pathlib import Path

FOLDER = Path(os.environ["FAKE_KUBECTL"])


def pump(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def serve(listener, pod):
    while True:
        client, _ = listener.accept()
        print(f"Handling connection for {listener.getsockname()[1]}", flush=True)
        try:
            server = socket.create_connection(("127.0.0.1", pod))
        except OSError:
            print("error: lost connection to pod", flush=True)
            os._exit(1)
        for pair in ((client, server), (server, client)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


def port_forward(service, ports):
    local, _, remote = ports.partition(":")
    with (FOLDER / "pids").open("a") as file:
        file.write(f"{os.getpid()}\n")
    target = FOLDER / f"{service}.port"
    if not target.exists():
        sys.exit(f'Error from server (NotFound): services "{service}" not found')
    before = target.read_text()
    listener = socket.create_server(("127.0.0.1", int(local or 0)))
    print(f"Forwarding from 127.0.0.1:{listener.getsockname()[1]} -> {remote}", flush=True)
    threading.Thread(target=serve, args=(listener, int(before)), daemon=True).start()
    while target.exists() and target.read_text() == before:
        time.sleep(0.05)
    sys.exit("error: lost connection to pod")


def main():
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    if "port-forward" in words:
        at = words.index("port-forward")
        service, ports = (word for word in words[at + 1 :] if word != "127.0.0.1")
        port_forward(service.removeprefix("service/"), ports)
    elif "current-context" in words:
        print("fake")
    elif "get" in words:
        kind = words[words.index("get") + 1]
        answer = FOLDER / f"{kind}.json"
        if answer.exists():
            print(answer.read_text())
        elif "--ignore-not-found" not in sys.argv:
            sys.exit(f"Error from server (NotFound): {kind} not found")
    elif "logs" in words:
        print((FOLDER / f"{words[words.index('logs') + 1].replace('/', '-')}.log").read_text())


main()
