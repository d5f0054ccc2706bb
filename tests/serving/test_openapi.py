"""The API's own document is true: requests made from it are answered as it says."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.config import SchemathesisConfig

from engine.serving.guard import rules_for
from engine.serving.openapi import document
from engine.serving.refusals import STATUSES
from tests.serving.stand_in import BASE, TOKEN, Api, Pane

API = Api(rules_for("localhost", TOKEN), [BASE, Pane("0", "/m", None, False, None, "r1")])
SCHEMA = schemathesis.openapi.from_dict(document(), config=SchemathesisConfig())
SCHEMA.app = API.app


@SCHEMA.parametrize()
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_requests_made_from_the_document_are_answered_as_it_says(case: Case) -> None:
    case.call_and_validate(base_url="http://localhost", headers={"Authorization": f"Bearer {TOKEN}"})


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
