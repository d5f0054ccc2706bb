"""What `[alerts]` of the settings may say."""

from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.notices.kinds import Kind
from engine.notices.settings import NoticeSettings, read_notice_settings


def read(folder: Path, text: str) -> NoticeSettings:
    path = folder / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return read_notice_settings(path)


def test_nothing_leaves_the_machine_unless_it_is_said(tmp_path: Path) -> None:
    assert read_notice_settings(tmp_path / "none.toml") == NoticeSettings()
    assert not NoticeSettings().leaves_the_app and NoticeSettings().bell
    assert read(tmp_path, "theme = 'x'") == NoticeSettings() and read(tmp_path, "no toml") == NoticeSettings()


def test_everything_that_may_be_said(tmp_path: Path) -> None:
    said = read(
        tmp_path,
        '[alerts]\non = ["failed", "finding"]\nbell = false\nterminal = "osc777"\n'
        'command = ["notify-send", "x"]\nwebhook = "https://hooks.example.org/secret?key=1"\nwebhook_format = "text"\n',
    )
    assert said.on == {Kind.FAILED, Kind.FINDING} and not said.bell and said.terminal == "osc777"
    assert said.command == ("notify-send", "x") and said.webhook_format == "text" and said.leaves_the_app
    assert said.webhook_host == "https://hooks.example.org/…"
    assert read(tmp_path, '[alerts]\ncommand = "beep; beep"').command == ("sh", "-c", "beep; beep")
    assert not read(tmp_path, '[alerts]\non = []\ncommand = "beep"').leaves_the_app


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('on = "failed"', "Write a list of"),
        ('on = ["sometimes"]', "ended, failed, stalled, finding"),
        ("bell = 3", "true or false"),
        ('terminal = "osc8"', "osc9"),
        ("command = 3", "notify-send"),
        ('webhook = "file:///etc/passwd"', "https://"),
        ('webhook_format = "xml"', "json, text"),
        ('hook = "x"', "webhook"),
    ],
    ids=["no-list", "unknown-kind", "bell", "terminal", "command", "address", "format", "unknown"],
)
def test_what_is_not_understood_is_said(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, f"[alerts]\n{line}\n")
    assert words in caught.value.fix


def test_a_secret_address_is_not_in_the_words(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, '[alerts]\nwebhook = "ftp://example.org/hidden"\n')
    assert "hidden" not in str(caught.value)
