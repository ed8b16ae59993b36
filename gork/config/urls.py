"""Base URLs of model servers: the spellings of OLLAMA_HOST, the strict form that members use, and what may be shown of either."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from gork.errors import ConfigError

DEFAULT_PORT = 11434
_SCHEME_PORTS = {"http": 80, "https": 443}
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}")
_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
_LONGEST = 2048


class BadUrl(ValueError):
    """Raised with what is wrong with a URL; never contains its credentials or query."""


def parse_host(value: str) -> str:
    """The base URL that a value of OLLAMA_HOST means to a client; the rules are those of Ollama's own clients.

    >>> parse_host("")
    'http://127.0.0.1:11434'
    >>> parse_host("1.2.3.4"), parse_host(":56789"), parse_host("1.2.3.4:56789")
    ('http://1.2.3.4:11434', 'http://127.0.0.1:56789', 'http://1.2.3.4:56789')
    >>> parse_host("http://1.2.3.4"), parse_host("https://1.2.3.4"), parse_host("https://1.2.3.4:56789")
    ('http://1.2.3.4:80', 'https://1.2.3.4:443', 'https://1.2.3.4:56789')
    >>> parse_host("example.com"), parse_host("example.com:56789"), parse_host("EXAMPLE.com")
    ('http://example.com:11434', 'http://example.com:56789', 'http://example.com:11434')
    >>> parse_host("http://example.com"), parse_host("HTTPS://example.com")
    ('http://example.com:80', 'https://example.com:443')
    >>> parse_host("example.com/"), parse_host("example.com:56789/")
    ('http://example.com:11434', 'http://example.com:56789')
    >>> parse_host("example.com/path"), parse_host("example.com:56789/path/")
    ('http://example.com:11434/path', 'http://example.com:56789/path')
    >>> parse_host("https://example.com:56789/a/b")
    'https://example.com:56789/a/b'
    >>> parse_host("[2001:db8::1]"), parse_host("[2001:db8::1]:56789")
    ('http://[2001:db8::1]:11434', 'http://[2001:db8::1]:56789')
    >>> parse_host("2001:db8::1"), parse_host("2001:db8::1/path")
    ('http://[2001:db8::1]:11434', 'http://[2001:db8::1]:11434/path')
    >>> parse_host("https://[2001:db8::1]"), parse_host("https://[2001:db8::1]:56789/path")
    ('https://[2001:db8::1]:443', 'https://[2001:db8::1]:56789/path')

    Blanks and quotes around it are taken off; an address that a server binds to is asked at its loopback.

    >>> parse_host('  "1.2.3.4" '), parse_host("'example.com:1'")
    ('http://1.2.3.4:11434', 'http://example.com:1')
    >>> parse_host("0.0.0.0"), parse_host("http://0.0.0.0:8080"), parse_host("[::]:56789"), parse_host("::")
    ('http://127.0.0.1:11434', 'http://127.0.0.1:8080', 'http://[::1]:56789', 'http://[::1]:11434')

    What is not a host raises a `ConfigError`, without what may be secret in it.

    >>> parse_host("http://me:secret@example.com")
    Traceback (most recent call last):
        ...
    gork.errors.ConfigError: "http://***@example.com": credentials in a URL are not supported
    """
    try:
        return host_url(value)
    except BadUrl as error:
        raise ConfigError([f"{quoted(masked(value))}: {error}"]) from None


def host_url(value: str) -> str:
    """As `parse_host`, for where a value is read with others. Raises `BadUrl`."""
    value = value.strip()
    if value[:1] in {"'", '"'} and value[:1] == value[-1:]:  # a shell's or an env file's; a quotation mark alone belongs to the path
        value = value[1:-1].strip()
    scheme, separator, rest = value.partition("://")
    if not separator:
        scheme, rest, port = "http", value, DEFAULT_PORT
    else:
        scheme = scheme.lower()
        port = _port_of(scheme)
    authority, slash, path = rest.partition("/")
    if separator and not authority:
        raise BadUrl("has no host")
    if _is_ipv6(authority):
        authority = f"[{authority}]"
    if authority in {"", ":"} or authority.startswith(":"):
        authority = "127.0.0.1" + (authority if authority != ":" else "")
    split = _split(f"{scheme}://{authority}{slash}{path}")
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(_host(split), _host(split))  # noqa: S104 - replaced, not bound to
    return _join(scheme, address, _port(split) or port, split.path)


def base_url(value: str) -> str:
    """The same URL without a slash at its end, for a member's `url`: scheme and host must be there. Raises `BadUrl`.

    >>> base_url("http://qwen:11434/"), base_url("https://models.example.com/qwen")
    ('http://qwen:11434', 'https://models.example.com/qwen')
    >>> base_url("qwen:11434")
    Traceback (most recent call last):
        ...
    gork.config.urls.BadUrl: must begin with http:// or https:// (did you mean "http://qwen:11434"?)
    """
    scheme, separator, rest = value.partition("://")
    if not separator:
        hint = f' (did you mean "http://{value}"?)' if re.fullmatch(r"[A-Za-z0-9.-]{1,100}(:[0-9]{1,5})?", value) else ""
        raise BadUrl("must begin with http:// or https://" + hint)
    _port_of(scheme.lower())
    split = _split(f"{scheme.lower()}://{rest}")
    if not split.hostname:
        raise BadUrl("has no host")
    return _join(split.scheme, _host(split), _port(split), split.path)


def masked(value: str) -> str:
    """A URL without what may be secret in it: user, password, query and fragment.

    >>> masked("http://me:secret@host/path?key=1"), masked("http://me@host/path"), masked("http://host/?key=1")
    ('http://***', 'http://***@host/path', 'http://host/?***')
    """
    scheme, separator, rest = value.rpartition("://") if value.count("://") == 1 else ("", "", value)
    start = scheme + separator if _HOST_NAME.fullmatch(scheme) else ""
    query = min((at for at in (rest.find("?"), rest.find("#")) if at >= 0), default=-1)
    if "@" in rest:
        # With both, it is not known where a password ends and a query begins.
        return f"{start}***" if query >= 0 or not start else f"{start}***@{rest.rpartition('@')[2]}"
    return value if query < 0 else f"{start}{rest[: query + 1]}***"


def quoted(value: str) -> str:
    r"""A value for a message: in quotes, cut to 80 characters, what cannot be printed escaped, secrets of a URL masked.

    >>> print(quoted("a\x1b[31m\ud800"), quoted("http://a:b@c"))
    "a\x1b[31m\ud800" "http://***@c"
    """
    text = masked(value) if _is_secretive(value) else value
    text = text if len(text) <= 80 else text[:77] + "..."
    return '"' + printable(text) + '"'


def printable(text: str) -> str:
    """The text with every character that a terminal would act on, or that no encoding can carry, escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def _is_secretive(value: str) -> bool:
    return "://" in value or ("@" in value and ":" in value.partition("@")[0])


