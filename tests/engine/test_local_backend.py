"""Which devices of this machine a run may take. The GPUs are made up: there may be none here."""

import pytest

from engine.runs.backends import local

CARDS = ("GPU-aaaa-1", "GPU-aabb-2", "GPU-cccc-3")


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, {"gpu0": "0", "gpu1": "1", "gpu2": "2"}),
        ("2,0", {"gpu2": "2", "gpu0": "0"}),
        ("", {"cpu": ""}),
        ("-1", {"cpu": ""}),
        ("1,-1,0", {"gpu1": "1"}),
        ("7", {"cpu": ""}),
        ("GPU-cccc", {"gpu2": "2"}),
        ("GPU-aa", {"cpu": ""}),
        ("MIG-0A1B2C3D-4e5f-6789", {"mig-0a1b2c3d": "MIG-0A1B2C3D-4e5f-6789"}),
    ],
)
def test_gpus_are_those_that_cuda_would_see(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, expected: dict[str, str]
) -> None:
    monkeypatch.setattr(local, "_gpu_uuids", lambda: CARDS)
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    found = local.candidate_devices(environment)
    assert found == expected
    assert list(found) == list(expected), "in the order given"


def test_without_nvml_it_is_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_gpu_uuids", lambda: ())
    assert local.candidate_devices({"CUDA_VISIBLE_DEVICES": "0"}) == {"cpu": ""}
