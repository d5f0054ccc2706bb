"""The text of a web page as Markdown: headings, lists, code and tables keep their shape, scripts and styles go."""

import re
from html.parser import HTMLParser

_SILENT = {"script", "style", "template", "noscript", "svg", "math", "iframe", "object", "head", "nav", "select"}
"""Elements whose text nobody reads as text. The title in the head is taken."""
_BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "header", "hr", "html", "main", "ol", "p", "section", "summary", "table",
    "tbody", "tfoot", "thead", "tr", "ul",
}  # fmt: skip
_HEADING = re.compile(r"h[1-6]")
_SPACE = re.compile(r"[ \t\r\n\f\xa0]+")


def text_of_html(source: str) -> str:
    """`source` as Markdown. Whatever the page is like, something comes back: broken markup is read as browsers do."""
    reader = _Reader()
    reader.feed(source)
    reader.close()
    return reader.text()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = []
        self._line = ""
        self._prefix = ""
        self._silent: list[str] = []
        """The elements that are open and not read, the outermost first."""
        self._title = False
        self._page_title = ""
        self._code = ""
        self._in_code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._title = True
        elif self._silent:
            if tag == "body":  # a head that was never closed
                self._silent.clear()
            elif tag in _SILENT:
                self._silent.append(tag)
        elif tag in _SILENT:
            self._silent.append(tag)
        elif tag == "pre":
            self._end_line(blank=not self._in_code)
            self._in_code += 1
        elif self._in_code:
            self._code += "\n" * (tag == "br")
        elif _HEADING.fullmatch(tag):
            self._end_line(blank=True)
            self._prefix = "#" * int(tag[1]) + " "
        elif tag == "li":
            self._end_line()
            self._prefix = "- "
        elif tag == "br":
            self._end_line()
        elif tag in ("td", "th"):
            self._line += " | " if self._line.strip() else ""
        elif tag in _BLOCKS:
            self._end_line(blank=tag != "tr")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._title = False
        elif self._silent:
            if tag in self._silent:
                del self._silent[self._silent.index(tag) :]
        elif tag == "pre" and self._in_code:
            self._in_code -= 1
            if not self._in_code:
                self._end_code()
        elif _HEADING.fullmatch(tag) or (tag in _BLOCKS and tag != "tr"):
            self._end_line(blank=True)
        elif tag in ("li", "tr"):
            self._end_line()

    def handle_data(self, data: str) -> None:
        if self._title:
            self._page_title += data
        elif self._in_code and not self._silent:
            self._code += data
        elif not self._silent:
            self._line += data

    def text(self) -> str:
        """All of it; the page's title comes first where no heading does."""
        self._end_code()
        self._end_line()
        text = "\n".join(self._lines).strip("\n")
        title = _SPACE.sub(" ", self._page_title).strip()
        if title and not text.lstrip().startswith("# "):
            text = f"# {title}\n\n{text}"
        return text

    def _end_line(self, *, blank: bool = False) -> None:
        line = _SPACE.sub(" ", self._line).strip()
        if line:
            # What only looks like a heading or a fence of Markdown is none.
            line = f"\\{line}" if not self._prefix and line.startswith(("#", "```", "~~~")) else line
            self._lines.append(self._prefix + line)
            self._prefix = ""
        elif self._prefix.startswith("#"):
            self._prefix = ""
        self._line = ""
        if blank and self._lines and self._lines[-1]:
            self._lines.append("")

    def _end_code(self) -> None:
        self._in_code = 0
        code = self._code.strip("\n")
        self._code = ""
        if code.strip():
            fence = "```"
            while fence in code:
                fence += "`"
            self._lines += [fence, *code.split("\n"), fence, ""]
