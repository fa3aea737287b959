// Runs inside a copy of the viewer. Drops a file on it, if the test has one, and puts the script of the test into the page that the
// viewer makes. Where no page follows, it leaves what it saw of the viewer itself.
(() => {
  const { script, name, bytes } = TEST, errors = [];
  addEventListener('error', event => errors.push(event.message));
  // The browser does not wait for threads, so nothing may be compiled in one.
  WebAssembly.compile = async bytes => new WebAssembly.Module(bytes);
  WebAssembly.instantiate = async module => new WebAssembly.Instance(module);
  const write = document.write;
  let isMade = false;
  document.write = page => {
    isMade = true;
    write.call(document, page.replace('</head>', () => `<script>${script}<\/script></head>`));
  };

  function drop() {
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(atob(bytes), part => part.charCodeAt(0))], name));
    dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, cancelable: true }));
  }

  async function violations() {
    const found = [];
    for (const theme of ['light', 'dark']) {
      document.documentElement.dataset.theme = theme;
      const { violations } = await axe.run(document, { resultTypes: ['violations'] });
      found.push(...violations.flatMap(({ id, nodes }) => nodes.map(node => `${id}: ${node.html}`)));
    }
    return found;
  }

  async function run() {
    if (name) drop();
    const refused = () => document.querySelector('#warnings p')?.textContent;
    const isChosen = name || location.search;
    while (isChosen && !isMade && !refused()) await new Promise(done => setTimeout(done, 20));
    if (isMade) return;
    const seen = { errors, refused: refused(), links: [...document.querySelectorAll('.gallery a')].map(link => link.getAttribute('href')) };
    const traces = [...document.querySelectorAll('script.trace')].map(async element => {
      const bytes = new Uint8Array(await unzipped(element));
      return [element.id, btoa(Array.from(bytes, part => String.fromCharCode(part)).join(''))];
    });
    seen.traces = Object.fromEntries(await Promise.all(traces));
    seen.cut = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    if (window.axe) seen.violations = await violations();
    const result = document.createElement('pre');
    result.id = 'result';
    result.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(seen))));
    document.body.append(result);
    if (parent !== window) parent.postMessage(result.textContent, '*');
  }
  addEventListener('DOMContentLoaded', run);
})();
