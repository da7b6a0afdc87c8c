"""Where an archive comes from: a path, a name in the destination, `latest`, or a URL."""

from __future__ import annotations

import base64
import hashlib
import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from humanize import naturalsize

from diskette import conf
from diskette.core import catalog
from diskette.core.catalog import ArchiveInfo
from diskette.core.exceptions import ArchiveNotFound, UsageError
from diskette.core.files import private_file
from diskette.core.space import disk_errors_named

LATEST = "latest"


def is_url(word: str) -> bool:
    return "://" in word


def is_address(url: str) -> bool:
    """Whether it is spelled so that it can be asked for."""
    try:
        parts = urllib.parse.urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_whole and url.isascii() and url.isprintable() and " " not in url


def named(word: str) -> str:
    """The archive that a user's word means: an absolute path or a URL.

    Raises ArchiveNotFound, or UsageError for a URL of a kind that is not allowed.
    """
    if is_url(word):
        return _allowed(word)
    if word == LATEST:
        return str(_latest())
    try:
        path = Path(word).expanduser()
    except RuntimeError as error:
        raise ArchiveNotFound(word, "there is no such user's home directory.") from error
    for candidate in (path.absolute(), conf.destination() / word):
        if candidate.is_file():
            return str(candidate)
    raise ArchiveNotFound(
        word,
        f"no such file here or in {conf.destination()}. "
        "`manage.py diskette_list` lists what is there.",
    )


def in_destination(name: str) -> str:
    """`latest`, or the path of an archive by its name in the destination, as a message may ask.

    Raises ArchiveNotFound for anything else: paths, links, hidden files.
    """
    if name == LATEST:
        return LATEST
    listed = {info.name: info for info in catalog.find(conf.destination())}
    if name not in listed:
        raise ArchiveNotFound(f"{name:.80}", f"no archive of that name in {conf.destination()}.")
    return str(listed[name].path)


def describe(archive: str) -> ArchiveInfo | None:
    """What a local archive says of itself; None for one that is yet to be downloaded."""
    return None if is_url(archive) else catalog.read(Path(archive))


def download(url: str, target: Path, tick: Callable[[int], None]) -> str:
    """Fetch an archive as the DISKETTE_DOWNLOAD_* settings say. Returns its SHA-256.

    Raises ArchiveNotFound; a download that was cut off leaves nothing.
    """
    shown = without_secrets(url)
    try:
        with _opened(_allowed(url)) as response:
            return _save(response, target, tick)
    except urllib.error.HTTPError as error:
        error.close()
        why = f"the server answered {error.code} {error.reason}. {_cure(error.code)}"
        raise ArchiveNotFound(shown, why) from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        cause = getattr(error, "reason", error)
        why = f"cannot be downloaded: {cause}. Is the address right, and the server up?"
        raise ArchiveNotFound(shown, why) from error


def without_secrets(url: str) -> str:
    """A URL fit for logs and results: no password, no query."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return f"{url.partition('://')[0]}://…"
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))


def _latest() -> Path:
    newest = catalog.latest(conf.destination(), conf.label())
    if newest is None:
        why = (
            f"{conf.destination()} holds no archive of {conf.label()}. `manage.py diskette_dump` "
            "makes one; one of another label is loaded by its name."
        )
        raise ArchiveNotFound(LATEST, why)
    return newest.path


def _allowed(url: str) -> str:
    protocols = tuple(conf.get("DISKETTE_DOWNLOAD_ALLOWED_PROTOCOLS"))
    if not url.startswith(protocols):
        raise UsageError(
            f"{without_secrets(url)}: only {', '.join(protocols)} may be downloaded from. "
            "DISKETTE_DOWNLOAD_ALLOWED_PROTOCOLS allows others."
        )
    if not is_address(url):
        raise UsageError(
            f"{without_secrets(url)}: that is no address. Write spaces and letters beyond ASCII as "
            "%20 and the like, an IPv6 host in brackets, a port as a number."
        )
    return url


def _cure(code: int) -> str:
    if code in range(300, 400) and not conf.get("DISKETTE_DOWNLOAD_ALLOW_REDIRECT"):
        return "DISKETTE_DOWNLOAD_ALLOW_REDIRECT allows to follow it."
    return "Look the address up in a browser."


class _Redirect(urllib.request.HTTPRedirectHandler):
    """Follows only where the settings let it."""

    def redirect_request(self, *given: Any) -> urllib.request.Request | None:
        protocols = tuple(conf.get("DISKETTE_DOWNLOAD_ALLOWED_PROTOCOLS"))
        allowed = conf.get("DISKETTE_DOWNLOAD_ALLOW_REDIRECT") and given[-1].startswith(protocols)
        return super().redirect_request(*given) if allowed else None


def _opened(url: str) -> http.client.HTTPResponse:
    response: http.client.HTTPResponse = urllib.request.build_opener(_Redirect()).open(
        _request(url), timeout=float(conf.get("DISKETTE_DOWNLOAD_TIMEOUT"))
    )
    return response


def _request(url: str) -> urllib.request.Request:
    """User and password of the URL go into a header, and to no other host."""
    parts = urllib.parse.urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    bare = urllib.parse.urlunsplit(parts._replace(netloc=host, fragment=""))
    request = urllib.request.Request(bare)  # noqa: S310 - `_allowed` has looked at it
    if user:
        secret = base64.b64encode(urllib.parse.unquote_to_bytes(user)).decode()
        request.add_unredirected_header("Authorization", f"Basic {secret}")
    return request


def _save(response: http.client.HTTPResponse, target: Path, tick: Callable[[int], None]) -> str:
    sha = hashlib.sha256()
    with disk_errors_named(target.parent), private_file(target) as stream:
        for chunk in _chunks(response):
            stream.write(chunk)
            sha.update(chunk)
            tick(len(chunk))
        promised = response.length
        if promised:
            raise http.client.HTTPException(f"it broke off {naturalsize(promised)} before its end")
    return sha.hexdigest()


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """What arrives. A connection that breaks is no fault of the disk that is written to."""
    chunk_bytes = int(conf.get("DISKETTE_DOWNLOAD_CHUNK"))
    try:
        while chunk := response.read(chunk_bytes):
            yield chunk
    except OSError as error:
        raise http.client.HTTPException(str(error)) from error
