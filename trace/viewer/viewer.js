// The viewer: passes the bytes of a trace to the reader, and replaces this document with the page that the reader made.

const $ = id => document.getElementById(id);
const decode = bytes => new TextDecoder().decode(bytes);
const reader = unzip($('reader')).then(WebAssembly.compile);
const traceOf = Object.fromEntries([...document.querySelectorAll('script.trace')].map(element => [element.id, element]));

/// What the reader made of a trace: its page and its records.
async function read(name, bytes) {
  const { exports } = await WebAssembly.instantiate(await reader);
  [new TextEncoder().encode(name), bytes].forEach((part, which) => {
    const at = exports.room(which, part.length);
    new Uint8Array(exports.memory.buffer, at, part.length).set(part);
  });
  const isMade = exports.make_page();
  const [page, records] = [0, 1].map(which => new Uint8Array(exports.memory.buffer, exports.address(which), exports.size(which)));
  if (!isMade) throw new Error(decode(page));
  return { page: decode(page), records: records.slice().buffer };
}

/// Shows a trace, whose bytes `load` returns. What cannot be shown leaves this document as it is.
async function show(name, load) {
  say(`Reading ${name}\u2026`);
  try {
    const { page, records } = await read(name, new Uint8Array(await load()));
    window.unpackedRecords = records;
    document.open();
    document.write(page);
    document.close();
    listen();
    document.querySelector('.eyebrow').append(' \u00b7 ', link('Another trace'));
  } catch (error) {
    say('');
    const isStopped = error instanceof WebAssembly.RuntimeError;
    complain(isStopped ? `${name} is too large for this browser: use \`trapline report\`` : error.message);
  }
}

function link(text) {
  const element = document.createElement('a');
  [element.href, element.textContent] = [location.pathname, text];
  return element;
}

function say(text) { if ($('said')) $('said').textContent = text; }

function complain(text) {
  const line = document.createElement('p');
  [line.className, line.textContent] = ['warning refused', text];
  document.querySelector('.refused')?.remove();
  $('warnings').prepend(line);
}

/// Shows a file. The address has a view of what was shown before, if it has one.
function showFile(file) {
  if (!file) return;
  history.replaceState(null, '', location.pathname);
  show(file.name, () => file.arrayBuffer());
}

/// Accepts files that are dropped. A document that replaces this one has no listeners.
function listen() {
  const over = isOver => event => {
    event.preventDefault();
    $('drop')?.classList.toggle('over', isOver);
  };
  addEventListener('dragover', over(true));
  addEventListener('dragleave', over(false));
  addEventListener('drop', event => {
    over(false)(event);
    showFile(event.dataTransfer.files[0]);
  });
}

listen();
$('file').addEventListener('change', event => showFile(event.target.files[0]));
const chosen = location.search.slice(1);
if (Object.hasOwn(traceOf, chosen)) show(`${chosen}.trap`, () => unzip(traceOf[chosen]));
