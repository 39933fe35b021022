// One prompt through the full cache and through a KV policy, side by side.
'use strict';

let running = null;

/* Asks once and streams into `side`; returns tokens, their texts, and the server's report. */
async function ask(side, policy, signal) {
  const answer = { tokens: [], text: '', weir: null, usage: null };
  const place = element(side + '-text');
  place.replaceChildren();
  element(side + '-figures').replaceChildren();
  const body = {
    messages: [{ role: 'user', content: element('input').value }], temperature: 0, return_token_ids: true,
    max_tokens: Number(element('max-tokens').value), cache: { read: false, store: false }, kv_policy: policy,
  };
  await stream(body, signal, chunk => {
    answer.weir = chunk.weir ?? answer.weir;
    answer.usage = chunk.usage ?? answer.usage;
    const choice = chunk.choices?.[0];
    answer.tokens.push(...(choice?.token_ids ?? []));
    answer.text += choice?.delta?.content ?? '';
    place.textContent = answer.text;
  });
  return answer;
}

function figures(side, answer) {
  const kv = answer.weir?.kv?.[0];
  const timings = answer.weir?.timings;
  const count = answer.usage?.completion_tokens ?? answer.tokens.length;
  const rows = [
    ['Peak KV', kv ? bytes(kv.peak_bytes) : '-'],
    ['Slots kept a head', kv ? kv.mean_slots.toFixed(0) + ' (' + kv.min_slots + ' to ' + kv.max_slots + ')' : '-'],
    ...(kv?.reading ? [['Slots read a token', kv.reading.mean_slots.toFixed(0)]] : []),
    ['Dropped', kv ? kv.dropped_slots + ' slots in ' + kv.questions + ' questions' : '-'],
    ['Prompt', (answer.usage?.prompt_tokens ?? 0) + ' tokens in ' + (1000 * (timings?.prefill_seconds ?? 0)).toFixed(0) + ' ms'],
    ['Decode', timings?.decode_seconds > 0 && count > 1
      ? ((count - 1) / timings.decode_seconds).toFixed(0) + ' tokens/s' : '-'],
    ['Answer', count + ' tokens'],
  ];
  element(side + '-figures').replaceChildren(...rows.flatMap(([name, value]) => {
    const [term, fact] = [document.createElement('dt'), document.createElement('dd')];
    term.textContent = name;
    fact.textContent = value;
    return [term, fact];
  }));
}

/* Marks where the policy's text leaves the full one's, and says how far the tokens agree. */
function compare(full, part, name) {
  let same = 0;
  while (same < full.tokens.length && same < part.tokens.length && full.tokens[same] === part.tokens[same]) same += 1;
  const most = Math.max(full.tokens.length, part.tokens.length);
  const [fullBytes, partBytes] = [full, part].map(answer => answer.weir?.kv?.[0]?.peak_bytes ?? 0);
  let place = 0;
  while (place < full.text.length && full.text[place] === part.text[place]) place += 1;
  if (place < part.text.length) {
    const mark = document.createElement('mark');
    mark.textContent = part.text.slice(place);
    element('part-text').replaceChildren(part.text.slice(0, place), mark);
  }
  element('verdict').textContent = (same === most ? `All ${most} tokens agree` : `The first ${same} of ${most} tokens agree`)
    + (fullBytes > 0 ? `; ${name} held ${Math.round(100 * partBytes / fullBytes)} % of the full cache's peak memory.` : '.');
}

element('form').addEventListener('submit', async event => {
  event.preventDefault();
  if (running) { running.abort(); return; }
  const name = element('policy').value;
  const budget = Number(element('budget').value);
  const policy = element('unit').value === 'percent' ? { name, ratio: Math.min(1, budget / 100) } : { name, budget };
  running = new AbortController();
  element('run').textContent = 'Stop';
  element('part-title').textContent = name;
  element('verdict').className = '';
  element('part-text').replaceChildren();
  element('part-figures').replaceChildren();
  try {
    element('verdict').textContent = 'The full cache answers.';
    const full = await ask('full', { name: 'full' }, running.signal);
    figures('full', full);
    element('verdict').textContent = name + ' answers.';
    const part = await ask('part', policy, running.signal);
    figures('part', part);
    compare(full, part, name);
  } catch (error) {
    element('verdict').className = 'bad';
    element('verdict').textContent = error.name === 'AbortError' ? 'Stopped.' : words(error);
  }
  running = null;
  element('run').textContent = 'Compare';
});

fetch('/weir/state', { headers: headers(), cache: 'no-store' }).then(async response => {
  const { model } = await response.json();
  element('model').textContent = model.name + ', context ' + model.context_length + ', KV ' + model.kv_key_type + '/'
    + model.kv_value_type;
}).catch(() => { element('model').textContent = 'the server does not answer'; });
