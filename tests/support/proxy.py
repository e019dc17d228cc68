"""A TCP proxy on loopback whose connections a test can cut, slow down and stop."""

import socket
import ssl
import threading
import time
from contextlib import suppress

from tests.support.ports import free_port


class Proxy:
    """Forwards to a port of loopback; `cut()` resets all connections, `refuse` closes new ones at once, `deaf` hands requests
    on and cuts the connection when the answer comes. `tls`: what the near side speaks. `seen`: what came from it.

    `lag_s`: each piece of an answer waits so long. `most`: bytes that go on at once, `rate`: bytes a second in each direction,
    0 for any. `frozen`: connections stay open and nothing comes through.
    """

    def __init__(self, target: int, tls: ssl.SSLContext | None = None) -> None:
        self.port, self._target, self.refuse, self.deaf = free_port(), target, False, False
        self.seen = bytearray()
        self.lag_s, self.most, self.rate, self.frozen = 0.0, 0, 0, False
        self._tls = tls
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
                if self._tls is not None:
                    near = self._wrapped(near, self._tls)
                far = socket.create_connection(("127.0.0.1", self._target))
            except ssl.SSLError:
                continue
            except OSError:
                return
            with self._lock:
                self._open += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b, a is near), daemon=True).start()

    @staticmethod
    def _wrapped(near: socket.socket, tls: ssl.SSLContext) -> socket.socket:
        try:
            return tls.wrap_socket(near, server_side=True)
        except (ssl.SSLError, ConnectionError) as error:
            near.close()
            raise ssl.SSLError(str(error)) from error

    def _pump(self, source: socket.socket, sink: socket.socket, asking: bool) -> None:
        try:
            sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := source.recv(self.most or 65_536):
                if asking:
                    self.seen += data
                elif self.deaf:
                    break
                self._hold(len(data), asking)
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for one in (source, sink):
                with suppress(OSError):  # close alone would wait for the thread that reads from it
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def _hold(self, size: int, asking: bool) -> None:
        time.sleep((0.0 if asking else self.lag_s) + (size / self.rate if self.rate else 0.0))
        while self.frozen:
            time.sleep(0.05)

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
