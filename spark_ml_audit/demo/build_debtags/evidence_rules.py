"""Which tags the archive section or a dependency of a Debian package proves.

Each rule can prove a tag but never disprove one: a package without the dependency may well carry the
tag (documentation of a GTK library is about GTK without linking to it). The rules are deliberately
narrow. Libraries that only some users of a toolkit link to, or that toolkit-free programs link to as
well (libqt5core5a, libncurses-dev, python3-dev, libtinfo6), prove nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A tag, and what proves it.

    Attributes:
        tag: The proved debtag.
        section: Archive section of which every package has the tag, or None.
        depends: Regular expression; a package with a dependency that matches it as a whole has the tag.
            None: no dependency proves the tag.
    """

    tag: str
    section: str | None = None
    depends: str | None = None


# The versions in the names are those of Debian 12 (bookworm).
RULES: tuple[Rule, ...] = (
    Rule("devel::lang:haskell", "haskell"),
    Rule("devel::lang:java", "java"),
    Rule("devel::lang:ocaml", "ocaml"),
    Rule("devel::lang:perl", "perl"),
    Rule("devel::lang:python", "python"),
    Rule("devel::lang:r", "gnu-r"),
    Rule("devel::lang:ruby", "ruby"),
    Rule("implemented-in::java", "java", r"(default|openjdk)-(jre|jdk).*"),
    Rule("implemented-in::perl", "perl", r"perl|perl-base|libperl5\.\d+"),
    Rule("implemented-in::php", None, r"php|php-cli|php-common"),
    Rule("implemented-in::python", "python", r"(lib)?python3(\.\d+)?"),
    Rule("implemented-in::ruby", "ruby", r"ruby|libruby\d.*"),
    Rule("made-of::font", "fonts"),
    Rule("role::devel-lib", "libdevel"),
    Rule("role::documentation", "doc"),
    Rule("uitoolkit::gtk", None, r"libgtk-?[234][.-].*|libgtkmm-.*|gir1\.2-gtk-[234]\.0"),
    Rule("uitoolkit::ncurses", None, r"libncursesw?6"),
    Rule("uitoolkit::qt", None, r"libqt[56](gui|widgets|quick)[56]|python3-pyqt[56]|python3-pyside2\..*"),
    Rule("uitoolkit::sdl", None, r"libsdl1\.2debian|libsdl2-2\.0-0"),
    Rule("uitoolkit::tk", None, r"tk|tk8\.6|libtk8\.6|perl-tk|python3-tk"),
    Rule("uitoolkit::wxwidgets", None, r"libwxgtk3\.2-(1|dev)"),
    Rule("use::gameplaying", "games"),
    Rule("x11::font", "fonts"),
)

_PATTERNS = {rule.tag: re.compile(rule.depends) for rule in RULES if rule.depends}


def proved_tags(section: str, depends: Collection[str]) -> list[str]:
    """The tags which section and dependencies of one package prove.

    Args:
        section: Archive section without its area (`games`, not `contrib/games`).
        depends: Names of the packages it depends on, alternatives included.

    Returns:
        Tags, sorted.
    """
    proved = []
    for rule in RULES:
        pattern = _PATTERNS.get(rule.tag)
        if section == rule.section or (pattern and any(pattern.fullmatch(name) for name in depends)):
            proved.append(rule.tag)
    return sorted(proved)
