"""As much of S3 on 127.0.0.1 as the bootstrap needs: a bucket that is made, asked for and listed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_XML = '<?xml version="1.0"?>'


def _error(code: str) -> str:
    return f"{_XML}<Error><Code>{code}</Code><Message>no</Message></Error>"


_SAYS_NOTHING = {"forbidden": (403, _error("AccessDenied")), "down": (503, _error("SlowDown"))}


class FakeS3:
    """One bucket.

    Attributes:
        endpoint: Its URL.
        state: The bucket is `there`, `absent`, `racing` (another makes it just before us), `forbidden`
            or `down`.
        made: How often it was made.
        objects: Keys of the files in it.
        unlisted: Keys of files that are there but not shown in a listing yet.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.state = "absent"
        self.made = 0
        self.objects: set[str] = set()
        self.unlisted: set[str] = set()

    def answer(self, method: str, url: str) -> tuple[int, str]:
        """Status and body."""
        if self.state in _SAYS_NOTHING:
            return _SAYS_NOTHING[self.state]
        if method == "PUT":
            return self._make()
        if self.state != "there":
            return 404, _error("NoSuchBucket")
        place = urlsplit(url)
        _, _, key = place.path.lstrip("/").partition("/")
        if key:
            return (200, "") if key in self.objects | self.unlisted else (404, _error("NoSuchKey"))
        return 200, self._listing(parse_qs(place.query).get("prefix", [""])[0])

    def _make(self) -> tuple[int, str]:
        was, self.state = self.state, "there"
        if was == "racing":
            return 409, _error("BucketAlreadyOwnedByYou")
        self.made += 1
        return 200, ""

    def _listing(self, prefix: str) -> str:
        below = {key.removeprefix(prefix) for key in self.objects if key.startswith(prefix)}
        folders = sorted({key.partition("/")[0] for key in below if "/" in key})
        shown = "".join(
            f"<CommonPrefixes><Prefix>{prefix}{name}/</Prefix></CommonPrefixes>" for name in folders
        )
        body = f"<Name>b</Name><Prefix>{prefix}</Prefix><IsTruncated>false</IsTruncated>{shown}"
        return f'{_XML}<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{body}</ListBucketResult>'


@contextmanager
def serve_s3() -> Iterator[FakeS3]:
    """A bucket on a free port."""
    bucket = FakeS3()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            status, body = bucket.answer(self.command, self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/xml")
            self.send_header("Last-Modified", "Mon, 04 May 2026 12:00:00 GMT")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body.encode())

        do_GET = do_PUT = do_HEAD  # noqa: N815 - named so in http.server

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        bucket.endpoint = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield bucket
        finally:
            server.shutdown()
