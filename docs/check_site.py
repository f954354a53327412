"""Look for broken links within the built site, and for images without a description.

Run ``python docs/check_site.py docs/_build/html``. Sphinx checks the links that it makes itself;
this also checks what themes, the gallery and plain HTML contain. Links to other sites are not
followed.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What one page links to, where links may lead in it, and its images."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.undescribed: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag links to, and what it is called."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.links += [values[name] for name in ("href", "src") if values.get(name)]
        thumbnail = values.get("src", "").endswith("_thumb.png")  # its title is right below it
        words = values.get("alt", "").strip()
        if tag == "img" and not thumbnail and (not words or words.endswith((".png", ".svg"))):
            self.undescribed.append(values.get("src", ""))


def problems(site: Path) -> list[str]:
    """Return a line for each link that leads nowhere and for each image without a description."""
    site = site.resolve()
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    pages = {path: page for path, page in pages.items() if "_static" not in path.parts}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        found += [
            f"{name}: the image {image} has no description (alt)" for image in page.undescribed
        ]
        for link in dict.fromkeys(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_relative_to(site) or not target.is_file():
                found.append(f"{name}: {link} leads nowhere")
                continue
            anchors = pages[target].anchors if target in pages else {parts.fragment}
            if parts.fragment and not {parts.fragment, unquote(parts.fragment)} & anchors:
                found.append(f"{name}: {link}: there is no such place in the page")
    if not pages:
        found.append(f"{site} contains no pages")
    return found


if __name__ == "__main__":
    lines = problems(Path(sys.argv[1]))
    print("\n".join(lines) or "every link within the site leads somewhere")
    sys.exit(bool(lines))
