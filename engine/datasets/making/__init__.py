"""New versions of datasets: without duplicates, smaller, split anew, mixed, in stages, edited; and what differs."""

from engine.datasets.making.comparing import Diff, diff
from engine.datasets.making.diverse import subset
from engine.datasets.making.duplicates import dedupe
from engine.datasets.making.editing import edit
from engine.datasets.making.mixing import mix, mix_counts
from engine.datasets.making.splitting import resplit
from engine.datasets.making.staging import stage
from engine.datasets.versions import Made

__all__ = ["Diff", "Made", "dedupe", "diff", "edit", "mix", "mix_counts", "resplit", "stage", "subset"]
