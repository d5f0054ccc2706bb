"""Rows as tokens: what a model sees, what it learns from, and how much of it there is. No training libraries."""

from engine.tokens.count import RowCounts, dataset_tokens, row_counts, row_tokens, tiktoken_tokens
from engine.tokens.figures import TokenFigures
from engine.tokens.prepare import kept_tokenizer, model_tokenizer
from engine.tokens.supervision import Rendered, Token, render_row
from engine.tokens.template import BUILT_IN, TemplateProblem
from engine.tokens.tokenizer import Tokenizer

__all__ = [
    "BUILT_IN",
    "Rendered",
    "RowCounts",
    "TemplateProblem",
    "Token",
    "TokenFigures",
    "Tokenizer",
    "dataset_tokens",
    "kept_tokenizer",
    "model_tokenizer",
    "render_row",
    "row_counts",
    "row_tokens",
    "tiktoken_tokens",
]
