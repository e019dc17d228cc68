"""A TCP proxy on loopback whose connections a test can cut."""

import socket
import threading

from tests.support.mqtt import free_port


class Proxy:
    """Forwards to a port of loopback; `cut()` resets all connections, `refuse` closes new ones at once."""

    def __init__(self, target: int) -> None:
        self.port, self._target, self.refuse = free_port(), target, False
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                if self.refuse:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            with self._lock:
                self._open += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for one in (source, sink):
                one.close()

    def cut(self) -> None:
        """Cut every connection now, whatever is on its way."""
        with self._lock:
            gone, self._open = self._open, []
        for one in gone:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def close(self) -> None:
        self._listener.close()
        self.cut()
