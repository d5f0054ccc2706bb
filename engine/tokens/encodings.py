"""Where tiktoken's encodings are on this machine; the file of one is fetched once, where there is a network.

tiktoken itself would wait for a network that is not there for as long as the system does.
"""

import hashlib
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from engine.home import Home
from engine.models import hub_is_off

FILES = {
    "cl100k_base": (
        "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    )
}
"""Of each encoding its address, and the SHA-256 of what is there."""

CONNECT_S = 3.0
"""So long a network may keep us waiting for its first word."""
_FETCH_S = 60.0
_ASK_AGAIN_S = 600.0

_failed: dict[Path, tuple[float, str]] = {}


@dataclass(frozen=True)
class Found:
    """The folder that tiktoken is to look into; or `None`, and why, as a sentence."""

    folder: Path | None
    problem: str = ""


def find_encoding(home: Home, name: str = "cl100k_base") -> Found:
    """Where the encoding's file is, fetched now if need be: an answer within seconds where there is no network."""
    from importlib.util import find_spec

    if find_spec("tiktoken") is None:
        return Found(None, "tiktoken is not installed.")
    url, digest = FILES[name]
    file = hashlib.sha1(url.encode()).hexdigest()  # tiktoken's name for it
    own = home.root / "cache" / "tiktoken"
    for folder in (*_usual_folders(), own):
        if _is_whole(folder / file, digest):
            return Found(folder)
    if variable := hub_is_off():
        return Found(None, f"The file of {name} is not on this machine, and {variable} keeps it from being fetched.")
    known = _failed.get(own)
    if known and time.monotonic() - known[0] < _ASK_AGAIN_S:
        return Found(None, known[1])
    why = _fetch(url, digest, own / file)
    if why is None:
        return Found(own)
    problem = f"The file of {name} is not on this machine and cannot be fetched ({why})."
    _failed[own] = (time.monotonic(), problem)
    return Found(None, problem)


def _usual_folders() -> list[Path]:
    """Where tiktoken keeps files, by its own variables."""
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if value := os.environ.get(variable):
            return [Path(value)]
    return [Path(tempfile.gettempdir()) / "data-gym-cache"]


def _is_whole(file: Path, digest: str) -> bool:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest() == digest
    except OSError:
        return False


def _fetch(url: str, digest: str, target: Path) -> str | None:
    """Fetch `url` into `target`; why that failed, or `None`. Gives up when nothing is heard for `CONNECT_S`."""
    heard, done = threading.Event(), threading.Event()
    outcome: list[str | None] = ["no answer"]

    def work() -> None:
        try:
            outcome[0] = _download(url, digest, target, heard)
        except Exception as error:  # of the network, the system or the disk: it is said, and another way is taken
            outcome[0] = str(error) or type(error).__name__
        done.set()

    # A thread, for looking up a name cannot be given a limit.
    threading.Thread(target=work, name="tiktoken-file", daemon=True).start()
    begun = time.monotonic()
    while not done.wait(0.05):
        waited = time.monotonic() - begun
        if waited > _FETCH_S or (waited > CONNECT_S and not heard.is_set()):
            return "no network" if not heard.is_set() else "the network is too slow"
    return outcome[0]


def _download(url: str, digest: str, target: Path, heard: threading.Event) -> str | None:
    import httpx

    with httpx.stream("GET", url, timeout=CONNECT_S, follow_redirects=True) as response:
        heard.set()
        if response.status_code != 200:
            return f"the server answers {response.status_code}"
        content = response.read()
    if hashlib.sha256(content).hexdigest() != digest:
        return "what was fetched is not the file"
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(target)
    return None
