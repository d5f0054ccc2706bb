"""The keys of a dataset's screen. The bar at the bottom shows the first ones that apply."""

from textual.binding import Binding, BindingType

DATASET_KEYS: list[BindingType] = [
    Binding("escape", "back", "back", id="page.back", key_display="esc", tooltip="End the search, then leave"),
    # changes that wait
    Binding("w", "rows('write')", "save changes", id="rows.write", tooltip="Write the changes as a new version"),
    Binding("u", "undo", "undo", id="rows.undo", tooltip="Take the last change back; with none, go to the parent"),
    # as the model sees it
    Binding("m", "see('model')", "model", id="seen.model", tooltip="See the rows with another model's tokenizer"),
    Binding("t", "see('template')", "template", id="seen.template", tooltip="See the rows in another template"),
    Binding(
        "L",
        "see('length')",
        "max length",
        id="seen.length",
        show=False,
        tooltip="Change the length that rows are cut at",
    ),
    Binding(
        "a", "see('answers')", "only answers", id="seen.answers", show=False, tooltip="Learn answers only, or all turns"
    ),
    Binding("c", "count", "count tokens", id="tokens.count", tooltip="Count the tokens of all rows"),
    # rows
    Binding("slash", "rows('search')", "search", id="rows.search", key_display="/", tooltip="Find rows as you type"),
    Binding("v", "rows('view')", "view", id="rows.view", tooltip="Conversation, as the model sees it, raw JSON"),
    Binding("n", "rows('next')", "next problem", id="rows.next", tooltip="The next row that the report names"),
    Binding("f", "filter_rows", "filter", id="dataset.filter", tooltip="Keep the rows that match, as a new version"),
    Binding("o", "make", "make a version", id="dataset.make", tooltip="Duplicates, splits, subset, screening"),
    Binding("l", "new_run", "train", id="dataset.train", tooltip="A new run on this dataset"),
    Binding("x", "rows('drop')", "drop", id="rows.drop", tooltip="Drop the row or the marked rows; again: take back"),
    Binding("e", "rows('edit')", "edit", id="rows.edit", tooltip="Change the row's turns"),
    Binding(
        "V",
        "validate",
        "validate",
        id="dataset.validate",
        show=False,
        tooltip="Look for faults in all rows, grade them",
    ),
    Binding("p", "rows('previous')", "previous problem", id="rows.previous", show=False),
    Binding("space", "rows('mark')", "mark", id="rows.mark", show=False, tooltip="Mark the row, to drop several"),
    Binding("r", "rows('raw')", "raw", id="rows.raw", show=False, tooltip="The row as JSON, hidden characters seen"),
    Binding(
        "colon", "rows('go_to')", "go to row", id="rows.go_to", show=False, key_display=":", tooltip="Go to a number"
    ),
    Binding("J,shift+down", "rows('scroll_down')", "scroll the row", id="rows.scroll", show=False),
    Binding("K,shift+up", "rows('scroll_up')", "scroll up", id="rows.scroll_up", show=False),
    # tabs, and the dataset as a whole
    Binding("right_square_bracket", "tab(1)", "next tab", id="dataset.next_tab", key_display="]"),
    Binding("left_square_bracket", "tab(-1)", "previous tab", id="dataset.previous_tab", show=False, key_display="["),
    Binding("E", "export", "export", id="dataset.export", show=False, tooltip="Write the rows into a file"),
    Binding("d", "remove", "remove", id="dataset.remove", show=False, tooltip="Remove this version and its files"),
    # these leave the screen, and ask first where changes wait
    Binding("2", "leave", "Datasets", id="dataset.leave", show=False, tooltip="Back to the datasets"),
    Binding("q", "quit", "quit", id="dataset.quit", show=False, tooltip="Quit; runs go on without the app"),
]
