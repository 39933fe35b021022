// The page of a router: its nodes, what moves between them, and the way of each request.
'use strict';

const SHOWN = { transfers: 20, requests: 12, flips: 12 };
let isPaused = false;
let before = null;

const make = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};
const draw = (name, attributes = {}, text = '') => {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.textContent = text;
  return node;
};
const time = seconds => seconds < 0.001 ? (seconds * 1e6).toFixed(0) + ' µs'
  : seconds < 1 ? (seconds * 1000).toFixed(seconds < 0.1 ? 1 : 0) + ' ms' : seconds.toFixed(2) + ' s';
const ago = seconds => seconds < 60 ? seconds.toFixed(0) + ' s ago' : seconds < 3600 ? (seconds / 60).toFixed(0) + ' min ago'
  : (seconds / 3600).toFixed(1) + ' h ago';

async function refresh() {
  if (isPaused) return;
  try {
    const [cluster, work] = await Promise.all(['/weir/cluster', '/weir/cluster/requests'].map(async path => {
      const response = await fetch(path, { cache: 'no-store' });
      if (!response.ok) throw new Error(response.statusText);
      return response.json();
    }));
    show(cluster, work);
  } catch {
    element('model').textContent = 'the router does not answer';
  }
}

function show(cluster, work) {
  const up = cluster.nodes.filter(node => node.state === 'up').length;
  const counts = cluster.counts;
  element('model').textContent = up + ' of ' + cluster.nodes.length + ' nodes up; handed over ' + counts.disaggregated
    + ', on one node ' + counts.colocated + ', retried ' + counts.retries + ', failed ' + counts.failed;
  const parts = new Map(work.nodes.map(node => [node.id, node.work]));
  const names = new Map(work.nodes.map(node => [node.transfer, node.id]));
  const transfers = work.nodes.flatMap(node => (node.work?.handoffs ?? [])
    .map(handoff => ({ ...handoff, to: node.id, from: names.get(handoff.sender) ?? handoff.sender })))
    .sort((a, b) => a.seconds_ago - b.seconds_ago);
  showNodes(cluster.nodes, parts);
  showMap(cluster.nodes, transfers);
  showTransfers(transfers);
  showRequests(work.requests.slice().reverse().slice(0, SHOWN.requests), parts);
  showRoles(cluster.roles, cluster.nodes);
}

/* Bytes per second since the last answer, by node and direction. */
function rates(parts) {
  const now = performance.now();
  const result = new Map();
  for (const [id, work] of parts) {
    const last = before?.counts.get(id);
    const seconds = before ? (now - before.at) / 1000 : 0;
    if (work && last && seconds > 0) {
      // A node that was started anew counts from nothing.
      result.set(id, { received: Math.max(0, work.received_bytes - last.received) / seconds,
        sent: Math.max(0, work.sent_bytes - last.sent) / seconds });
    }
  }
  before = { at: now, counts: new Map([...parts].filter(([, work]) => work)
    .map(([id, work]) => [id, { received: work.received_bytes, sent: work.sent_bytes }])) };
  return result;
}

const roleText = node => node.home_role && node.home_role !== node.role ? node.role + ' (home: ' + node.home_role + ')' : node.role;

function showNodes(nodes, parts) {
  const moving = rates(parts);
  element('nodes').replaceChildren(...nodes.map(node => {
    if (node.state === 'unknown') {
      return make('li', { class: 'card down' }, make('h3', {}, node.url), make('p', {}, 'has never answered'));
    }
    const used = Math.max(0, node.total_blocks - node.free_blocks - node.cached_blocks);
    const share = count => 100 * count / Math.max(1, node.total_blocks) + '%';
    const rate = moving.get(node.id);
    const work = parts.get(node.id);
    const speed = node.speeds?.decode_tokens_per_second;
    const facts = [
      ['Running, waiting', node.running + ', ' + node.waiting],
      ['KV arriving, held', node.arriving + ', ' + node.held],
      ['KV blocks', used + ' + ' + node.cached_blocks + ' of ' + node.total_blocks],
      ['KV in, out', rate ? bytes(rate.received) + '/s, ' + bytes(rate.sent) + '/s' : '-'],
      ['Calls per handoff', work?.sent_handoffs ? (work.sent_operations / work.sent_handoffs).toFixed(1) : '-'],
      ...(speed ? [['Decode', speed.toFixed(0) + ' tokens/s']] : []),
      ...(node.prefill_share === undefined ? [] : [['Prefill, decode time',
        (100 * node.prefill_share).toFixed(0) + ' %, ' + (100 * node.decode_share).toFixed(0) + ' %']]),
      ['Placed here', node.placed],
    ];
    const bar = make('div', { class: 'bar', role: 'img',
      'aria-label': 'KV pool: ' + used + ' blocks in use, ' + node.cached_blocks + ' cached, of ' + node.total_blocks },
    make('span', { class: 'used', style: 'width:' + share(used) }),
    make('span', { class: 'kept', style: 'width:' + share(node.cached_blocks) }));
    const list = make('dl');
    for (const [name, value] of facts) list.append(make('dt', {}, name), make('dd', {}, String(value)));
    return make('li', { class: 'card' + (node.state === 'up' ? '' : ' down') },
      make('div', { class: 'row' }, make('h3', {}, node.id),
        make('span', { class: 'badge' + (node.state === 'up' ? '' : ' bad') }, roleText(node) + ', ' + node.state)),
      bar, list);
  }));
}

