"""Markdown that a model wrote, laid out for a terminal by rich, with nothing of the text lost and nothing in it that drives the terminal.

Unlike in a browser: HTML is text like any other, single line breaks stay, links and pictures show where they point to in plain sight.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, ListElement, ListItem, Markdown, MarkdownElement
from rich.padding import Padding
from rich.segment import Segment
from rich.syntax import Syntax
from rich.theme import Theme

from gork.terminal.safe_text import shown

_THEME = Theme({"markdown.code": "bold cyan", "markdown.code_block": "none", "markdown.h1": "bold underline", "markdown.h2": "bold"})
"""No backgrounds: whether the terminal is dark or light is not known."""
_NARROWEST = 20
_FOR_TEXT = 16
"""Columns that lists in lists and quotes in quotes must leave."""
_FOR_A_CELL = 6
_DEEPEST = 19
"""The parser drops what is nested deeper."""


def formatted(text: str, *, prefix: str, width: int, colour: bool) -> str | None:
    """The text as it is to be printed; None if this width cannot hold its structure.

    Besides the text itself it has nothing but colours and weights (SGR), with `colour` off nothing at all.
    """
    text, width = shown(text), max(width, _NARROWEST)
    # HTML is text. A definition of a link that nothing refers to would vanish, so definitions are text too.
    parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"]).disable("reference")
    tokens = parser.parse(text)
    if not _fits(tokens, width):
        return None
    tokens = _prefixed(_plainer(_with_whole_tables(tokens, text.split("\n"), width)), prefix)
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        theme=_THEME,
        legacy_windows=False,
        _environ={},
    )
    console.print(_Answer(tokens), end="")
    return out.getvalue().strip("\n") + "\n"


class _Code(CodeBlock):
    """Code with its colours, two columns in, without a background, so that it can be copied as it is."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        syntax = Syntax(code, self.lexer_name, theme="ansi_dark", background_color="default", word_wrap=True)
        yield Padding(syntax, (0, 0, 0, 2))


class _Title(Heading):
    """A heading at the left like the text below it."""

    LEVEL_ALIGN: ClassVar = {}


class _Item(ListItem):
    """An item under the number that the model gave it."""

    @classmethod
    def create(cls, markdown: Markdown, token: Token) -> _Item:
        return cls(f"{token.info}{token.markup}" if token.info else "•")

    def __init__(self, marker: str) -> None:
        super().__init__()
        self.marker = marker

    def render(self, console: Console, options: ConsoleOptions, indent: int) -> RenderResult:
        """The marker, and everything of the item to the right of it."""
        lines = console.render_lines(self.elements, options.update(width=options.max_width - indent), style=self.style)
        marker = Segment(f"{self.marker:>{indent - 1}} ", console.get_style("markdown.item.number"))
        for number, line in enumerate(lines or [[]]):
            yield Segment(" " * indent) if number else marker
            yield from line
            yield Segment.line()


class _List(ListElement):
    """A list whose numbers are the written ones, not a count; an item with nothing in it ("3.") is still there."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        items = [item for item in self.items if isinstance(item, _Item)]
        indent = max((len(item.marker) for item in items), default=1) + 2
        for item in items:
            yield from item.render(console, options, indent)


class _Answer(Markdown):
    """An answer after its prefix; whatever the layout does, only harmless text leaves it."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "fence": _Code,
        "code_block": _Code,
        "heading_open": _Title,
        "bullet_list_open": _List,
        "ordered_list_open": _List,
        "list_item_open": _Item,
    }

    def __init__(self, tokens: list[Token]) -> None:
        super().__init__("", hyperlinks=False)
        self.parsed = tokens

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # Entities and percent-escapes have become characters since the text was cleaned, so it is cleaned again at the very end.
        for line in Segment.split_lines(console.render(_Inner(self), options)):
            yield from _trimmed([_harmless(segment) for segment in line if not segment.control])
            yield Segment.line()


class _Inner:
    """The layout as rich makes it."""

    def __init__(self, answer: _Answer) -> None:
        self._answer = answer

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        return Markdown.__rich_console__(self._answer, console, options)


def _harmless(segment: Segment) -> Segment:
    style = segment.style.update_link(None) if segment.style is not None and segment.style.link else segment.style
    return Segment(shown(segment.text).replace("\n", " "), style)


def _trimmed(line: list[Segment]) -> list[Segment]:
    """The line without the blanks at its end, which would be copied along."""
    while line and not line[-1].text.strip(" "):
        line.pop()
    if line:
        line[-1] = Segment(line[-1].text.rstrip(" "), line[-1].style)
    return line


def _fits(tokens: Iterable[Token], width: int) -> bool:
    indents: list[int] = []
    for token in tokens:
        if token.type in {"blockquote_open", "list_item_open"}:
            indents.append(4 + len(token.info))
        elif token.type in {"blockquote_close", "list_item_close"}:
            indents.pop()
        if token.level >= _DEEPEST or width - sum(indents) < _FOR_TEXT:
            return False
    return True


def _with_whole_tables(tokens: list[Token], lines: list[str], width: int) -> Iterator[Token]:
    """The tokens with a table as it was written where it has no room, or has cells that a layout would leave out."""
    rest = iter(tokens)
    for token in rest:
        if token.type != "table_open":
            yield token
            continue
        table = [token]
        while table[-1].type != "table_close":
            table.append(next(rest))
        first, end = token.map or (0, 0)
        source = "\n".join(lines[first:end])
        columns = sum(part.type == "th_open" for part in table)
        kept = "".join(part.content for part in table if part.type == "inline")
        if columns * _FOR_A_CELL <= width and _letters(kept) == _letters(source):
            yield from table
        else:
            yield Token("code_block", "code", 0, content=source)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def _plainer(tokens: Iterable[Token]) -> list[Token]:
    """The tokens with links and pictures turned into text, and line breaks kept."""
    made = []
    for token in tokens:
        if token.children is not None:
            token.children = list(_plain_inline(token.children))
        made.append(token)
    return made


def _plain_inline(tokens: Iterable[Token]) -> Iterator[Token]:
    opened: list[tuple[str, list[str]]] = []
    for token in tokens:
        if token.type == "link_open":
            opened.append((str(token.attrs.get("href", "")), []))
            continue
        if token.type == "link_close":
            href, label = opened.pop()
            if (text := "".join(label)) != href and f"mailto:{text}" != href:
                yield _text(f" ({href})")
            continue
        made = _text(f"{token.content} ({token.attrs.get('src', '')})".strip()) if token.type == "image" else token
        if made.type == "softbreak":
            made = Token("hardbreak", "br", 0)
        for _, label in opened:
            label.append(made.content)
        yield made


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _prefixed(tokens: list[Token], prefix: str) -> list[Token]:
    """The tokens with the prefix in front: in the first paragraph, or in one of its own before a list or a block of code."""
    if not prefix:
        return tokens
    if tokens and tokens[0].type == "paragraph_open":
        tokens[1].children = [_text(prefix), *(tokens[1].children or [])]
        return tokens
    own = Token("inline", "", 0, children=[_text(prefix.rstrip())])
    return [Token("paragraph_open", "p", 1), own, Token("paragraph_close", "p", -1), *tokens]
