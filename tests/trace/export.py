"""What an export says, read by what others made for its form: `export.py READER FILE KIND=FIELD,...`.

Prints one event per line: its kind, when (ns since the start), its process, and `FIELD=VALUE` for `sequence`, `tsc` and the
fields named for its kind. Then each process's name, and the records that are missing where the form has a way to tell.
"""

import csv
import json
import sys

HEAD = ["sequence", "tsc"]
# What ends a slice of Perfetto's that begins with a record of this kind.
ENDS = {"trap-entry": "trap-return", "system-call": "system-call-result", "called": "returned"}
FIELDS = {kind: HEAD + names.split(",") for kind, names in (argument.split("=") for argument in sys.argv[3:])}
names, missing, realtime = {}, 0, None


def event(kind, ns, process, field):
    """An event; `field` returns a field by its name, and None or nothing without it."""
    values = [f"{name}={value}" for name in FIELDS.get(kind, HEAD) if (value := field(name)) not in (None, "")]
    print(kind, ns, process, *values)


def row(field):
    """An event of the forms that are rows."""
    global realtime
    kind, ns, process = field("kind"), int(field("ns")), int(field("process"))
    if process > 0:
        names[process] = field("name")
    if kind == "host-clock" and realtime is None:
        realtime = int(field("realtime_ns")) - ns
    event(kind, ns, process, field)


def table(columns, rows):
    where = {name: index for index, name in enumerate(columns)}
    for cells in rows:
        row(lambda name: cells[where[name]])


def read_jsonl(path):
    with open(path) as lines:
        for line in lines:
            row(json.loads(line).get)


def read_csv(path):
    with open(path, newline="") as lines:
        rows = csv.reader(lines)
        table(next(rows), rows)


def read_parquet(path):
    import pyarrow.parquet

    columns = ["kind", "ns", "process", "name"] + sorted(set(sum(FIELDS.values(), HEAD)))
    for batch in pyarrow.parquet.ParquetFile(path).iter_batches(columns=columns):
        table(batch.schema.names, zip(*(column.to_pylist() for column in batch.columns)))


def packets(path):
    """The packets of a Trace, one at a time: each is field 1, length-delimited."""
    from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace

    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while at < len(data):
        start, size, shift = at, 0, 0
        at += 1
        while True:
            byte = data[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        at += size
        trace = Trace.FromString(data[start:at])
        assert len(trace.packet) == 1, "not a packet"
        yield trace.packet[0]


def check_switches(switches, linux):
    assert sorted(switches) == sorted(linux), "Linux's switches are others"


def read_perfetto(path):
    global missing, realtime
    BEGIN, END, INSTANT = 1, 2, 3
    labels, kinds, keys, switches, linux = {}, {}, {}, [], []
    # By track: its process, the kinds of the slices that are open.
    tracks, pids, tids, slices = {}, {}, {}, {}
    for packet in packets(path):
        if packet.HasField("interned_data"):
            new = packet.interned_data
            labels.update((name.iid, name.name) for name in new.event_names)
            kinds.update((name.iid, name.name) for name in new.event_categories)
            keys.update((name.iid, name.name) for name in new.debug_annotation_names)
        if packet.HasField("track_descriptor"):
            track = packet.track_descriptor
            tracks[track.uuid] = 0
            if track.HasField("process"):
                assert track.process.process_name, "a process without a name"
                pids[track.uuid] = track.process.pid
            if track.HasField("thread"):
                tids[track.thread.pid] = tracks[track.uuid] = track.thread.tid
                names[track.thread.tid] = track.thread.thread_name
            if track.parent_uuid:
                tracks[track.uuid] = tids[pids[track.parent_uuid]]
        for drawn in packet.ftrace_events.event:
            linux.append((drawn.timestamp, drawn.sched_switch.prev_pid, drawn.sched_switch.next_pid))
        if packet.HasField("clock_snapshot") and realtime is None:
            clocks = {clock.clock_id: clock.timestamp for clock in packet.clock_snapshot.clocks}
            realtime = clocks[1] - clocks[6]
        if not packet.HasField("track_event"):
            continue
        drawn, ns = packet.track_event, packet.timestamp
        process, is_end = tracks[drawn.track_uuid], drawn.type == END
        kind = kinds[drawn.category_iids[0]] if drawn.category_iids else None
        if drawn.type == BEGIN:
            slices.setdefault(drawn.track_uuid, []).append(kind)
        if is_end:
            kind = ENDS.get(slices[drawn.track_uuid].pop())
        annotations = drawn.debug_annotations
        fields = {keys[one.name_iid]: getattr(one, one.WhichOneof("value")) for one in annotations}
        if fields:
            event(kind, ns, process, lambda name: fields.get(f"end_{name}" if is_end else name))
        if kind == "context-loaded":
            switches.append((ns, fields["from"], process))
        label = labels.get(drawn.name_iid, "")
        if drawn.type == INSTANT and label.endswith(" records are missing"):
            missing += int(label.split()[0])
    check_switches(switches, linux)


def read_trace_processor(path):
    global missing, realtime
    import trace_processor

    said, switches = trace_processor.ask(path), []
    for kind, begin, length, process, text in said["events"]:
        ns, process, fields = int(begin), int(process), dict(field.split("=") for field in text.split())
        event(kind, ns, process, fields.get)
        if "end_sequence" in fields:
            event(ENDS[kind], ns + int(length), process, lambda name: fields.get(f"end_{name}"))
        if kind == "context-loaded":
            switches.append((ns, int(fields["from"]), process))
    check_switches(switches, [tuple(map(int, row)) for row in said["switches"]])
    missing, realtime = said["missing"][0][0], said["start"][0][0]
    names.update((int(tid), name) for tid, name in said["process"])


readers = {
    "jsonl": read_jsonl,
    "csv": read_csv,
    "parquet": read_parquet,
    "perfetto": read_perfetto,
    "trace-processor": read_trace_processor,
}
readers[sys.argv[1]](sys.argv[2])
print("start", realtime)
print("missing", missing)
for process in sorted(names):
    print("process", process, names[process])
