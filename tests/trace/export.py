"""What an export says, read by what others made for its form: `export.py FORMAT FILE`.

Prints how many events there are, each process's name, and each switch: when (ns since the start), from whom, to whom.
Missing records are told where the form has a way to.
"""

import csv
import json
import sys

names, switches, events, missing, realtime = {}, [], 0, 0, None


def row(fields):
    """An event of the forms that have fields by name."""
    global events, realtime
    events += 1
    process, ns = int(fields["process"]), int(fields["ns"])
    if process > 0:
        names[process] = fields["name"]
    if fields["kind"] == "context-loaded":
        switches.append((ns, int(fields["from"]), process))
    if fields["kind"] == "host-clock" and realtime is None:
        realtime = int(fields["realtime_ns"]) - ns


def jsonl(path):
    with open(path) as lines:
        for line in lines:
            row(json.loads(line))


def table(path):
    with open(path, newline="") as lines:
        for fields in csv.DictReader(lines):
            row(fields)


def parquet(path):
    import pyarrow.parquet

    for batch in pyarrow.parquet.ParquetFile(path).iter_batches():
        for fields in batch.to_pylist():
            row(fields)


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


def perfetto(path):
    global events, missing, realtime
    BEGIN, END, INSTANT = 1, 2, 3
    labels, keys, tracks, depth = {}, {}, {}, {}
    for packet in packets(path):
        labels.update((name.iid, name.name) for name in packet.interned_data.event_names)
        keys.update((name.iid, name.name) for name in packet.interned_data.debug_annotation_names)
        if packet.HasField("track_descriptor"):
            track = packet.track_descriptor
            tracks[track.uuid] = track
            if track.HasField("thread"):
                names[track.thread.tid] = track.thread.thread_name
            if track.HasField("process"):
                assert track.process.process_name, "a process without a name"
        for event in packet.ftrace_events.event:
            switch = event.sched_switch
            switches.append((event.timestamp, switch.prev_pid, switch.next_pid))
        clocks = {clock.clock_id: clock.timestamp for clock in packet.clock_snapshot.clocks}
        if clocks and realtime is None:
            realtime = clocks[1] - clocks[6]
        if not packet.HasField("track_event"):
            continue
        event = packet.track_event
        assert event.track_uuid in tracks, "a track that nobody described"
        if event.type in (BEGIN, END):
            depth[event.track_uuid] = depth.get(event.track_uuid, 0) + (1 if event.type == BEGIN else -1)
            assert depth[event.track_uuid] >= 0, "a slice ends that did not begin"
        events += any(keys[field.name_iid] in ("sequence", "end_sequence") for field in event.debug_annotations)
        label = labels.get(event.name_iid, "")
        if event.type == INSTANT and label.endswith(" records are missing"):
            missing += int(label.split()[0])


readers = {"jsonl": jsonl, "csv": table, "parquet": parquet, "perfetto": perfetto}
readers[sys.argv[1]](sys.argv[2])
print("events", events)
print("start", realtime)
if sys.argv[1] == "perfetto":
    print("missing", missing)
for process in sorted(names):
    print("process", process, names[process])
for switch in switches:
    print("switch", *switch)
