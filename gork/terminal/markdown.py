"""Markdown that a model wrote, laid out for a terminal by rich: no text is lost, and nothing in it drives the terminal.

Unlike in a browser, HTML is plain text, single line breaks stay, and links and pictures show their addresses.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markdown import CodeBlock, Heading, ListElement, ListItem, Markdown, MarkdownElement, TableElement
from rich.segment import Segment, Segments
from rich.style import Style
from rich.syntax import Syntax
from rich.table import Table
from rich.theme import Theme

from gork.terminal.safe_text import shown

_THEME = Theme({"markdown.code": "bold cyan", "markdown.code_block": "none", "markdown.h1": "bold underline", "markdown.h2": "bold"})
"""No backgrounds: whether the terminal is dark or light is not known."""
_MATH = (("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"))
"""What formulas in TeX stand between."""
_NARROWEST = 20
_FOR_TEXT = 16
"""Columns that nested lists and quotes must leave for text."""
_FOR_A_CELL = 6
_RULE = 40
"""Columns of the rule above and below code, at most."""
_DEEPEST = 19
"""The parser drops deeper nesting."""


class _Parser(MarkdownIt):
    """Leaves addresses as they were written: without percent-escapes and punycode of its own."""

    def normalizeLink(self, url: str) -> str:  # noqa: N802 - the parser's name
        return url

    def normalizeLinkText(self, link: str) -> str:  # noqa: N802 - same
        return link


def formatted(text: str, *, prefix: str, width: int, colour: bool) -> str | None:
    """The text laid out for `width` columns; None if its structure is too deep for them.

    The only escape sequences in it are colours and weights (SGR), and none with `colour` off.
    """
    text, width = shown(text), max(width, _NARROWEST)
    # HTML is text. A definition of a link that nothing refers to would vanish, so definitions are text too.
    parser = _Parser("commonmark", {"html": False}).enable(["strikethrough", "table"]).disable("reference")
    parser.inline.ruler.before("escape", "math", _math)
    tokens = parser.parse(text)
    if not _fits(tokens, width):
        return None
    tokens = _prefixed(_plainer(_with_whole_tables(tokens, text.split("\n"), width)), prefix)
    out = io.StringIO()
    # With all of this given, rich reads nothing from the environment.
    console = Console(
        file=out,
        width=width,
        height=24,
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        highlight=False,
        theme=_THEME,
        legacy_windows=False,
    )
    # Entities and percent-escapes have become characters since the text was cleaned, so the laid out lines are cleaned again.
    for line in _lines(console, _Answer(tokens), console.options):
        console.print(Segments([*_cleaned(line), Segment.line()]), end="", soft_wrap=True)
    return out.getvalue().strip("\n") + "\n"


_VERBATIM = Style(meta={"verbatim": True})
"""Marks what must come out as it is: neither indented nor broken, so that it can be copied from the screen."""


class _Code(CodeBlock):
    """Code in colours between two dim rules: at the left edge, its lines left for the terminal to break, without a background.

    What stands behind the opening fence is on the upper rule: most often a language, but it may be anything.
    """

    @classmethod
    def create(cls, markdown: Markdown, token: Token) -> _Code:
        info = token.info.strip()
        return cls(info.partition(" ")[0] or "text", markdown.code_theme, info)

    def __init__(self, language: str, theme: str, info: str) -> None:
        super().__init__(language, theme)
        self._info = info

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        widest = max(map(cell_len, code.expandtabs(4).splitlines()), default=1)
        syntax = Syntax(code, self.lexer_name, theme="ansi_dark", background_color="default", code_width=max(widest, 1))
        rule, style = "─" * min(options.max_width, _RULE), Style(dim=True) + _VERBATIM
        titled = f"── {self._info} {rule[cell_len(self._info) + 4 :]}" if self._info else rule
        yield from (Segment(titled, style), Segment.line())
        yield from Segment.apply_style(console.render(syntax, options), post_style=_VERBATIM)
        yield from (Segment(rule, style), Segment.line())


def _lines(console: Console, renderable: RenderableType, options: ConsoleOptions) -> list[list[Segment]]:
    """The lines of a layout, those that are wider than it left whole."""
    return list(Segment.split_lines(console.render(renderable, options)))


def _is_verbatim(line: list[Segment]) -> bool:
    return any(style is not None and style.meta.get("verbatim") for _, style, _ in line)


def _math(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - the parser's signature
    """A formula in TeX as it was written, in the type of code: markdown would take its backslashes for escapes."""
    for opening, closing in _MATH:
        if not state.src.startswith(opening, state.pos):
            continue
        end = state.src.find(closing, state.pos + len(opening), state.posMax)
        if end < 0:
            return False
        end += len(closing)
        if not silent:
            state.push("code_inline", "code", 0).content = state.src[state.pos : end]
        state.pos = end
        return True
    return False


class _Title(Heading):
    """A heading at the left like the text below it."""

    LEVEL_ALIGN: ClassVar = {}


class _Item(ListItem):
    """An item with the number that the model gave it."""

    @classmethod
    def create(cls, markdown: Markdown, token: Token) -> _Item:
        return cls(f"{token.info}{token.markup}" if token.info else "•")

    def __init__(self, marker: str) -> None:
        super().__init__()
        self.marker = marker

    def render(self, console: Console, options: ConsoleOptions, indent: int) -> RenderResult:
        """The marker, and the item's elements to the right of it."""
        lines = _lines(console, self.elements, options.update(width=options.max_width - indent))
        marker = Segment(f"{self.marker:>{indent - 1}} ", console.get_style("markdown.item.number"))
        if lines and _is_verbatim(lines[0]):
            lines.insert(0, [])
        for number, line in enumerate(lines or [[]]):
            if not _is_verbatim(line):
                yield Segment(" " * indent) if number else marker
            yield from line
            yield Segment.line()