/* Who hands how much to whom: prefill on the left, decode on the right. */
function showMap(nodes, transfers) {
  const known = nodes.filter(node => node.id);
  const columns = ['prefill', 'mixed', 'decode'].map(role => known.filter(node => node.role === role));
  columns[1].push(...known.filter(node => !['prefill', 'mixed', 'decode'].includes(node.role)));
  const height = Math.max(70, 64 * Math.max(...columns.map(column => column.length)) + 6);
  const place = new Map();
  columns.forEach((column, x) => column.forEach((node, y) => place.set(node.id, { x: 10 + 300 * x, y: 8 + 64 * y })));
  const sums = new Map();
  for (const transfer of transfers.filter(transfer => transfer.seconds_ago < 10 && place.has(transfer.from))) {
    const key = transfer.from + ' to ' + transfer.to;
    const sum = sums.get(key) ?? { from: transfer.from, to: transfer.to, bytes: 0, count: 0, refused: 0 };
    sum.bytes += transfer.bytes;
    sum.count += 1;
    if (transfer.refused_because) sum.refused += 1;
    sums.set(key, sum);
  }
  const drawn = [];
  for (const sum of sums.values()) {
    const [from, to] = [place.get(sum.from), place.get(sum.to)];
    const [x1, x2] = from.x <= to.x ? [from.x + 180, to.x] : [from.x, to.x + 180];
    const path = `M${x1} ${from.y + 24} C${(x1 + x2) / 2} ${from.y + 24} ${(x1 + x2) / 2} ${to.y + 24} ${x2} ${to.y + 24}`;
    const width = Math.min(14, 1 + Math.log2(1 + sum.bytes / 65536));
    drawn.push(draw('path', { d: path, fill: 'none', stroke: 'var(--move)', 'stroke-width': width }));
    drawn.push(draw('text', { x: x1 + (from.x <= to.x ? 10 : -10), y: from.y + 16 - width / 2,
      'text-anchor': from.x <= to.x ? 'start' : 'end' },
    bytes(sum.bytes / 10) + '/s' + (sum.refused ? ', ' + sum.refused + ' refused' : '')));
  }
  for (const node of known) {
    const { x, y } = place.get(node.id);
    drawn.push(draw('rect', { x, y, width: 180, height: 48, rx: 8, fill: 'var(--panel)', stroke: 'var(--line)',
      'stroke-dasharray': node.state === 'up' ? 'none' : '4 3' }));
    drawn.push(draw('text', { x: x + 10, y: y + 20, 'font-weight': 600 }, node.id.slice(0, 24)));
    drawn.push(draw('text', { x: x + 10, y: y + 37 },
      node.role + ', ' + (node.state === 'up' ? node.running + ' running' : node.state)));
  }
  const map = element('map');
  map.setAttribute('viewBox', `0 0 800 ${height}`);
  map.setAttribute('aria-label', known.length + ' nodes. In the last ten seconds: ' + ([...sums.values()]
    .map(sum => `${sum.from} gave ${sum.to} ${bytes(sum.bytes)} in ${sum.count} transfers`).join('; ') || 'no transfer'));
  map.replaceChildren(...drawn);
}

const verdict = transfer => transfer.refused_because ? 'refused: ' + transfer.refused_because.replaceAll('_', ' ') : 'verified';

