"""YAML as configs and `--set` are read."""

from __future__ import annotations

import re

import yaml


class Loader(yaml.SafeLoader):
    """Safe YAML in which timestamps stay texts and 1e-3 is a number, as in YAML 1.2."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


class Dumper(yaml.SafeDumper):
    """Writes texts so that `Loader` reads them as texts."""


Dumper.yaml_implicit_resolvers = Loader.yaml_implicit_resolvers
