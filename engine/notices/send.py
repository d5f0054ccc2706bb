"""Telling a program and a web address. Whatever goes wrong here is said and hurts nobody."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from engine.notices.notice import Notice
from engine.notices.settings import NoticeSettings

COMMAND_S = 20.0
WEBHOOK_S = 10.0
TRIES = 3
PAUSE_S = 2.0
"""Before the second try; twice that before the third."""


def send(notice: Notice, settings: NoticeSettings, *, pause_s: float = PAUSE_S) -> list[str]:
    """Run the command and post to the address, where the settings name them. Returns what went wrong, in words.

    Takes up to a minute where nobody answers. Words never hold the address's path, which may be a secret.
    """
    problems: list[str] = []
    if notice.kind not in settings.on:
        return problems
    if settings.command:
        problems.append(_run(notice, settings))
    if settings.webhook:
        problems.append(_post(notice, settings, pause_s))
    return [problem for problem in problems if problem]


def _run(notice: Notice, settings: NoticeSettings) -> str:
    told = {f"FINETUI_{name.upper()}": value for name, value in notice.to_json().items()}
    name = settings.command[0]
    try:
        done = subprocess.run(
            settings.command,
            input=json.dumps(notice.to_json(), ensure_ascii=False).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | told,
            timeout=COMMAND_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"the alert command {name} took longer than {COMMAND_S:.0f} s and was ended"
    except OSError as error:
        return f"the alert command {name} cannot be started: {error.strerror or error}"
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        return f"the alert command {name} ended with {done.returncode}{': ' + said[0][:200] if said else ''}"
    return ""


def _post(notice: Notice, settings: NoticeSettings, pause_s: float) -> str:
    request = _request(notice, settings)
    problem = ""
    for number in range(TRIES):
        if number:
            time.sleep(pause_s * number)
        try:
            with urllib.request.urlopen(request, timeout=WEBHOOK_S) as answer:
                answer.read(1 << 16)
            return ""
        except urllib.error.HTTPError as error:
            problem = f"it answered {error.code}"
            if error.code < 500 and error.code != 429:
                break  # it will say the same again
        except Exception as error:  # of a wrong address, urllib raises what it likes
            reason = getattr(error, "reason", error)
            problem = str(getattr(reason, "strerror", None) or type(reason).__name__)
    return f"the alert could not be posted to {settings.webhook_host}: {problem}"


def _request(notice: Notice, settings: NoticeSettings) -> urllib.request.Request:
    """JSON with the keys that the usual receivers of chats look for, or the plain text that push services take."""
    if urlsplit(settings.webhook).scheme not in ("http", "https"):
        raise ValueError("no web address")
    if settings.webhook_format == "text":
        body = (notice.body or notice.title).encode()
        title = notice.title.encode("ascii", "replace").decode()
        headers = {"Content-Type": "text/plain; charset=utf-8", "Title": title, "Tags": notice.kind.value}
    else:
        words = f"{notice.title}\n{notice.body}".strip()
        body = json.dumps(notice.to_json() | {"text": words, "content": words}, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json"}
    return urllib.request.Request(
        settings.webhook, data=body, headers=headers | {"User-Agent": "finetui"}, method="POST"
    )