function showTransfers(transfers) {
  const minute = transfers.filter(transfer => transfer.seconds_ago < 60);
  const refused = minute.filter(transfer => transfer.refused_because).length;
  const total = minute.reduce((sum, transfer) => sum + transfer.bytes, 0);
  element('transfer-sum').textContent = minute.length
    ? `Last minute: ${minute.length} transfers, ${bytes(total)}, ${refused} refused and computed again.` : 'None in the last minute.';
  const largest = Math.max(1, ...minute.map(transfer => Math.log2(1 + transfer.bytes)));
  element('timeline').setAttribute('aria-label', element('transfer-sum').textContent + ' Bars: bytes, by time.');
  element('timeline').replaceChildren(
    draw('line', { x1: 0, x2: 600, y1: 66, y2: 66, stroke: 'var(--line)' }),
    ...minute.map(transfer => {
      const height = transfer.refused_because ? 60 : 6 + 54 * Math.log2(1 + transfer.bytes) / largest;
      return draw('rect', { x: 596 - 10 * transfer.seconds_ago, y: 66 - height, width: 3, height,
        fill: transfer.refused_because ? 'var(--bad)' : 'var(--move)' });
    }));
  element('transfers').replaceChildren(...transfers.slice(0, SHOWN.transfers).map(transfer => make('tr', {},
    make('td', {}, ago(transfer.seconds_ago)), make('td', {}, transfer.from), make('td', {}, transfer.to),
    make('td', { class: 'number' }, String(transfer.tokens)), make('td', { class: 'number' }, bytes(transfer.bytes)),
    make('td', { class: 'number' }, String(transfer.runs)), make('td', { class: 'number' }, time(transfer.seconds)),
    make('td', transfer.refused_because ? { class: 'bad' } : {}, verdict(transfer)), make('td', {}, transfer.id))));
}

/* What a node did for a request, in order; it knows more than the router, which only waits for it. */
function phases(step, trace, work) {
  const whole = { name: 'step', start: step.start_seconds, seconds: step.seconds ?? trace.seconds_ago - step.start_seconds };
  const record = work?.requests.findLast(record => `-${record.id}-`.includes(`-${trace.id}-`) && record.hands_over === (step.name === 'prefill'));
  if (!record) return [whole];
  const taken = record.transfer && record.transfer.received_tokens > 0;
  const parts = [];
  let start = trace.seconds_ago - record.seconds_ago;
  for (const [name, seconds] of [[taken ? 'transfer' : 'queue', record.queue_seconds], ['prefill', record.prefill_seconds],
    ['decode', record.decode_seconds]]) {
    parts.push({ name, start, seconds });
    start += seconds;
  }
  return parts;
}

function showRequests(traces, parts) {
  element('requests').replaceChildren(...traces.map(trace => {
    const total = trace.seconds ?? trace.seconds_ago;
    const lanes = trace.steps.map(step => ({ step, parts: phases(step, trace, parts.get(step.node)) }));
    const percent = seconds => Math.min(100, Math.max(0, 100 * seconds / Math.max(total, 1e-6)));
    const item = make('li', {}, make('div', {}, make('strong', {}, trace.id), ' ' + trace.path + ', ' + ago(trace.seconds_ago) + ', '
      + (trace.seconds === null ? 'open' : time(trace.seconds)) + (trace.failure ? ', ended with ' : ''),
    ...(trace.failure ? [make('span', { class: 'bad' }, trace.failure)] : [])));
    for (const { step, parts } of lanes) {
      const bars = parts.map(part => make('i', { class: part.name,
        style: `left:${percent(part.start)}%;width:${percent(part.seconds)}%` }));
      const words = parts.map(part => (part.name === 'step' ? step.name : part.name) + ' ' + time(part.seconds)).join(', ');
      item.append(make('div', { class: 'lane' }, make('span', {}, step.node), make('div', {},
        make('div', { class: 'track', 'aria-hidden': 'true' }, ...bars),
        make('span', {}, words + (step.failure ? ', ' + step.failure.replaceAll('_', ' ') : '')))));
    }
    return item;
  }));
}

function showRoles(roles, nodes) {
  const flips = (roles?.flips ?? []).slice().reverse().slice(0, SHOWN.flips);
  const models = roles?.models ?? [];
  element('regime').textContent = models.length
    ? models.map(model => `${model.regime}: ${model.reason} (prefill ${model.prefill_score.toFixed(2)}, decode `
      + `${model.decode_score.toFixed(2)})`).join(' ')
    : 'Roles stay as they are: ' + nodes.filter(node => node.id).map(node => node.id + ' is ' + node.role).join(', ') + '.';
  const now = Date.now() / 1000;
  element('flips').replaceChildren(...(flips.length ? flips.map(flip => make('tr', {},
    make('td', {}, ago(Math.max(0, now - flip.unix_seconds))), make('td', {}, flip.node),
    make('td', {}, flip.from + ' to ' + flip.to), make('td', {}, flip.outcome), make('td', { class: 'long' }, flip.reason)))
    : [make('tr', {}, make('td', { colspan: 5 }, 'No role has changed.'))]));
}

element('pause').addEventListener('click', () => {
  isPaused = !isPaused;
  element('pause').setAttribute('aria-pressed', String(isPaused));
  element('pause').textContent = isPaused ? 'Go on' : 'Pause';
  refresh();
});

refresh();
setInterval(refresh, 1000);
