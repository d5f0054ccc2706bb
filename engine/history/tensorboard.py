"""TensorBoard's event files: a folder of them is a run.

Field numbers are those of `tensorboard/compat/proto/{event,summary,tensor}.proto` and of the hparams plugin.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from engine.history.event_records import read_event_records
from engine.history.items import At, Damage, Facts, FoundRun, Item, Row, Skipped
from engine.history.wire import Field, Malformed, double, fields_of, message, single, text, whole
from store.records import Status

PART_OF = re.compile(r"\d{9,}(\.\d+)?|(train|validation|eval|val|test)")
"""Folders in a run's folder that are parts of it: what torch makes for hyperparameters, what Keras splits."""
SETTINGS = ("args/text_summary", "model_config/text_summary")
"""Texts in which the Trainer leaves its settings."""
_MEDIA = {4: "images", 5: "histograms", 6: "audio"}
_PLUGINS = {"text": "texts", "pr_curves": "curves", "custom_scalars": "layouts"}
_NUMBERS = {1: "f", 2: "d", 3: "i", 4: "B", 5: "h", 6: "b", 9: "q", 10: "?", 17: "H", 19: "e", 22: "I", 23: "Q"}
"""How a tensor's elements lie in it, by the number of their type."""
_ENDINGS = {1: Status.SUCCEEDED, 2: Status.FAILED}
_SINGLE, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")
NOT_TOLD = "event files do not tell how a run ended"


def is_event_file(path: Path) -> bool:
    return "tfevents" in path.name and not path.name.endswith(".profile-empty")


def first_time(path: Path) -> float | None:
    """When the file was begun, exact as it was written; `None` where that cannot be read. Raises `OSError`."""
    for record in read_event_records(path):
        if isinstance(record, Damage):
            return None
        try:
            known = dict(fields_of(record[1]))
            return double(known[1]) if 1 in known else None
        except Malformed:
            return None
    return None


def find_tensorboard(folder: Path, files: list[Path], name: str, size: int, stamp: str) -> FoundRun:
    """The run of the event files in `folder`. Raises `OSError`."""
    begun = {path: first_time(path) for path in files}
    ordered = sorted(files, key=lambda path: (begun[path] or float("inf"), path.name))
    first = begun[ordered[0]]
    return FoundRun(
        source="tensorboard",
        # The moment is exact to a millionth of a second and stays with a file that is moved or renamed.
        source_id=f"tensorboard:{first!r}" if first is not None else f"tensorboard:{folder.resolve()}",
        name=name,
        path=folder,
        files=tuple(ordered),
        stamp=stamp,
        size=size,
        created=first,
    )


def read_tensorboard(run: FoundRun, at: At) -> Iterator[Item]:
    """The run's items, of all its files in turn."""
    reading = _Reading()
    before = 0
    for path in run.files:
        inside = path.parent.relative_to(run.path).parts
        reading.head = _head(inside[-1]) if inside else ""
        try:
            for record in read_event_records(path):
                if isinstance(record, Damage):
                    yield Damage(f"{path.name}: {record.message}")
                    continue
                try:
                    if items := reading.event(record[1]):
                        yield from items
                except Malformed as error:
                    yield Damage(f"{path.name}: the record before byte {record[0]:,} is damaged: {error}")
                at(before + record[0])
            before += path.stat().st_size
        except OSError as error:
            yield Damage(f"{path.name} cannot be read: {error.strerror or error}")
        yield from reading.flush()
    if reading.ending is not None:
        yield reading.ending
    else:
        yield Facts(status=Status.SUCCEEDED, reason="" if reading.summed_up else NOT_TOLD)


def _head(folder: str) -> str:
    """What is put before the names of metrics in a part of a run."""
    split = {"validation": "eval", "val": "eval"}.get(folder, folder)
    return f"{split}/" if PART_OF.fullmatch(folder) and not folder[0].isdigit() else ""


