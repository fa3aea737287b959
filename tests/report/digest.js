// Lets `report.js` say what a page has: its facts, and how many words its records have, with their checksum (FNV-1a). The names of what
// no record of the trace has may differ: the committed viewer need not be built again for a new system call.
window.unzipped = async element => {
  const zipped = Uint8Array.from(atob(element.textContent.trim()), part => part.charCodeAt(0));
  return new Response(new Blob([zipped]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
};
window.digest = async () => {
  const { names, columns, ...facts } = JSON.parse(document.getElementById('facts').textContent);
  const records = new Uint32Array(window.unpackedRecords ?? await unzipped(document.getElementById('records')));
  return [facts, records.length, records.reduce((sum, word) => Math.imul(sum ^ word, 16777619), 2166136261)];
};
