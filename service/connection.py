"""What a connection of HTTP may bring beside bodies."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 65_536
"""Of request line and headers, of what frames a chunk, or of trailers; one more read of the socket may pass."""


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's, which bounds none of these: its parser copies a header that has not ended with every piece of it, so
    that one of many megabytes keeps all other clients waiting."""

    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"More than {MAX_HEAD_BYTES} bytes of headers.")

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head_bytes = 0
        super().on_message_complete()
