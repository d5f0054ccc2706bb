"""The app in a browser: `finetui web`. Textual's own drawing and keys, over a web socket of the loopback."""
