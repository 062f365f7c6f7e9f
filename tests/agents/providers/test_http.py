"""The small HTTP client against a server that says what it is told to: answers whole and broken, connections kept."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from inspect import Parameter, Signature, signature
from pathlib import Path
from socket import socket
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agents.providers import http
from agents.providers.http import AiohttpPoster, BrokenAnswer, ConnectTimeout, DirectPoster, Poster, poster
from streams import loop


class Request(NamedTuple):
    """A request as it arrived, and over which of the connections."""

    connection: int
    line: str
    fields: list[tuple[str, ...]]
    body: bytes


END = None
Piece = bytes | float | Callable[[Request], bytes] | None
"""Bytes of an answer, seconds until the next of them, bytes made from the request, or the connection's end."""


class Server:
    """Reads whole requests and answers each with the next of its answers."""

    def __init__(self, answers: Sequence[Sequence[Piece]]) -> None:
        self.answers = iter(answers)
        self.address = ""
        self.requests: list[Request] = []
        self.ended: set[int] = set()
        self.tasks: list[asyncio.Task[None]] = []  # one a connection

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.current_task())
        number = len(self.tasks) - 1
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                line, *fields = (await reader.readuntil(b"\r\n\r\n"))[:-4].decode().split("\r\n")
                found = [tuple(one.split(": ", 1)) for one in fields]
                body = await reader.readexactly(int(dict(found)["Content-Length"]))
                self.requests.append(request := Request(number, line, found, body))
                for piece in next(self.answers):
                    if piece is END:
                        raise ConnectionAbortedError
                    if isinstance(piece, float):
                        await asyncio.sleep(piece)
                        continue
                    writer.write(piece if isinstance(piece, bytes) else piece(request))
                    await writer.drain()
        self.ended.add(number)
        writer.close()

    async def has_ended(self, *connections: int) -> None:
        """Wait until the client, or the script, closed them."""
        async with asyncio.timeout(5):
            while not self.ended.issuperset(connections):
                await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(*answers: Sequence[Piece], context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(answers)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    server.address = "127.0.0.1:{1}".format(*listening.sockets[0].getsockname())
    try:
        yield server
    finally:
        listening.close()
        for task in server.tasks:
            task.cancel()
        await asyncio.gather(*server.tasks)


@asynccontextmanager
async def posting(
    server: Server, *fields: tuple[str, str], url: str = "http://{}/v1?a=1"
) -> AsyncIterator[Poster]:
    made = poster(url.format(server.address), dict(fields), 2.0)
    assert isinstance(made, DirectPoster)
    try:
        yield made
    finally:
        await made.aclose()


def whole(body: bytes, *fields: bytes, version: bytes = b"1.1") -> bytes:
    own = b"".join(one + b"\r\n" for one in fields)
    return b"HTTP/%b 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (version, own, len(body), body)


def echo(request: Request) -> bytes:
    return whole(request.body)


def on_each_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run it on asyncio's own loop and on a worker's, which pytest-timeout cannot interrupt."""

    def each(run: Callable[[Awaitable[None]], None], **fixtures: object) -> None:
        run(asyncio.wait_for(test(**fixtures), 10))

    names = [*signature(test).parameters.values(), Parameter("run", Parameter.KEYWORD_ONLY)]
    each.__name__, each.__doc__ = test.__name__, test.__doc__
    each.__signature__ = Signature(names)
    return pytest.mark.parametrize("run", [asyncio.run, loop.run], ids=["asyncio", "uvloop"])(each)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@on_each_loop
async def test_a_request_arrives_with_its_body_the_own_fields_and_those_of_the_call() -> None:
    async with serving([echo]) as server, posting(server, ("Authorization", "Bearer schlüssel")) as to:
        await to.post(b"\x00ask", {"Idempotency-Key": "clé"})
    (request,) = server.requests
    assert (request.line, request.body) == ("POST /v1?a=1 HTTP/1.1", b"\x00ask")
    assert sorted(request.fields) == [
        ("Accept-Encoding", "identity"),
        ("Authorization", "Bearer schlüssel"),
        ("Content-Length", "4"),
        ("Host", server.address),
        ("Idempotency-Key", "clé"),
        ("User-Agent", "sluicegate"),
    ]


@pytest.mark.parametrize("size", [0, 3_000_000], ids=["empty", "larger than a socket's buffer"])
async def test_a_body_of_any_size_comes_and_goes(size: int) -> None:
    async with serving([echo]) as server, posting(server, url="http://{}") as to:
        assert (await to.post(b"x" * size, {})).body == b"x" * size
    assert server.requests[0].line == "POST / HTTP/1.1"


async def test_a_given_field_replaces_ours_in_whatever_case() -> None:
    given = [("USER-AGENT", "mine"), ("accept-Encoding", "gzip"), ("host", "models.example")]
    async with serving([echo]) as server, posting(server, *given) as to:
        await to.post(b"", {})
    assert sorted(server.requests[0].fields) == [("Content-Length", "0"), *given]


async def test_an_answer_tells_its_status_fields_and_body() -> None:
    said = b"HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nX-Of: caf\xe9\r\nRETRY-AFTER: 7\r\nContent-Length: 2\r\n\r\nno"
    async with serving([said]) as server, posting(server) as to:
        answer = await to.post(b"", {})
    assert (answer.status, answer.body) == (429, b"no")
    assert answer.headers == {"retry-after": "7", "x-of": "café", "content-length": "2"}


@on_each_loop
async def test_posts_in_a_row_share_a_connection() -> None:
    async with serving([echo], [echo], [echo]) as server, posting(server) as to:
        assert [(await to.post(body, {})).body for body in (b"1", b"2", b"3")] == [b"1", b"2", b"3"]
    assert len(server.tasks) == 1


@on_each_loop
async def test_posts_at_once_have_a_connection_each_and_their_own_answers() -> None:
    async with serving([0.1, echo], [0.05, echo], [echo]) as server, posting(server) as to:
        answers = await asyncio.gather(to.post(b"1", {}), to.post(b"2", {}))
        assert [answer.body for answer in answers] == [b"1", b"2"]
        assert {request.connection for request in server.requests} == {0, 1}
        await to.post(b"3", {})
    assert len(server.tasks) == 2


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
SLOWLY = whole(b"all of it", b"X-Of: two words")
WHOLE = {
    "chunks": [CHUNKED, b"3;x=y\r\nall\r\n", 0.02, b"6\r\n of", 0.02, b" it\r\n0\r\nX-Later: 1\r\n\r\n"],
    "byte by byte": [piece for byte in SLOWLY for piece in (bytes([byte]), 0.001)],
    "after 100": [CONTINUE, 0.02, SLOWLY],
    "together with 100": [CONTINUE + SLOWLY],
    "after 103": [HINTS, 0.02, HINTS, CONTINUE, SLOWLY],
}
LAST = {
    "until the end": [b"HTTP/1.1 200 OK\r\n\r\nall ", 0.02, b"of it", END],
    "Connection: close": [whole(b"all of it", b"Connection: close")],
    "HTTP 1.0": [whole(b"all of it", version=b"1.0")],
}


@pytest.mark.parametrize("said", WHOLE.values(), ids=WHOLE)
@on_each_loop
async def test_an_answer_is_whole_however_it_comes_and_its_connection_is_used_again(said) -> None:
    async with serving(said, [echo]) as server, posting(server) as to:
        answer = await to.post(b"", {})
        assert (answer.status, answer.body, "link" in answer.headers) == (200, b"all of it", False)
        assert (await to.post(b"next", {})).body == b"next"
    assert len(server.tasks) == 1


@pytest.mark.parametrize("said", LAST.values(), ids=LAST)
@on_each_loop
async def test_a_connection_that_takes_no_more_is_closed_after_its_whole_answer(said) -> None:
    """By us: this server may leave it open."""
    async with serving(said, [echo]) as server, posting(server) as to:
        assert (await to.post(b"", {})).body == b"all of it"
        await server.has_ended(0)
        assert (await to.post(b"next", {})).body == b"next"
    assert len(server.tasks) == 2


@on_each_loop
async def test_a_kept_connection_that_the_server_closed_is_not_used() -> None:
    async with serving([echo, END], [echo]) as server, posting(server) as to:
        await to.post(b"1", {})
        await server.has_ended(0)
        await asyncio.sleep(0.05)  # until it is known here, too
        assert (await to.post(b"2", {})).body == b"2"
    assert len(server.tasks) == 2


async def test_connections_kept_for_too_long_are_closed(monkeypatch) -> None:
    async with serving([0.05, echo], [0.05, echo], [echo]) as server, posting(server) as to:
        await asyncio.gather(to.post(b"1", {}), to.post(b"2", {}))
        monkeypatch.setattr(http, "_KEEP_ALIVE_S", 0.05)
        await asyncio.sleep(0.1)
        assert (await to.post(b"3", {})).body == b"3"
        await server.has_ended(0, 1)
    assert len(server.tasks) == 3


async def test_kept_connections_end_with_the_poster() -> None:
    async with serving([echo]) as server:
        async with posting(server) as to:
            await to.post(b"", {})
        await server.has_ended(0)


UNASKED = [[whole(b"1") + whole(b"unasked")], [whole(b"1"), 0.05, whole(b"unasked")]]


@pytest.mark.parametrize("said", UNASKED, ids=["at once", "later"])
async def test_an_answer_that_nobody_asked_for_is_nobodys(said) -> None:
    async with serving(said, [echo]) as server, posting(server) as to:
        assert (await to.post(b"", {})).body == b"1"
        await server.has_ended(0)
        assert (await to.post(b"2", {})).body == b"2"


@on_each_loop
async def test_a_connection_on_which_an_unasked_answer_has_begun_is_not_used() -> None:
    async with serving([echo, 0.02, b"HTTP/1.1 408 Slow\r\n"], [echo]) as server, posting(server) as to:
        await to.post(b"1", {})
        await asyncio.sleep(0.1)
        assert (await to.post(b"2", {})).body == b"2"
    assert [request.connection for request in server.requests] == [0, 1]


async def test_a_header_of_a_call_cannot_bring_others_with_it() -> None:
    async with serving([echo]) as server, posting(server) as to:
        with pytest.raises(ValueError, match="header"):
            await to.post(b"", {"Idempotency-Key": "a\r\nX-Other: b"})
    assert server.requests == []


BROKEN = {
    "before any byte": [END],
    "in the head": [b"HTTP/1.1 200 OK\r\nContent-Le", END],
    "before its length is reached": [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", END],
    "before the last chunk": [CHUNKED + b"3\r\nabc\r\n", END],
    "after what precedes it": [b"HTTP/1.1 100 Continue\r\n\r\n", END],
    "not HTTP": [b"SSH-2.0-OpenSSH_9.6\r\n"],
    "bytes": [b"\x15\x03\x01\x00\x02\x02\x46"],
    "a chunk without size": [CHUNKED + b"xyz\r\n"],
    "another protocol": [b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n\x00"],
}


@pytest.mark.parametrize("said", BROKEN.values(), ids=BROKEN)
@on_each_loop
async def test_a_broken_answer_is_an_error_and_the_next_post_has_another_connection(said) -> None:
    async with serving(said, [echo]) as server, posting(server) as to:
        with pytest.raises(ConnectionError) as caught:
            await to.post(b"", {})
        assert type(caught.value) is BrokenAnswer
        await server.has_ended(0)
        assert (await to.post(b"2", {})).body == b"2"
    assert len(server.tasks) == 2


@pytest.mark.parametrize("late", [whole(b"late"), b"HTTP/1.1 200 OK\r\n"], ids=["whole", "begun"])
@on_each_loop
async def test_a_cancelled_post_closes_its_connection_and_its_answer_reaches_nobody(late) -> None:
    async with serving([0.3, late], [0.4, echo], [echo]) as server, posting(server) as to:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await to.post(b"1", {})
        assert (await to.post(b"2", {})).body == b"2"
        await server.has_ended(0)
        assert (await to.post(b"3", {})).body == b"3"
    assert [request.connection for request in server.requests] == [0, 1, 1]


async def test_a_redirect_is_followed_with_the_body_and_so_are_later_posts() -> None:
    moved = [b"HTTP/1.1 307 Moved\r\nLocation: /v2\r\nContent-Length: 0\r\n\r\n"]
    async with (
        serving(moved, moved, [echo], moved, [echo]) as server,
        posting(server, ("X-Own", "o")) as to,
    ):
        for body in (b"1", b"2"):
            assert (await to.post(body, {"X-Call": "c"})).body == body
    old, new = "POST /v1?a=1 HTTP/1.1", "POST /v2 HTTP/1.1"
    assert [request.line for request in server.requests] == [old, old, new, old, new]
    assert all({("X-Own", "o"), ("X-Call", "c")} <= {*request.fields} for request in server.requests)


@pytest.mark.parametrize(
    ("url", "headers", "proxies", "kind"),
    [
        ("http://127.0.0.1:80/v1", {}, {}, DirectPoster),
        ("https://api.example.com", {"X": "é"}, {"http_proxy": "http://p:1"}, DirectPoster),
        ("http://h/v1", {}, {"http_proxy": "http://p:1", "no_proxy": "h"}, DirectPoster),
        ("http://h/v1", {}, {"http_proxy": "http://p:1"}, AiohttpPoster),
        ("https://h/v1", {}, {"HTTPS_PROXY": "http://p:1"}, AiohttpPoster),
        ("http://user:password@h/v1", {}, {}, AiohttpPoster),
        ("http://h/a b", {}, {}, AiohttpPoster),
        ("http://h/é", {}, {}, AiohttpPoster),
        ("http://[::1]:80/v1", {}, {}, AiohttpPoster),
        ("http://h:99999/v1", {}, {}, AiohttpPoster),
        ("http://h:0/v1", {}, {}, AiohttpPoster),
        ("http://h/v1", {"X": "a\nb"}, {}, AiohttpPoster),
        ("http://h/v1", {"X Y": "a"}, {}, AiohttpPoster),
    ],
)
def test_what_is_not_plain_is_left_to_aiohttp(url, headers, proxies, kind, monkeypatch) -> None:
    for name, value in proxies.items():
        monkeypatch.setenv(name, value)
    assert type(poster(url, headers, 1.0)) is kind


@on_each_loop
async def test_a_server_that_does_not_take_the_connection_in_time_is_told_apart() -> None:
    with socket() as full, socket() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting.connect(full.getsockname())  # the one that may wait
        to = poster(f"http://127.0.0.1:{full.getsockname()[1]}", {}, 0.2)
        async with asyncio.timeout(5):
            with pytest.raises(ConnectTimeout):
                await to.post(b"", {})
        await to.aclose()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and what it signed for itself, in one file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(names, critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path = tmp_path / "server.pem"
    path.write_bytes(private + made.public_bytes(pem))
    return path


@asynccontextmanager
async def secured(certificate: Path, *answers: Sequence[Piece]) -> AsyncIterator[tuple[Server, Poster]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with (
        serving(*answers, context=context) as server,
        posting(server, url="https://{}/v1") as to,
    ):
        yield server, to


@on_each_loop
async def test_a_server_whose_certificate_is_trusted_answers_over_tls(certificate, monkeypatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with secured(certificate, [echo], [echo], [b"HTTP/1.1 200 OK\r\n\r\nend", END]) as (server, to):
        assert [(await to.post(body, {})).body for body in (b"1", b"2", b"3")] == [b"1", b"2", b"end"]
    assert len(server.tasks) == 1


@on_each_loop
async def test_a_server_whose_certificate_is_not_trusted_is_sent_nothing(certificate) -> None:
    async with secured(certificate, [echo]) as (server, to):
        with pytest.raises(ssl.SSLError):
            await to.post(b"secret", {})
    assert server.requests == []