class _List(ListElement):
    """A list whose numbers are the written ones, not a count; an empty item ("3.") is kept."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        items = [item for item in self.items if isinstance(item, _Item)]
        indent = max((len(item.marker) for item in items), default=1) + 2
        for item in items:
            yield from item.render(console, options, indent)


class _Table(TableElement):
    """A table in which a word that is wider than its column goes on in the next line: rich would cut it."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for made in super().__rich_console__(console, options):
            if isinstance(made, Table):
                for column in made.columns:
                    column.overflow = "fold"
            yield made


class _Answer(Markdown):
    """An answer as rich lays it out, with the elements above."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "fence": _Code,
        "code_block": _Code,
        "heading_open": _Title,
        "bullet_list_open": _List,
        "ordered_list_open": _List,
        "list_item_open": _Item,
        "table_open": _Table,
    }

    def __init__(self, tokens: list[Token]) -> None:
        super().__init__("", hyperlinks=False)
        self.parsed = tokens


def _cleaned(line: Iterable[Segment]) -> list[Segment]:
    """A line of the layout without what a terminal would act on, and without blanks at its end, which would be copied along."""
    clean = [
        Segment(shown(text).replace("\n", " "), style.update_link(None) if style is not None and style.link else style)
        for text, style, control in line
        if not control
    ]
    while clean and not clean[-1].text.strip(" "):
        clean.pop()
    if clean:
        clean[-1] = Segment(clean[-1].text.rstrip(" "), clean[-1].style)
    return clean


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
    """The tokens, with a table as it was written where its words have no room or it has cells that the layout would leave out."""
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
        cells = [part.content for part in table if part.type == "inline"]
        longest = [max((cell_len(word) for cell in cells[place::columns] for word in cell.split()), default=0) for place in range(columns)]
        if sum(max(word, _FOR_A_CELL - 2) + 2 for word in longest) <= width and _letters("".join(cells)) == _letters(source):
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
            opened.append((_address(token, "href"), []))
            continue
        if token.type == "link_close":
            href, label = opened.pop()
            if (text := "".join(label)) != href and f"mailto:{text}" != href:
                yield _text(f" ({href})")
            continue
        made = _text(f"{token.content} ({_address(token, 'src')})".strip()) if token.type == "image" else token
        if made.type == "softbreak":
            made = Token("hardbreak", "br", 0)
        for _, label in opened:
            label.append(made.content)
        yield made


def _address(token: Token, name: str) -> str:
    """Where a link or a picture points, and its title."""
    title = token.attrs.get("title")
    return f'{token.attrs.get(name, "")} "{title}"' if title else str(token.attrs.get(name, ""))


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
