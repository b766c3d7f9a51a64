"""Serves the page at `/`: files of this package, read once; nothing is loaded from elsewhere, and no key is needed.

The headers say so to the browser: a script or an address that isn't the gateway's own isn't run or asked.
"""

import gzip
import hashlib
from importlib.resources import files

import msgspec
from aiohttp import web

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    )
)
HEADERS = {
    "Cache-Control": "no-cache",  # asked for again each time, and answered by 304
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PageFile(msgspec.Struct, frozen=True):
    """packed: the body by gzip. content_type: with its charset. etag: of both forms, so it is a weak one."""

    body: bytes
    packed: bytes
    content_type: str
    etag: str


class Page:
    def __init__(self) -> None:
        """Reads the files."""
        self._files = read_files()

    def add_routes(self, app: web.Application) -> None:
        """`/` and `/page/<file>`, for GET and HEAD."""
        app.router.add_get("/", self._index)
        app.router.add_get("/page/{name}", self._file)

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return serve(request, self._files["index.html"])

    async def _file(self, request: web.Request) -> web.StreamResponse:
        found = self._files.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        return serve(request, found)


def read_files() -> dict[str, PageFile]:
    """By name, those of a known type: the package's own Python is none of them."""
    found: dict[str, PageFile] = {}
    for entry in files(__package__).iterdir():
        kind = TYPES.get(entry.name[entry.name.rfind(".") :])
        if kind is not None:
            body = entry.read_bytes()
            digest = hashlib.sha256(body).hexdigest()[:32]
            found[entry.name] = PageFile(body, gzip.compress(body, mtime=0), kind, digest)
    return found


def serve(request: web.Request, file: PageFile) -> web.Response:
    headers = HEADERS | {"ETag": f'W/"{file.etag}"', "Vary": "Accept-Encoding"}
    known = request.if_none_match or ()
    if any(tag.value in ("*", file.etag) for tag in known):
        return web.Response(status=304, headers=headers)
    headers |= {"Content-Type": file.content_type}
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=file.packed, headers=headers | {"Content-Encoding": "gzip"})
    return web.Response(body=file.body, headers=headers)
