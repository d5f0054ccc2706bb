"""Placeholders that somebody forgot to fill in: `{{name}}`, `{name}`, `<NAME>`, `[YOUR NAME]`, `%s`.

Code, formulas, HTML and the tokens of chat templates use the same signs. What looks like one of those is not counted:
a placeholder that is missed costs less than a warning that is wrong.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

LOOKED_AT_CHARS = 20_000
"""How much of a text is looked at."""

_CODE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]*`|\$\$.*?\$\$", re.DOTALL)
_CODE_LINE = re.compile(
    r"[;=\\$]|->|\(\)|\w\(|</?\w+[ />]|/>|\|\||&&|\bf['\"]"
    r"|^\s*(?:#include|def|class|import|from|return|print|using|@|//)\b"
)
_PATTERNS = {
    "{": re.compile(
        r"(?<![\w{\\$])\{\{\s*[A-Za-z_][\w.]{0,40}\s*\}\}(?!\})|(?<![\w{\\$^}])\{[A-Za-z][A-Za-z0-9_]{1,40}\}(?![{}\w])"
    ),
    "<": re.compile(r"(?<![\w<])<[A-Z][A-Z0-9]*(?:[ _-][A-Z0-9]+){0,4}>"),
    "[": re.compile(
        r"\[(?:(?-i:[A-Z][A-Z0-9']*(?:[ _-][A-Z0-9']+){1,5})"
        r"|(?:your|insert|enter|recipient|sender|company|customer|client|employer|manager)(?:['’]s)? [^\]\n]{1,40}"
        r"|name|first name|last name|full name|date|address|city|state|phone number|email|email address)\](?!\()",
        re.IGNORECASE,
    ),
    "%": re.compile(r"(?<![%\w])%s(?!\w)"),
}
SIGNS = tuple(_PATTERNS)
"""A text with none of these holds no placeholder."""

_TAGS = re.compile(
    r"<(?:A|B|BR|P|I|U|S|DIV|SPAN|HTML|HEAD|BODY|TABLE|TR|TD|TH|UL|OL|LI|H\d|HR|IMG|PRE|CODE|EM|STRONG|FONT|CENTER|FORM"
    r"|BOS|EOS|PAD|UNK|SEP|CLS|MASK|INST|SYS|CR|LF|TAB|CTRL|ALT|SHIFT|ENTER|ESC|T|K|V|E|R|N|X|Y|DEL|F\d+)>"
)


class Placeholders:
    """Counts the rows in which each placeholder stands."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()

    def add(self, texts: Iterable[str]) -> None:
        """Look at the texts of one row."""
        found: set[str] = set()
        for text in texts:
            for sign in _PATTERNS:
                if sign in text:
                    found.update(placeholders_in(text))
                    break
        if found:
            self.rows.update(found)

    def counted(self, most: int = 20) -> dict[str, int]:
        """The most frequent, and the rows of each."""
        return dict(sorted(self.rows.items(), key=lambda item: (-item[1], item[0]))[:most])

    def listed(self, most: int = 20) -> list[str]:
        """The same for a person: `{{name}} (3 rows)`."""
        return [f"{text} ({rows:,} {'row' if rows == 1 else 'rows'})" for text, rows in self.counted(most).items()]


def placeholders_in(text: str) -> set[str]:
    """The placeholders of one text."""
    text = text[:LOOKED_AT_CHARS]
    found: set[str] = set()
    if next(_matches(text), None) is None:
        return found
    for line in _CODE.sub(" ", text).splitlines():
        matches = [match for match in _matches(line) if not _TAGS.fullmatch(match) and f"</{match[1:]}" not in text]
        rest = line
        for match in matches:
            rest = rest.replace(match, " ")
        if matches and not _CODE_LINE.search(rest):
            found.update(matches)
    return found


def _matches(text: str) -> Iterator[str]:
    """What stands at the signs: found sign by sign, since most texts have few of them."""
    for sign, pattern in _PATTERNS.items():
        at = text.find(sign)
        while at >= 0:
            match = pattern.match(text, at)
            if match:
                yield match.group()
            at = text.find(sign, match.end() if match else at + 1)
