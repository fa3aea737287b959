// Runs inside a copy of the page under test, before the page's own script: does what a reader does, and leaves what
// it saw in an element of its own. SWITCH is replaced by the part of the run at which a certain switch lies.
(() => {
  const errors = [];
  addEventListener('error', event => errors.push(event.message));
  addEventListener('unhandledrejection', event => errors.push(String(event.reason)));

  // A browser that only prints the page paints no frames.
  window.requestAnimationFrame = callback => setTimeout(callback, 16);

  let rectangles = 0;
  const fillRect = CanvasRenderingContext2D.prototype.fillRect;
  CanvasRenderingContext2D.prototype.fillRect = function (...where) { rectangles++; fillRect.apply(this, where); };

  // Texts in a canvas that are numbers only: those of differences.
  const numbers = [], fillText = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...where) { if (/^\d+$/.test(text)) numbers.push(+text); fillText.call(this, text, ...where); };

  const READ_MAX = 300;
  const $ = id => document.getElementById(id);
  const text = selector => [...document.querySelectorAll(selector)].map(element => element.textContent.trim());
  const frame = () => new Promise(done => setTimeout(done, 50));
  const press = key => $('canvas').dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
  const pointer = (type, x, y) => {
    const box = $('canvas').getBoundingClientRect();
    $('canvas').dispatchEvent(new PointerEvent(type, { clientX: box.left + x, clientY: box.top + y, bubbles: true, pointerId: 1 }));
  };
  const click = (x, y) => { pointer('pointerdown', x, y); pointer('pointerup', x, y); };
  const colours = () => {
    const { width, height } = $('canvas');
    return new Set(new Uint32Array($('canvas').getContext('2d').getImageData(0, 0, width, height).data.buffer)).size;
  };
  const picture = () => $('canvas').toDataURL();
  const row = number => 28 + 34 * number + 17;

  // The steps of a switch or a system call, whose number is typed in.
  const steps = (number, input = 'number', table = 'protocol') => {
    $(input).value = number;
    $(input).dispatchEvent(new Event('change'));
    return [...$(table).tBodies[0].rows].map(line => {
      const column = [...line.cells].findIndex((cell, i) => i > 0 && cell.textContent), cell = line.cells[column];
      const texts = selector => [...cell.querySelectorAll(selector)].map(element => element.textContent);
      const values = texts('dt').map((name, i) => [name, texts('dd')[i].split(' ')[0]]);
      return { time: line.cells[0].textContent, column, layer: texts('.layer').join(), text: texts('p')[0], details: texts('li'), values: Object.fromEntries(values) };
    });
  };

  // What axe finds, in light and in dark.
  async function violations() {
    const found = [];
    for (const _ of ['light', 'dark']) {
      $('theme').click();
      await frame();
      const { violations } = await axe.run(document, { resultTypes: ['violations'] });
      found.push(...violations.flatMap(({ id, nodes }) => nodes.map(node => `${id}: ${node.html}`)));
    }
    return found;
  }

  // What a reader of a page with two runs sees, and what a zoom in one timeline and a button of the table do.
  async function compared() {
    const canvases = ['a', 'b'].map(side => $(`${side}-canvas`)), pictures = () => canvases.map(canvas => canvas.toDataURL());
    const cells = name => [...document.querySelectorAll(`${name} tbody tr`)].map(line => [...line.cells].map(cell => cell.innerText.trim()));
    const seen = {
      errors, names: text('h3'), lanes: ['a', 'b'].map(side => text(`#${side}-lanes li`)), lefts: canvases.map(canvas => canvas.getBoundingClientRect().left),
      verdict: $('verdict').textContent, steps: cells('#steps'), measures: cells('#measures'), whole: $('range').textContent, before: numbers.splice(0),
      cut: document.documentElement.scrollWidth - document.documentElement.clientWidth, intruders: document.querySelectorAll('b, img').length, warnings: text('#warnings p'),
    };
    const before = pictures();
    canvases[1].dispatchEvent(new KeyboardEvent('keydown', { key: '+', bubbles: true, cancelable: true }));
    await frame();
    seen.zoomed = pictures().map((picture, side) => picture !== before[side]);
    document.querySelector('[data-show]')?.click();
    await frame();
    return { ...seen, shown: $('range').textContent, said: $('selected').textContent };
  }

  async function read() {
    if (window.axe) return { errors, violations: await violations() };
    if (document.body.matches('.compared')) return compared();
    const seen = { errors, data: await window.digest?.(), title: $('title').textContent, width: $('canvas').clientWidth, colours: colours() };
    seen.zeros = document.body.innerText.match(/(?<![\d.])0 ns/g) ?? [];
    seen.totals = Object.fromEntries([...document.querySelectorAll('#totals div')].map(pair => [pair.children[0].textContent, pair.children[1].textContent]));
    seen.numbers = [...document.querySelectorAll('[data-of]')].map(element => ({ of: element.dataset.of, value: +element.value, text: element.textContent }));
    seen.ends = text('#processes tbody tr td:last-child');
    seen.bars = Object.fromEntries([...document.querySelectorAll('td.shape')].map(cell =>
      [cell.nextSibling.firstChild.dataset.of, cell.querySelectorAll('rect[fill="var(--user)"]').length]));
    seen.crowded = [...document.querySelectorAll('th.shape svg')].flatMap(axis => [...axis.children].map(label => label.getBoundingClientRect())
      .filter((box, i, boxes) => i && box.left < boxes[i - 1].right)).length;
    seen.lanes = text('#lanes li');
    seen.warnings = text('#warnings p');
    seen.unnamed = [...document.querySelectorAll('button, input, svg[role=img], canvas:not([aria-hidden] *)')]
      .filter(element => !element.textContent.trim() && !element.ariaLabel && !element.labels?.length).length;
    const landmarks = [...document.querySelectorAll('section, [role=region]')].map(element =>
      element.ariaLabel ?? $(element.getAttribute('aria-labelledby')).textContent);
    seen.namesakes = landmarks.filter((name, i) => landmarks.indexOf(name) !== i);
    seen.intruders = document.querySelectorAll('b, img').length;

    seen.opening = { range: $('range').textContent, window: [$('window').offsetLeft, $('window').offsetWidth], strip: $('strip').clientWidth };
    seen.legend = text('#legend li');
    seen.start = text('#start h3');
    seen.cut = { page: document.documentElement.scrollWidth - document.documentElement.clientWidth, hints: document.querySelectorAll('.wide.more').length,
      wide: [...document.querySelectorAll('.wide')].filter(place => place.checkVisibility() && place.scrollWidth > place.clientWidth + 1).length };
    seen.calls = Array.from({ length: Math.min(+$('call-number').max, 40) }, (_, i) => steps(i + 1, 'call-number', 'call-steps'));
    press('0');
    await frame();
    seen.switches = +$('number').max <= READ_MAX ? Array.from({ length: +$('number').max }, (_, i) => steps(i + 1)) : [];
    const kernel = seen.lanes.indexOf('kernel');
    click(seen.width * SWITCH, row(seen.lanes.indexOf('host')));
    seen.beside = $('h-switch').textContent;
    click(seen.width * SWITCH, row(kernel));
    seen.described = { said: $('selected').textContent, leads: $('selected').querySelector('a')?.hash };
    seen.clicked = { heading: $('h-switch').textContent, who: $('who').textContent, steps: text('#protocol tbody tr'), layers: text('#protocol .layer') };
    document.querySelector('#switch [data-do=next]').click();
    seen.next = $('h-switch').textContent;
    seen.beyond = ['0', '', '2.5', '999999'].map(typed => {
      $('number').value = typed;
      $('number').dispatchEvent(new Event('change'));
      return $('h-switch').textContent === `Switch ${$('number').value}` && $('h-switch').textContent;
    });

    await frame();
    const whole = { range: $('range').textContent, picture: picture() };
    seen.range = whole.range;
    rectangles = 0;
    press('+');
    await frame();
    seen.zoomed = { moved: $('range').textContent !== whole.range, redrawn: picture() !== whole.picture };
    seen.rectangles = [rectangles];
    for (const key of ['-', '+', '+', '+', '+', '+', '+', '+']) {
      rectangles = 0;
      press(key);
      await frame();
      seen.rectangles.push(rectangles);
    }
    const near = $('range').textContent;
    press('ArrowRight');
    seen.panned = $('range').textContent !== near;
    press('0');
    await frame();
    seen.back = $('range').textContent === whole.range;
    press('ArrowUp');
    press('Enter');
    seen.said = $('selected').textContent;
    await new Promise(done => setTimeout(done, 300));
    seen.address = location.hash;
    const shown = () => [$('range').textContent, $('h-switch').textContent, $('h-call').textContent, $('selected').textContent];
    location.hash = '#from=1000000&to=1500000&switch=2&call=3&process=1&at=1250000';
    await new Promise(done => setTimeout(done, 100));
    seen.linked = shown();
    location.hash = seen.address;
    await new Promise(done => setTimeout(done, 100));
    seen.returned = $('range').textContent;
    const labels = [...document.querySelectorAll('#lanes li')], { top } = $('timeline').getBoundingClientRect();
    for (const _ of labels) press('ArrowDown');
    await frame();
    const chosen = document.querySelector('#lanes .chosen'), box = chosen.getBoundingClientRect();
    seen.last = { chosen: labels.indexOf(chosen), inView: box.top >= top && box.bottom <= top + $('timeline').clientHeight + 1 };
    // Where the pointer is beside a name, it is on the row of that name.
    pointer('pointermove', seen.width / 2, box.top + box.height / 2 - top);
    seen.last.pointed = $('hover').textContent.startsWith(chosen.textContent);

    $('events').open = true;
    await new Promise(done => setTimeout(done, 400));
    seen.rows = [...document.querySelectorAll('#events tbody tr')].map(line => [...line.cells].map(cell => cell.textContent));
    const paper = () => getComputedStyle(document.body).backgroundColor;
    seen.papers = [paper()];
    const before = picture();
    $('theme').click();
    await frame();
    seen.papers.push(paper());
    seen.repainted = picture() !== before;
    return seen;
  }

  async function run() {
    while (document.documentElement.dataset.ready !== 'yes' && !errors.length) await new Promise(done => setTimeout(done, 20));
    await frame();
    const seen = await read().catch(error => ({ errors: [...errors, String(error.stack)] }));
    const result = document.createElement('pre');
    result.id = 'result';
    result.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(seen))));
    document.body.append(result);
    // In a frame, whose window may be as narrow as that of a phone.
    if (parent !== window) parent.postMessage(result.textContent, '*');
  }
  addEventListener('DOMContentLoaded', run);
})();
