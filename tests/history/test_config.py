"""Which settings of a run from elsewhere are kept."""

import pytest

from engine.history.config import flattened, without_secret_settings


@pytest.mark.parametrize(
    "name",
    [
        *("hub_token", "HF_TOKEN", "token", "trackers.hf-token", "wandb.api_key", "aws_secret_access_key"),
        *("hftoken", "clientsecret", "passwords"),
    ],
)
def test_what_is_called_like_a_secret_is_left_out(name: str) -> None:
    assert flattened({name: "x", "lr": 1}) == {"learning_rate": 1}
    assert without_secret_settings({"asked": {name: "x", "seed": 1}}) == {"asked": {"seed": 1}}


@pytest.mark.parametrize("name", ["eos_token", "tokenizer.pad_token", "image-token", "max_tokens", "tokenizer"])
def test_a_tokenizers_own_tokens_are_kept(name: str) -> None:
    assert flattened({name: "x"}) == {name: "x"}
    assert without_secret_settings({name: "x"}) == {name: "x"}
