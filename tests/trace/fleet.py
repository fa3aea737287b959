"""Asks the questions of docs/fleet.md of a data set, and compares the answers with `trapline stat --json` of its traces.

usage: fleet.py duckdb|spark DATASET STAT_JSON FLEET_MD

The names of the trace files are HOST/RUN.trap.
"""

import atexit
import json
import os
import re
import sys
from collections import defaultdict


def duckdb_engine(dataset):
    import duckdb

    connection = duckdb.connect()
    files = f"read_parquet('{dataset}/**/*.parquet', hive_partitioning = true)"
    connection.sql(f"CREATE VIEW events AS SELECT * FROM {files}")

    def ask(sql):
        answer = connection.sql(sql)
        return [dict(zip(answer.columns, row)) for row in answer.fetchall()]

    return ask


def spark_engine(dataset):
    from pyspark.sql import SparkSession

    # Two executors of one core, each with its own process.
    spark = SparkSession.builder.master("local-cluster[2,1,1024]").getOrCreate()
    atexit.register(spark.stop)
    spark.read.parquet(dataset).createOrReplaceTempView("events")
    return lambda sql: [row.asDict() for row in spark.sql(sql).collect()]


def same(name, ours, theirs, within=0):
    keys = ours.keys() | theirs.keys()
    other = [key for key in keys if abs(float(ours.get(key, -1)) - float(theirs.get(key, -1))) > within]
    if other or not ours:
        sys.exit(f"{name}: {[(key, ours.get(key), theirs.get(key)) for key in other[:5]]} of {len(keys)}")
    print(f"{name}: {len(ours)} numbers are the same")


def main():
    engine, dataset, stat, page = sys.argv[1:]
    ask = {"duckdb": duckdb_engine, "spark": spark_engine}[engine](dataset)
    page = open(page).read()
    questions = {name: sql for name, sql in re.findall(r"```sql\n-- (\w+)\n(.*?)```", page, re.S)}
    answers = {name: ask(sql) for name, sql in questions.items()}
    traces = json.load(open(stat))["traces"]

    total, slowest, mix, exits = defaultdict(int), defaultdict(int), defaultdict(int), defaultdict(int)
    times, jitter, ticks, records = 0, defaultdict(int), defaultdict(int), {}
    for trace in traces:
        host, run = os.path.split(trace["file"].removesuffix(".trap"))
        host = os.path.basename(host)
        backend = trace["meta"]["kvm_backend"]
        records[host, run, "guest"] = trace["guest_events"]
        records[host, run, "host"] = trace["events"] - trace["guest_events"]
        for call in trace["system_calls"]:
            mix[run.split("-")[0], call["name"]] += call["count"]
            if call["kernel"]["count"]:
                total[backend, call["name"], "calls"] += call["kernel"]["count"]
                total[backend, call["name"], "ns"] += call["kernel"]["total_ns"]
                slowest[backend, call["name"]] = max(slowest[backend, call["name"]], call["kernel"]["max_ns"])
                times = max(times, call["kernel"]["count"] * len(traces) * 4)
        if trace["ticks"]["jitter"]["count"]:
            ticks[host] += trace["ticks"]["jitter"]["count"]
            jitter[host] = max(jitter[host], trace["ticks"]["jitter"]["max_ns"])
        for of in trace["exits"]:
            for number in ["count", "guest_ns", "host_ns"]:
                exits[backend, of["name"], number] += of[number]

    calls = {(row["backend"], row["call"]): row for row in answers["calls"]}
    same("calls", {(*key, "calls"): row["calls"] for key, row in calls.items()},
         {key: value for key, value in total.items() if key[2] == "calls"})
    same("time of calls", {(*key, "ns"): row["total_ns"] for key, row in calls.items()},
         {key: value for key, value in total.items() if key[2] == "ns"}, times)
    # A turn away and back is two more roundings.
    same("slowest calls", {key: row["max_ns"] for key, row in calls.items()}, slowest, 1000)
    same("ticks", {row["host"]: row["ticks"] for row in answers["jitter"]}, ticks)
    same("jitter", {row["host"]: row["max_ns"] for row in answers["jitter"]}, jitter, 2)
    same("call mixes", {(row["commit"], row["call"]): row["calls"] for row in answers["mix"]}, mix)
    same("records", {(row["host"], row["run"], row["origin"]): row["records"] for row in answers["lost"]}, records)
    lost = [row for row in answers["lost"] if row["missing"] or row["lost_by_guest"]]
    damaged = [trace["file"] for trace in traces if trace["damage"]]
    if lost or damaged:
        sys.exit(f"lost records: {lost}, {damaged}")
    same("exits", {(row["backend"], row["reason"], ours): row[theirs] for row in answers["exits"]
                   for ours, theirs in [("count", "exits"), ("guest_ns", "guest_ns"), ("host_ns", "host_ns")]}, exits)


main()