class _Reading:
    """What has to be known of earlier events to understand the next. Values of one step are told as one row."""

    def __init__(self) -> None:
        self.head = ""
        self.ending: Facts | None = None
        self.summed_up = False
        """Whether the Trainer has written its summary, which it does at a good end."""
        self._plugins: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        """How often a metric came that never had a step."""
        self._step: int | None = None
        self._t: float | None = None
        self._values: dict[str, Any] = {}

    def event(self, data: bytes) -> list[Item]:
        """What an event comes to; mostly nothing, because its value joins the row of its step."""
        step, t = 0, None
        told: list[Item] = []
        if (scalar := _plain_scalar(data)) is not None:
            self._figure(*scalar, told)
            return told
        for number, value in fields_of(data):
            if number == 1:
                t = double(value)
            elif number == 2:
                step = whole(value)
            elif number == 5:
                for inner, one in fields_of(message(value)):
                    if inner == 1:
                        self._value(fields_of(message(one)), step, t, told)
        return told

    def flush(self) -> list[Item]:
        """The row that was collected."""
        if not self._values:
            return []
        row = Row(self._values, self._step, self._t)
        self._values = {}
        return [row]

    def _value(self, fields: Iterable[Field], step: int, t: float | None, told: list[Item]) -> None:
        tag, figure, tensor, other = "", None, None, 0
        for number, value in fields:
            if number == 1:
                tag = text(value)
            elif number == 2:
                figure = single(value)
            elif number == 8:
                tensor = message(value)
            elif number == 9:
                told += self._metadata(tag, message(value), t)
            elif number in _MEDIA:
                other = number
        if tensor is not None:
            plugin = self._plugins.get(tag, "")
            if tag in SETTINGS:
                told += _settings(tensor)
                return
            if plugin in ("", "scalars"):
                figure = _scalar(tensor)
            if figure is None and plugin != "_hparams_":
                told.append(Skipped(_PLUGINS.get(plugin, plugin or "tensors")))
        if figure is None:
            if other:
                told.append(Skipped(_MEDIA[other]))
            return
        self._figure(tag, figure, step, t, told)

    def _figure(self, tag: str, figure: float, step: int, t: float | None, told: list[Item]) -> None:
        name = self.head + tag
        if name == "train/train_runtime":
            self.summed_up = True
        if step == 0:
            # Nobody gave it a step as long as all its values are at 0: then they count up.
            step = self._counts.get(name, 0)
            if step >= 0:
                self._counts[name] = step + 1
            else:
                step = 0
        else:
            self._counts[name] = -1
        if step != self._step or name in self._values:
            told += self.flush()
        self._step, self._t = step, t
        self._values[name] = figure

    def _metadata(self, tag: str, data: bytes, t: float | None) -> Iterator[Item]:
        plugin = dict(fields_of(data)).get(1)
        if plugin is None:
            return
        known = dict(fields_of(message(plugin)))
        name = text(known.get(1, b""))
        self._plugins[tag] = name
        if name != "hparams":
            return
        self._plugins[tag] = "_hparams_"
        content = dict(fields_of(message(known.get(2, b""))))
        if 3 in content:
            start = fields_of(message(content[3]))
            began = [double(value) for number, value in start if number == 5]
            entries = [fields_of(message(value)) for number, value in start if number == 1]
            config = {text(dict(one).get(1, b"")): _value(dict(one).get(2, b"")) for one in entries}
            yield Facts(config=config, started=began[0] if began and began[0] > 0 else None)
        if 4 in content:
            end = dict(fields_of(message(content[4])))
            status = _ENDINGS.get(whole(end.get(1, 0)))
            if status is not None:
                ended = double(end[2]) if 2 in end else t
                reason = "" if status is Status.SUCCEEDED else "its session was ended as a failure"
                self.ending = Facts(status=status, reason=reason, ended=ended)


def _plain_scalar(data: bytes) -> tuple[str, float, int, float] | None:
    """Tag, value, step and time of an event that is one number and nothing else, as almost all of them are.

    The same as field by field, in a fifth of the time; `None` for every other event.
    """
    try:
        if data[0] != 9:  # the time
            return None
        at = 9
        step = 0
        if data[at] == 16:
            shift = 0
            while True:
                at += 1
                step |= (data[at] & 127) << shift
                if data[at] < 128:
                    break
                shift += 7
            at += 1
        end = len(data)
        tag_at = at + 6
        tag_end = tag_at + data[at + 5]
        # a summary of one value, of a tag and a number, each of less than 128 bytes, up to the end
        if (
            data[at] == 42
            and at + 2 + data[at + 1] == end
            and data[at + 1] < 128
            and data[at + 2] == 10
            and at + 4 + data[at + 3] == end
            and data[at + 4] == 10
            and tag_end + 5 == end
            and data[tag_end] == 21
            and step < 1 << 62
        ):
            tag, figure = data[tag_at:tag_end], _SINGLE.unpack_from(data, tag_end + 1)[0]
            return tag.decode("utf-8", "replace"), figure, step, _DOUBLE.unpack_from(data, 1)[0]
    except IndexError:
        pass
    return None


def _value(data: int | bytes) -> Any:
    """A `google.protobuf.Value`."""
    for number, value in fields_of(message(data)):
        if number == 2:
            return double(value)
        if number == 3:
            return text(value)
        if number == 4:
            return bool(value)
    return None


def _scalar(tensor: bytes) -> float | None:
    """The number in a tensor that has one; `None` for any other tensor."""
    kind, content, elements = 0, b"", 1
    listed: list[Any] = []
    for number, value in fields_of(tensor):
        if number == 1:
            kind = whole(value)
        elif number == 2:
            for part, size in fields_of(message(value)):
                if part == 2:
                    elements *= whole(dict(fields_of(message(size))).get(1, 0))
        elif number == 4:
            content = message(value)
        elif number in (5, 6, 7, 10, 11, 13, 16, 17):
            listed.append((number, value))
    form = _NUMBERS.get(kind)
    if form is None or elements != 1:
        return None
    if content:
        if len(content) != struct.calcsize(f"<{form}"):
            raise Malformed("a tensor of another size")
        return float(struct.unpack(f"<{form}", content)[0])
    if len(listed) != 1:
        return None if listed else 0.0
    number, value = listed[0]
    if isinstance(value, int):  # not packed
        return float(_of_bits(value, kind) if number == 13 else whole(value))
    if number in (5, 6):
        return struct.unpack("<f" if number == 5 else "<d", value)[0] if len(value) in (4, 8) else None
    packed = fields_of(b"\x08" + value)  # one whole number, as if it were a field
    return float(_of_bits(packed[0][1], kind) if number == 13 else whole(packed[0][1]))


def _of_bits(bits: int | bytes, kind: int) -> float:
    """A number of 16 bits that lies in a whole one."""
    if kind != 19 or not isinstance(bits, int):
        raise Malformed("a tensor of another kind")
    return float(struct.unpack("<e", struct.pack("<H", bits & 0xFFFF))[0])


def _settings(tensor: bytes) -> Iterator[Item]:
    """The settings in a text that is JSON."""
    for number, value in fields_of(tensor):
        if number == 8:
            try:
                found = orjson.loads(message(value))
            except orjson.JSONDecodeError:
                yield Skipped("texts")
                return
            if isinstance(found, dict):
                yield Facts(config=found)
