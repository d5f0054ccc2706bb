"""`docs/finetui.1`, the manual page, written from the commands: `python -m tui.cli.manual > docs/finetui.1`."""

import sys

import typer

from tui.cli.reference import commands, help_text

WIDTH = 72
"""Of 80 columns, what the margins of a manual page leave."""

HEAD = r"""
.\" Made from the commands: python -m tui.cli.manual > docs/finetui.1
.TH FINETUI 1 "" finetui "User Commands"
.SH NAME
finetui \- fine\-tune language models from the terminal
.SH SYNOPSIS
.B finetui
.RB [ \-\-home
.IR DIR ]
.RI [ COMMAND " [" ARGUMENTS ]]
.SH DESCRIPTION
Without a command, the app opens: runs, datasets, new runs, comparisons, chat, the queue.
The keys
.B 1
to
.B 6
switch between the screens,
.B ?\&
tells the keys of the one at hand, and
.B q
leaves.
Runs are processes of their own and go on without the app.
.PP
Everything a screen can do, a command can do.
Every command takes
.B \-\-json
(one JSON document on standard output, nothing else),
.BI \-\-home " DIR"
and
.BR \-\-help .
Runs and datasets go by name, by id, or by the start of an id.
.SH COMMANDS
"""
TAIL = r"""
.SH "EXIT STATUS"
.TP
.B 0
Done.
.TP
.B 1
Failed.
.TP
.B 2
Bad input.
.SH ENVIRONMENT
.TP
.B FINETUI_HOME
The folder in which everything is kept.
.TP
.B FINETUI_DEBUG
Set to 1, errors are shown with their traceback.
.TP
.B HF_HUB_OFFLINE
Set to 1, no hub is asked for models or datasets.
.TP
.B NO_COLOR
Set, no colours are used.
.SH FILES
.TP
.I $FINETUI_HOME/finetui.db
The store: the index over all runs.
.TP
.I $FINETUI_HOME/runs/
A folder for each run, from which the store can be made again.
.TP
.I $FINETUI_HOME/settings.toml
Theme, keys, alerts and prices.
.SH "SEE ALSO"
.B finetui COMMAND \-\-help
"""


def manual(app: typer.Typer) -> str:
    """The page, as roff."""
    parts = []
    for name, command in commands(app):
        body = "\n".join(_escaped(line) for line in help_text(name, command, WIDTH).splitlines())
        parts.append(f'.SS "{_escaped(name)}"\n.nf\n{body}\n.fi')
    return "\n".join([HEAD.strip(), *parts, TAIL.strip(), ""])


def _escaped(line: str) -> str:
    """A line as it is: no word of it is roff."""
    line = line.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("'", "\\(aq")
    line = line.replace("^", "\\(ha").replace("~", "\\(ti")
    return f"\\&{line}" if line.startswith(".") else line


if __name__ == "__main__":
    from tui.cli.root import app

    sys.stdout.write(manual(app))
