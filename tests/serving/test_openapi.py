"""The API's own document is true: requests made from it are answered as it says."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from engine.serving.guard import rules_for
from engine.serving.openapi import document
from engine.serving.refusals import STATUSES
from tests.serving.stand_in import TOKEN, Api

OPERATIONS = [
    (path, method, kind)
    for path, methods in document()["paths"].items()
    for method in methods
    for kind in (("positive", "negative") if method == "post" else ("positive",))
]
"""What can be asked; `negative` requests do not follow the document."""

STATUSES_SEEN: dict[str, set[int]] = {}


@pytest.fixture(scope="module")
def schema() -> Any:
    """The document as schemathesis reads it; imported late, as it takes seconds."""
    import schemathesis
    from schemathesis.config import SchemathesisConfig

    schema = schemathesis.openapi.from_dict(document(), config=SchemathesisConfig())
    schema.app = Api(rules_for("localhost", TOKEN)).app
    schema.hook("map_body")(_map_body)
    return schema


def _map_body(_context: Any, body: Any) -> Any:
    """Names are guessed wrong; half of the requests name a model that is there, so that answers are seen too."""
    if isinstance(body, dict):
        for name in ("model", "model_id"):
            if isinstance(body.get(name), str) and len(body[name]) % 2 == 0:
                body[name] = "base+notes"
                if "messages" in body or "prompt" in body:
                    body["stream"] = len(body) % 2 == 0
    return body


@pytest.mark.parametrize(("path", "method", "kind"), OPERATIONS)
def test_requests_made_from_the_document_are_answered_as_it_says(
    schema: Any, path: str, method: str, kind: str
) -> None:
    from schemathesis import GenerationMode

    @given(case=schema[path][method].as_strategy(GenerationMode(kind)))
    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    def asked(case: Any) -> None:
        response = case.call(base_url="http://localhost", headers={"Authorization": f"Bearer {TOKEN}"})
        STATUSES_SEEN.setdefault(case.operation.label, set()).add(response.status_code)
        case.validate_response(response, headers={"Authorization": f"Bearer {TOKEN}"})

    asked()


def test_requests_of_every_kind_were_made() -> None:
    for path in ("/v1/chat/completions", "/v1/completions", "/api/v1/generate", "/ask"):
        assert STATUSES_SEEN[f"POST {path}"] >= {200, 400, 404}, path


def test_every_status_and_every_schema_is_in_it() -> None:
    whole = document()
    assert whole["openapi"] == "3.1.0"
    used: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                used.add(value["$ref"].rpartition("/")[2])
            for part in value.values():
                walk(part)
        elif isinstance(value, list):
            for part in value:
                walk(part)

    walk(whole)
    assert used == set(whole["components"]["schemas"])
    operations = [operation for path in whole["paths"].values() for operation in path.values()]
    assert {status for one in operations for status in one["responses"]} == {"200", *map(str, STATUSES)}
