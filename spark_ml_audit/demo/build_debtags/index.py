"""Reads packages, tags, descriptions and dependencies from a Debian package index."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spark_ml_audit.demo.build_debtags.evidence_rules import proved_tags

# Long descriptions are cut here: what follows is mostly lists of features and of sibling packages.
DESCRIPTION_LENGTH = 1500


@dataclass(frozen=True)
class Package:
    """One tagged package of the index.

    Attributes:
        name: Name of the binary package.
        text: Name, synopsis and long description in one line.
        tags: Its debtags, sorted, without the vocabulary's placeholders `facet::TODO`.
        section: Archive section without its area.
        depends: Names in Depends and Pre-Depends, alternatives included, sorted.
        evidence: Tags proved by section and dependencies, sorted.
    """

    name: str
    text: str
    tags: tuple[str, ...]
    section: str
    depends: tuple[str, ...]
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class Index:
    """The lines of an index, and the releases it comes from (`Debian bookworm 12.15, Sat, ...`)."""

    packages: list[str]
    translations: list[str]
    origin: list[str]


def stanzas(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """Parses RFC 822-like stanzas as apt writes them; continuation lines keep their inner indentation."""
    fields: dict[str, str] = {}
    key = ""
    for raw in lines:
        line = raw.rstrip("\n")
        if not line:
            if fields:
                yield fields
            fields = {}
        elif line[0] in " \t":
            fields[key] += "\n" + line[1:]
        else:
            key, _, value = line.partition(":")
            fields[key] = value.strip()
    if fields:
        yield fields


def read_files(packages: Sequence[Path], translations: Sequence[Path]) -> Index:
    """Reads `Packages` and `Translation-en` files (plain, .gz, .bz2 or .xz); later files override earlier."""
    return Index(
        packages=[line for path in packages for line in _lines(path)],
        translations=[line for path in translations for line in _lines(path)],
        origin=[path.name for path in (*packages, *translations)],
    )


def read_apt() -> Index:
    """Fetches the index of the machine's own apt sources, with English long descriptions.

    Works in a directory of its own, as any user, and leaves the machine's package lists alone. Of each
    package it takes the version apt would install. Updates from the security archive come without tags, so
    a package drops out of the data set once it has one.

    Raises:
        RuntimeError: One of apt's commands failed; carries its messages.
    """
    with tempfile.TemporaryDirectory(prefix="debtags-") as folder:
        lists = Path(folder, "lists")
        (lists / "partial").mkdir(parents=True)
        options = [
            f"-oDir::State::Lists={lists}",
            f"-oDir::Cache={folder}",
            "-oDir::State::status=/dev/null",
            "-oAcquire::Languages=en",
            "-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
            "-oAPT::Sandbox::User=",
            "-oDebug::NoLocking=true",
        ]
        _run(["apt-get", "update", "-qq", *options])
        packages = _split(_run(["apt-cache", "dumpavail", *options]))
        targets = (
            _run(["apt-get", "indextargets", *options, "--format", "$(FILENAME)", "Created-By: Translations"])
            .decode()
            .split()
        )
        translations = []
        for target in targets:
            translations += _split(_run(["/usr/lib/apt/apt-helper", "cat-file", target]))
        origin = sorted(
            "{Origin} {Codename} {Version}, {Date}".format_map({"Version": "", **stanza})
            for path in lists.glob("*Release")
            for stanza in stanzas(path.read_text(encoding="utf-8").splitlines(keepends=True))
            if {"Origin", "Codename", "Date"} <= stanza.keys()
        )
    return Index(packages=packages, translations=translations, origin=origin)


def tagged_packages(index: Index) -> list[Package]:
    """The tagged packages of an index, sorted by name.

    Raises:
        RuntimeError: No stanza has a `Tag` field (an index of a release that no longer carries debtags), or
            no tagged package has a long description (`Translation-en` is missing).
    """
    long_descriptions = {
        (stanza["Package"], stanza["Description-md5"]): stanza["Description-en"]
        for stanza in stanzas(index.translations)
        if "Description-en" in stanza
    }
    newest = {stanza["Package"]: stanza for stanza in stanzas(index.packages)}
    packages = [_package(stanza, long_descriptions) for _, stanza in sorted(newest.items()) if _tags(stanza)]
    if not packages:
        raise RuntimeError(
            "no package in the index has a Tag field: give the index of a release with debtags"
        )
    if not long_descriptions and not any("\n" in newest[package.name]["Description"] for package in packages):
        raise RuntimeError("the index has no long descriptions: give its Translation-en file as well")
    return packages


def _package(stanza: Mapping[str, str], long_descriptions: Mapping[tuple[str, str], str]) -> Package:
    name = stanza["Package"]
    key = (name, stanza.get("Description-md5", ""))
    lines = long_descriptions.get(key, stanza["Description"]).split("\n")
    # A line with a lone dot is how Debian writes an empty line.
    text = " ".join("" if line == "." else line for line in lines)[:DESCRIPTION_LENGTH]
    section = stanza["Section"].rpartition("/")[2]
    relations = ",".join(stanza.get(field, "") for field in ("Depends", "Pre-Depends"))
    depends = {re.split(r"[\s(:]", part.strip())[0] for part in re.split(r"[,|]", relations)} - {""}
    return Package(
        name=name,
        text=f"{name}: {text}",
        tags=_tags(stanza),
        section=section,
        depends=tuple(sorted(depends)),
        evidence=tuple(proved_tags(section, depends)),
    )


def _tags(stanza: Mapping[str, str]) -> tuple[str, ...]:
    tags = {tag.strip() for tag in stanza.get("Tag", "").replace("\n", " ").split(",")}
    return tuple(sorted(tag for tag in tags if tag and not tag.endswith("::TODO")))


def _lines(path: Path) -> list[str]:
    data = path.read_bytes()
    decompress = {".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress}.get(path.suffix)
    return _split(decompress(data) if decompress else data)


def _split(data: bytes) -> list[str]:
    # Neither text mode nor splitlines: they would take a carriage return or a form feed inside a description
    # for the end of a line.
    return [line + "\n" for line in data.decode("utf-8").split("\n")]


def _run(command: Sequence[str]) -> bytes:
    try:
        done = subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - fixed commands of apt
    except FileNotFoundError as error:
        raise RuntimeError(f"{command[0]} not found: give --packages and --translations instead") from error
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{' '.join(command[:2])} failed: {error.stderr.decode()}") from error
    return done.stdout
