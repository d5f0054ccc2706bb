"""`finetui web`: the app in a browser of this machine."""

import asyncio
from typing import Annotated

import typer

from tui.cli.command import Session, command
from tui.cli.output import fields
from tui.text import clean

app = typer.Typer()


@command(app, "web", example=["web", "web --port 0 --json"])
def web(
    session: Session,
    port: Annotated[int, typer.Option(help="0 takes any that is free.", min=0, max=65535)] = 8001,
) -> None:
    """Open the app to a browser on this machine, over the loopback alone. Ctrl-C ends it; runs go on.

    From another machine: ssh -L 8001:127.0.0.1:8001 HOST, then the same address in the browser there.
    """
    from engine.serving.running import listen_tcp
    from engine.serving.token_file import read_or_make
    from tui.web.door import Door
    from tui.web.server import make_app, serve

    home = session.home.ensure()
    token, file = read_or_make(home, home.root / "web-token")
    listener = listen_tcp("127.0.0.1", port)
    number = listener.getsockname()[1]
    url = f"http://127.0.0.1:{number}/"

    def ready() -> None:
        known = fields([("open", f"{url}#{token}"), ("token file", file)])
        tunnel = f"From elsewhere: ssh -L {number}:127.0.0.1:{number} HOST, then the same address there."
        text = f"{known}\n\nWho has this address can do all that you can do in finetui. {tunnel}\nCtrl-C ends."
        session.answer({"url": url, "token_file": str(file)}, clean(text))

    try:
        asyncio.run(serve(make_app(home.root, Door(token)), listener, ready))
    finally:
        listener.close()
