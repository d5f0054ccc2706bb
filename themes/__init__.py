"""One TOML file a theme; `tui.themes` loads them."""
