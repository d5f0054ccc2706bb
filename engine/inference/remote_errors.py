"""What went wrong at an endpoint, as errors that a person can act on."""

import socket
import ssl
from typing import TYPE_CHECKING

from engine.errors import BadInput, FinetuiError
from engine.inference.endpoint import Endpoint, without_key
from engine.inference.replies import error_in
from engine.text import shorten

if TYPE_CHECKING:
    import httpx

WORDS = 600
"""Characters of what a server says that are shown."""


def refusal(place: Endpoint, status: int, body: bytes, key: str, headers: "httpx.Headers") -> FinetuiError:
    """The error for an answer with another status than 200."""
    said = said_in(body, key)
    why = f"It answered with status {status}" + (f": {said}" if said else ".")
    where = place.base
    if status in (401, 403):
        return BadInput(
            f"{where} wants a key." if not key else f"{where} did not accept the key.",
            why=why,
            fix="Put the key into an environment variable and name that: --key-env NAME."
            if not key
            else "Check the environment variable that holds the key, and what the key may do.",
        )
    if 300 <= status < 400:
        target = without_key(headers.get("location", "").partition("?")[0], key)
        return BadInput(f"{where} has moved.", why=why, fix=f"It points to {target}." if target else "")
    if status in (404, 405):
        fix = "`finetui chat --url URL` without --model lists its models. The address mostly ends with /v1."
        return BadInput(f"{where} knows no such model or address.", why=why, fix=fix)
    if status == 402:
        return FinetuiError(f"{where} wants to be paid.", why=why, fix="Look at the account that the key belongs to.")
    if status == 429:
        return FinetuiError(f"{where} is asked too often.", why=why, fix="Wait a while, or look at the key's limits.")
    if status >= 500:
        return FinetuiError(f"{where} failed.", why=why, fix="Ask again; if it stays so, look at the server's own log.")
    return BadInput(f"{where} refused the request.", why=why, fix="Change what it names and ask again.")


def unreachable(place: Endpoint, error: BaseException, timeout_s: float) -> FinetuiError:
    """The error for a connection that could not be made or did not hold."""
    import httpx

    where = place.base
    causes = _causes(error)
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return FinetuiError(
            f"The host {place.host} is not known.",
            why="Its name could not be looked up.",
            fix="Check the spelling, and that this machine is connected to the network.",
        )
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if tls is not None:
        if isinstance(tls, ssl.SSLCertVerificationError):
            why = f"Its certificate was not accepted: {tls.verify_message}."
            fix = "Name the file of the authority that signed it in $SSL_CERT_FILE, or use the name it was made for."
        else:
            why = f"The two did not agree on encryption: {tls.reason or 'the connection was closed'}."
            fix = "If the server speaks plain HTTP, write http:// instead of https://."
        return FinetuiError(f"No safe connection to {where}.", why=why, fix=fix)
    if isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout)):
        return FinetuiError(
            f"{where} cannot be reached.",
            why="Nobody answered in time.",
            fix="Check the address and the port, and whether a firewall stands between.",
        )
    if isinstance(error, httpx.TimeoutException):
        return FinetuiError(
            f"{where} fell silent.",
            why=f"Nothing came for {timeout_s:g} seconds.",
            fix="Ask again. A large model that is being loaded may take that long at first.",
        )
    if isinstance(error, httpx.ConnectError):
        return FinetuiError(
            f"{where} cannot be reached.",
            why="The connection was refused: nothing listens there."
            if any(isinstance(cause, ConnectionRefusedError) for cause in causes)
            else "The connection could not be made.",
            fix="Start the server, or check the address and the port.",
        )
    return broken_off(place, "The connection was closed.")


def broken_off(place: Endpoint, why: str) -> FinetuiError:
    """The error for an answer without an end."""
    return FinetuiError(
        f"{place.base} broke off in the middle of an answer.",
        why=why,
        fix="Ask again; if it stays so, look at the server's own log.",
    )


def no_answer(place: Endpoint, why: str) -> FinetuiError:
    """The error for a reply that is none."""
    return FinetuiError(
        f"{place.base} gave an answer that is none.",
        why=why,
        fix="Is it an OpenAI-compatible endpoint? The address mostly ends with /v1.",
    )


def said_in(body: bytes, key: str) -> str:
    """What a server says is wrong: the words of its error, else the beginning of a text that is no page."""
    import json

    text = body.decode("utf-8", "replace")
    try:
        words = error_in(json.loads(text)) or ""
    except (ValueError, RecursionError):
        words = "" if text.lstrip().startswith("<") else text
    return shorten(without_key(words, key), WORDS)


def _causes(error: BaseException) -> list[BaseException]:
    """The error and all that led to it."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting and len(found) < 50:
        one = waiting.pop()
        if one is None or one in found:
            continue
        found.append(one)
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
    return found
