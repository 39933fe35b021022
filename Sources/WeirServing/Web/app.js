// Weir's page: one conversation over the server's own API, and the state of its KV pool.
'use strict';

const history = [];
let running = null;

function show(role, text) {
  const item = document.createElement('li');
  item.className = role;
  item.textContent = text;
  element('messages').append(item);
  item.scrollIntoView({ block: 'end' });
  return item;
}

/* The most tokens an answer may have: what is asked for, or what the model's context leaves after the prompt.
   A prompt that cannot be rendered or does not fit is refused by the question itself, in the server's words. */
async function mostTokens(signal) {
  const wanted = Number(element('max-tokens').value);
  const response = await fetch('/v1/chat/completions/render', {
    method: 'POST', headers: headers(), signal, body: JSON.stringify({ messages: history }),
  });
  if (!response.ok) return wanted;
  const { count, max_model_len: context } = await response.json();
  return count < context ? Math.min(wanted, context - count) : wanted;
}

async function ask(text) {
  history.push({ role: 'user', content: text });
  show('user', text);
  const item = show('assistant', '');
  const answer = { text: '', first: null, last: null, pieces: 0, reason: null, usage: null, weir: null };
  running = new AbortController();
  element('send').textContent = 'Stop';
  let started;
  try {
    const limit = await mostTokens(running.signal);
    started = performance.now();
    const body = { messages: history, temperature: Number(element('temperature').value), max_tokens: limit };
    await stream(body, running.signal, chunk => takeChunk(chunk, answer, item));
  } catch (error) {
    if (error.name !== 'AbortError') show('failed', words(error));
  }
  running = null;
  element('send').textContent = 'Send';
  if (answer.text) {
    history.push({ role: 'assistant', content: answer.text });
    report(answer, started, item);
  } else {
    // Without an answer the message does not count: sent along again it would fail again.
    history.pop();
    item.remove();
  }
}

function takeChunk(chunk, answer, item) {
  if (chunk.usage) answer.usage = chunk.usage;
  if (chunk.weir) answer.weir = chunk.weir;
  answer.reason ??= chunk.choices?.[0]?.finish_reason;
  const piece = chunk.choices?.[0]?.delta?.content;
  if (!piece) return;
  answer.first ??= performance.now();
  answer.last = performance.now();
  answer.pieces += 1;
  answer.text += piece;
  item.textContent = answer.text;
  item.scrollIntoView({ block: 'end' });
}

function report(answer, started, item) {
  const tokens = answer.usage?.completion_tokens ?? answer.pieces;
  const seconds = (answer.last - answer.first) / 1000;
  const speed = seconds > 0 && tokens > 1 ? ((tokens - 1) / seconds).toFixed(1) + ' tokens/s' : '-';
  const prompt = answer.usage?.prompt_tokens ?? 0;
  const cached = answer.usage?.prompt_tokens_details?.cached_tokens ?? 0;
  const wait = answer.first - started;
  element('ttft').textContent = wait < 1000 ? wait.toFixed(0) + ' ms' : (wait / 1000).toFixed(2) + ' s';
  element('speed').textContent = speed;
  element('prompt').textContent = prompt + ' tokens';
  element('cached').textContent = prompt ? cached + ' (' + Math.round(100 * cached / prompt) + ' %)' : '-';
  element('why').textContent = answer.weir?.cache?.reason?.replaceAll('_', ' ') ?? '-';
  const note = document.createElement('small');
  note.textContent = tokens + ' tokens, ' + speed
    + (answer.usage ? ', ' + cached + ' of ' + prompt + ' prompt tokens from the cache' : '')
    + (answer.reason === 'length' ? ', ended by the token limit' : answer.reason ? '' : ', stopped');
  item.append(note);
}

const rates = [];
let previous = null;

async function refresh() {
  try {
    const response = await fetch('/weir/state', { headers: headers(), cache: 'no-store' });
    if (!response.ok) throw new Error(response.statusText);
    showState(await response.json());
  } catch {
    element('model').textContent = 'the server does not answer';
  }
}

function showState(state) {
  const { model, load, pool, counters } = state;
  element('model').textContent = model.name + ' (' + model.architecture + '), context ' + model.context_length
    + (state.is_draining ? ', draining' : state.is_paused ? ', paused' : '');
  const total = Math.max(load.total_blocks, 1);
  const used = load.total_blocks - load.free_blocks - load.cached_blocks;
  element('pool-bar').querySelector('.used').style.width = 100 * used / total + '%';
  element('pool-bar').querySelector('.kept').style.width = 100 * load.cached_blocks / total + '%';
  element('blocks').textContent = used + ' + ' + load.cached_blocks + ' of ' + load.total_blocks;
  element('committed').textContent = bytes(pool.committed_bytes);
  element('peak').textContent = pool.peak_used_blocks + ' blocks';
  element('fragmentation').textContent = (100 * pool.fragmentation).toFixed(0) + ' %';
  element('evicted').textContent = pool.evicted_blocks + ' blocks';
  element('queue').textContent = load.running + ', ' + load.waiting;
  element('reuse').textContent = counters.prompt_tokens
    ? Math.round(100 * counters.cached_tokens / counters.prompt_tokens) + ' % of ' + counters.prompt_tokens : '-';
  element('weights').textContent = bytes(model.weight_bytes);
  element('kernels').textContent = model.kernels + ', ' + model.threads + ' threads';
  const now = performance.now();
  if (previous) {
    rates.push(1000 * (counters.generated_tokens - previous.tokens) / (now - previous.at));
    if (rates.length > 120) rates.shift();
    element('rate').textContent = rates[rates.length - 1].toFixed(1) + ' tokens/s';
    draw();
  }
  previous = { tokens: counters.generated_tokens, at: now };
}

function draw() {
  const canvas = element('graph');
  const pen = canvas.getContext('2d');
  const style = getComputedStyle(document.documentElement);
  const top = Math.max(1, ...rates);
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  // As many points as the screen has, or lines and letters are blurred.
  canvas.width = Math.round(width * devicePixelRatio);
  canvas.height = Math.round(height * devicePixelRatio);
  pen.scale(devicePixelRatio, devicePixelRatio);
  pen.strokeStyle = style.getPropertyValue('--accent');
  pen.lineWidth = 1.5;
  pen.beginPath();
  rates.forEach((rate, index) => {
    const x = width - (rates.length - 1 - index) * width / 119;
    const y = height - 4 - (height - 20) * rate / top;
    index ? pen.lineTo(x, y) : pen.moveTo(x, y);
  });
  pen.stroke();
  pen.fillStyle = style.getPropertyValue('--quiet');
  pen.font = '11px system-ui, sans-serif';
  pen.fillText(top.toFixed(0) + ' tokens/s', 2, 11);
}

element('form').addEventListener('submit', event => {
  event.preventDefault();
  if (running) { running.abort(); return; }
  const text = element('input').value.trim();
  if (!text) return;
  element('input').value = '';
  ask(text);
});

element('input').addEventListener('keydown', event => {
  if (event.key === 'Enter' && !event.shiftKey) {
    event.preventDefault();
    if (!running) element('form').requestSubmit();
  }
});

element('clear').addEventListener('click', () => {
  history.length = 0;
  element('messages').replaceChildren();
  element('input').focus();
});

refresh();
setInterval(refresh, 1000);
