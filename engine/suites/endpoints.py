"""Models at an OpenAI-compatible address that can be compared with others: kept in `endpoints.json` of the home.

Votes and answers name such a model `api:NAME`. Keys are kept nowhere: `key_env` is the environment variable with one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import BadInput
from engine.home import Home
from engine.inference.endpoint import endpoint
from engine.inference.panes import Pane, remote_panes
from engine.runs.rundir import read_json, write_json

API = "api:"
"""Before the name of a model at an endpoint."""


@dataclass(frozen=True)
class FarModel:
    """A model at an address."""

    name: str
    url: str
    key_env: str = ""

    @property
    def model(self) -> str:
        """How votes and suite runs name it."""
        return f"{API}{self.name}"

    @property
    def host(self) -> str:
        """Where it is, in short."""
        return endpoint(self.url).host

    def pane(self) -> Pane:
        return remote_panes(self.url, [self.name], self.key_env)[0]


def known_endpoints(home: Home) -> dict[str, FarModel]:
    """The models that were named before, by how votes name them. What cannot be read counts as nothing."""
    found: Any = read_json(home.root / "endpoints.json")
    models = found.get("models") if isinstance(found, Mapping) else None
    known = {}
    for name, about in models.items() if isinstance(models, Mapping) else ():
        url, key_env = (about.get(part) if isinstance(about, Mapping) else None for part in ("url", "key_env"))
        if isinstance(url, str) and _is_address(url):
            far = FarModel(str(name), url, key_env if isinstance(key_env, str) else "")
            known[far.model] = far
    return known


def keep_endpoint(home: Home, far: FarModel) -> None:
    """Keep this model for the next time; one of the same name is replaced. Raises `BadInput` for what is no address."""
    endpoint(far.url)
    models = {one.name: one for one in known_endpoints(home).values()} | {far.name: far}
    kept = {one.name: {"url": one.url, "key_env": one.key_env} for one in models.values()}
    write_json(home.root / "endpoints.json", {"models": kept})


def _is_address(url: str) -> bool:
    try:
        endpoint(url)
    except BadInput:
        return False
    return True