def _port_of(scheme: str) -> int:
    if scheme not in _SCHEME_PORTS:
        raise BadUrl("must begin with http:// or https://")
    return _SCHEME_PORTS[scheme]


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def _split(url: str) -> SplitResult:
    """Split a URL, refusing what `urlsplit` would silently take off or leave in."""
    if len(url) > _LONGEST:
        raise BadUrl(f"is longer than {_LONGEST} characters")
    if any(char.isspace() or not char.isprintable() for char in url):
        raise BadUrl("has blanks or control characters in it")
    if "@" in url.partition("://")[2].partition("/")[0] or url.count("://") > 1:
        raise BadUrl("credentials in a URL are not supported" if "@" in url else "is not a URL")
    if "?" in url or "#" in url:
        raise BadUrl("a query or fragment in a URL is not supported")
    try:
        split = urlsplit(url)
    except ValueError:
        raise BadUrl("is not a URL") from None
    if not _PATH.fullmatch(split.path):
        raise BadUrl("has characters in its path that a URL cannot have")
    return split


def _host(split: SplitResult) -> str:
    host = split.hostname or ""
    if not _is_ipv6(host) and not _HOST_NAME.fullmatch(host):
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            host = ""
        if not _HOST_NAME.fullmatch(host):
            raise BadUrl("has a host that is neither a name nor an address")
    return host


def _port(split: SplitResult) -> int | None:
    try:
        port = split.port
    except ValueError:
        port = 0
    if port == 0:
        raise BadUrl("has a port that is not between 1 and 65535")
    return port


def _join(scheme: str, host: str, port: int | None, path: str) -> str:
    authority = f"[{host}]" if ":" in host else host
    path = path.strip("/")
    return f"{scheme}://{authority}" + (f":{port}" if port is not None else "") + (f"/{path}" if path else "")
