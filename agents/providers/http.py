"""POST requests to one address: a small HTTP/1.1 client of our own, and aiohttp where more is asked for.

A call by aiohttp costs 83 to 103 us of processor time; written straight to the socket, with llhttp's parser reading
the answer, it costs 25 to 35 (`docs/performance.md`). Proxies, redirects
and addresses that are not plain go through aiohttp.
"""

import asyncio
import re
import ssl
from collections import deque
from collections.abc import Mapping
from typing import Protocol, cast
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httptools
from msgspec import Struct

_KEEP_ALIVE_S = 30.0
_PLAIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?")
"""Nothing that needs to be encoded, no user, no IPv6."""
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Answer(Struct, frozen=True, gc=False):
    """A whole answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ConnectTimeout(TimeoutError):
    """The server did not take the connection in time."""


class BrokenAnswer(ConnectionError):
    """The connection ended, or what came over it was not HTTP, before the answer was whole."""


class Poster(Protocol):
    """Sends bodies to one address."""

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send it once, with these headers besides those of all; none may be among both.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError: no whole answer came.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


def poster(url: str, headers: Mapping[str, str], connect_timeout_s: float) -> Poster:
    """What sends to that address; `headers` go with every request."""
    whole = AiohttpPoster(url, headers, connect_timeout_s)
    plain = _PLAIN.fullmatch(url) and _is_port(url) and all(map(_is_field, headers.items()))
    if whole.proxy or not plain:
        return whole
    return DirectPoster(urlsplit(url), headers, connect_timeout_s, whole)


def _is_port(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _is_field(header: tuple[str, str]) -> bool:
    """Whether it may be sent as it is; of others aiohttp says what is wrong with them."""
    name, value = header
    return bool(_NAME.fullmatch(name)) and not _CONTROL.search(value)


class AiohttpPoster:
    """Knows all of HTTP."""

    def __init__(self, url: str, headers: Mapping[str, str], connect_timeout_s: float) -> None:
        self._url, self._headers = url, headers
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s)
        self._open: aiohttp.ClientSession | None = None
        # Looked up once: aiohttp itself asks the environment, in a thread, for every call.
        self.proxy = _proxy_of(url)

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """As `Poster.post`."""
        async with self._session().post(self._url, data=body, headers=headers) as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, found, await response.read())

    async def aclose(self) -> None:
        """As `Poster.aclose`."""
        if self._open is not None:
            await self._open.close()

    def _session(self) -> aiohttp.ClientSession:
        """Opened with the first call: it belongs to the event loop that runs then."""
        if self._open is None:
            self._open = aiohttp.ClientSession(
                # The window bounds how many calls there are at once.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                timeout=self._timeout,
                proxy=self.proxy,
            )
        return self._open


def _proxy_of(url: str) -> str | None:
    """The proxy that the environment names for an address."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


class DirectPoster:
    """Knows what an endpoint of a model needs: one connection a call, kept for the next one."""

    def __init__(
        self,
        parts: SplitResult,
        headers: Mapping[str, str],
        connect_timeout_s: float,
        elsewhere: Poster,
    ) -> None:
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self._connect_timeout_s = connect_timeout_s
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        given = {name.lower() for name in headers}
        ours = {"Host": parts.netloc, "User-Agent": "sluicegate", "Accept-Encoding": "identity"}
        ours = {name: value for name, value in ours.items() if name.lower() not in given}
        self._head = f"POST {target} HTTP/1.1\r\n".encode() + _lines(ours) + _lines(headers)
        self._elsewhere = elsewhere
        self._moved = self._closed = False
        self._idle: deque[_Connection] = deque()  # the one used last at the end
        self._context: ssl.SSLContext | None = None

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """As `Poster.post`."""
        if not self._moved and all(map(_is_field, headers.items())):
            answer = await self._once(body, headers)
            if answer.status not in _REDIRECTS:
                return answer
            self._moved = True
        return await self._elsewhere.post(body, headers)

    async def _once(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        head = b"%s%sContent-Length: %d\r\n\r\n" % (self._head, _lines(headers), len(body))
        connection = self._kept() or await self._opened()
        try:
            return await connection.exchange(head + body)
        finally:
            if connection.is_free and not self._closed:
                self._idle.append(connection)
            else:
                connection.close()

    def _kept(self) -> "_Connection | None":
        """The connection that was used last: so those that are too many get old, and are closed."""
        long_ago = asyncio.get_running_loop().time() - _KEEP_ALIVE_S
        while self._idle and self._idle[0].used < long_ago:
            self._idle.popleft().close()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_free:  # else the server closed it, or says what nobody asked for
                return connection
            connection.close()
        return None

    async def _opened(self) -> "_Connection":
        if self._secure and self._context is None:
            self._context = ssl.create_default_context()
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(self._connect_timeout_s)
        try:
            async with limit:
                _, connection = await loop.create_connection(
                    _Connection, self._host, self._port, ssl=self._context
                )
        except TimeoutError:
            if limit.expired():
                raise ConnectTimeout from None
            raise
        return connection

    async def aclose(self) -> None:
        """As `Poster.aclose`."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
        await self._elsewhere.aclose()


def _lines(headers: Mapping[str, str]) -> bytes:
    """Header fields as they are sent; the values hold no control characters."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode()


class _Connection(asyncio.Protocol):
    """One exchange after the other."""

    def __init__(self) -> None:
        self.is_free = False
        self.used = 0.0
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Answer] | None = None
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._ends_with_connection = False

    async def exchange(self, request: bytes) -> Answer:
        """Send a request and wait for its answer; only where `is_free` holds afterwards may there be another."""
        assert self._transport is not None
        self.is_free = False
        self._answer = self._loop.create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Close it at once, whatever is under way."""
        self.is_free = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer; others are nobody's."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._failed(BrokenAnswer(type(error).__name__))

    def eof_received(self) -> bool:
        """The server says no more: the end of an answer that told no length, or of one that was cut."""
        if self._ends_with_connection:
            self._done(is_last=True)
        self.is_free = False
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone, while it was used or idle."""
        self._failed(BrokenAnswer(type(error).__name__ if error else "closed"))

    # The parser's side.

    def on_message_begin(self) -> None:
        """An answer begins, asked for or not."""
        self._headers, self._body = {}, []
        if self._answer is None:
            self.is_free = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its fields; of several with one name the last one."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Whether it says where it ends."""
        told = "content-length" in self._headers or "transfer-encoding" in self._headers
        self._ends_with_connection = not told and self._parser.get_status_code() >= 200

    def on_body(self, body: bytes) -> None:
        """Some of it."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """It is whole; what precedes it (RFC 9110, 15.2) is not it."""
        if self._parser.get_status_code() >= 200:
            self._done(is_last=not self._parser.should_keep_alive())

    def _done(self, *, is_last: bool) -> None:
        answer, self._answer, self._ends_with_connection = self._answer, None, False
        if answer is None or answer.done():  # unasked for, or nobody waits any more
            self.close()
            return
        self.is_free, self.used = not is_last, self._loop.time()
        answer.set_result(Answer(self._parser.get_status_code(), self._headers, b"".join(self._body)))

    def _failed(self, error: BrokenAnswer) -> None:
        answer, self._answer = self._answer, None
        self.close()
        if answer is not None and not answer.done():
            answer.set_exception(error)
